/*
 * pty_session: talks to a program that wants a person at a terminal, as ssh, sudo and
 * passwd do: waits for its prompts and answers them.
 */
#include <stdio.h>
#include <string.h>

#include <whendo/shellcmd.h>

/* Stands for the program: insists on a terminal, and hides what is typed as a password. */
static const char login[] = "test -t 0 -a -t 1 || exit 9\n"
			    "printf 'Name: '; read -r name\n"
			    "stty -echo; printf 'Password: '; read -r word; stty echo; echo\n"
			    "test \"$word\" = sesame || { echo 'Sorry.'; exit 1; }\n"
			    "echo \"Welcome, $name. A terminal of $(stty size).\"\n"
			    "printf '$ '; read -r command; echo \"you said $command\"\n";

static int answer(sh_proc *p, const char *prompt, const char *words)
{
	if (sh_expect(p, prompt, 5000) != 1) {
		fprintf(stderr, "no prompt like %s\n", prompt);
		return -1;
	}
	return sh_write(p, words, strlen(words));
}

int main(void)
{
	sh_proc *p = sh_start(SH("sh", "-c", login, .pty = true, .rows = 40, .cols = 100));
	const sh_result *r = NULL;

	if (answer(p, "Name: $", "eva\n") == 0 && answer(p, "Password: $", "sesame\n") == 0 &&
	    answer(p, "Welcome, (?s:.*)\\$ $", "exit\n") == 0)
		r = sh_wait(p, 5000);
	if (r)
		printf("%s%s", r->message, r->out);
	sh_proc_free(p);
	return r == NULL;
}
