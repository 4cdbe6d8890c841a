/* Where the program begins: a sound environment, then one verb. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif

#include "emit.h"
#include "options.h"
#include "print.h"
#include "say.h"
#include "verbs.h"
#include "whendo/version.h"

/* A file opened later must not become somebody's stdout. */
static int open_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0)
			return -1;
	return 0;
}

/* A verb is the only thing that may be trusted with nobody else's rights. */
static int has_foreign_rights(void)
{
#ifdef __linux__
	if (getauxval(AT_SECURE)) /* file capabilities, too */
		return 1;
#endif
	return geteuid() != getuid() || getegid() != getgid();
}

static int print_version(const char *name)
{
	struct bytes out = { 0 };

	emit_f(&out, "%s %s\n", name, whendo_version_string());
	return print_out(&out);
}

int main(int argc, char **argv)
{
	struct settings s;
	const char *name = argc && argv[0] ? argv[0] : "whendo";
	int r, is_watchmedo;

	if (open_standard_streams() < 0)
		return EXIT_FAILED;
	if (has_foreign_rights()) {
		say_error(
		    "set-user-ID or set-group-ID: refused; it would run commands with rights "
		    "that are not yours");
		return EXIT_USAGE;
	}
	name = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	settings_init(&s, NULL, strcmp(name, "watchmedo") == 0);
	is_watchmedo = s.watchmedo;
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return help_print(NULL, is_watchmedo);
	r = options_parse(&s, argc, argv);
	if (r == 0 && !s.verb) {
		/* watchmedo's 1 is what its scripts know. */
		r = is_watchmedo ? 1 : EXIT_USAGE;
		dup2(2, 1);
		help_print(NULL, is_watchmedo);
	} else if (r == 0 && s.version) {
		r = print_version(is_watchmedo ? "watchmedo" : "whendo");
	} else if (r == 0) {
		r = s.help ? help_print(s.verb, is_watchmedo) : s.verb->run(&s);
	}
	settings_free(&s);
	return r;
}
