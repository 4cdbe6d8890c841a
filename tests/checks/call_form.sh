#!/bin/sh
# The call form of shellcmd.h: every way to write a call is free of warnings in C99, C11 and
# C++17 with gcc and clang; a call that is wrong in itself does not compile, or is told by the
# compiler.
set -u
n=0
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
warn='-Wall -Wextra -Wpedantic -pedantic -Wshadow -Wconversion -fsyntax-only -Iinclude'

cat >"$tmp/good.c" <<'C'
#include <whendo/shellcmd.h>
#include <stdio.h>
#include <sys/resource.h>
#define git(...) sh("git", __VA_ARGS__)
int calls(const char *repo, const char *message, const char *const *list, sh_cmd *recipe,
	  int verbose);
static int on_line(sh_proc *p, const char *line, size_t len, void *arg)
{
	(void)p; (void)line; (void)len; (void)arg;
	return SH_STOP_CALLING;
}
static long lines;
int calls(const char *repo, const char *message, const char *const *list, sh_cmd *recipe,
	  int verbose)
{
	sh_result *r = sh("git", "rev-parse", "HEAD", .cwd = repo);
	sh_proc *p;
	sh_cmd *c;

	if (r->status)
		fprintf(stderr, "%s\n", r->message);
	sh_free(r);
	sh_free(sh("true"));
	sh_free(git("commit", "-m", message, .cwd = repo, .timeout_ms = 5000));
	sh_free(git("log", verbose ? "-v" : SH_SKIP, .args = list, .ok = SH_OK(0, 3)));
	sh_free(sh("make", SH_FOREGROUND, .env = SH_LIST("A=1", "B=2"), .umask = SH_UMASK(077)));
	sh_free(sh("cat", .in = SH_TEXT("x"), .out = SH_TEE(SH_FILE("y")), .err = SH_MERGE));
	sh_free(sh("cat", .in = SH_BYTES("x", 1), .out = SH_LINES(on_line, &lines)));
	sh_free(sh("x", .fds = SH_FDS({ 3, 4 }, { 5, 6 }), .ok = SH_ANY, .err = SH_NULL,
		   .rlimits = SH_RLIMITS({ RLIMIT_CORE, 0, 0 })));
	sh_free(sh_pipe(SH("sort", "f"), SH("uniq", "-c"), SH("head", "-3", .ok = SH_ANY)));
	sh_free(sh_run(SH_OPTS(.args = list, .cwd = repo)));
	sh_free(sh_f("grep -n %s %d", message, verbose));
	p = sh_start(SH("tail", "-f", "log", .out = SH_STREAM));
	sh_proc_free(p);
	p = sh_start_pipe(SH("a", .timeout_ms = 5), SH("b"));
	sh_proc_free(p);
	c = sh_bake(SH("git", "-C", repo, .base = recipe));
	sh_free(sh_call(c, "status", .cwd = repo));
	sh_cmd_free(c);
	return 0;
}
C

tap() { # tap STATUS DESCRIPTION; the compiler's words are in $tmp/out
  n=$((n + 1))
  if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else
    echo "not ok $n - $2"
    sed 's/^/# /' "$tmp/out"
  fi
}

# Before version 12 gcc -Wextra takes what follows an option with a list for forgotten.
old_gcc() {
  case $1 in gcc) ;; *) return 1 ;; esac
  [ "$(gcc -dumpversion | cut -d. -f1)" -lt 12 ]
}

clean() { # clean COMPILER STANDARD FILE
  if ! command -v "$1" >/dev/null; then
    n=$((n + 1))
    echo "ok $n - calls are clean, $1 -std=$2 # SKIP $1 is not installed"
    return
  fi
  old_gcc "$1" && lax=-Wno-missing-field-initializers || lax=
  "$1" -std="$2" $warn $lax -Werror "$3" >"$tmp/out" 2>&1
  tap $? "calls are clean, $1 -std=$2"
}

# wrong WORDS CALL DESCRIPTION: neither compiler takes the call under -Werror, and each says
# something that matches WORDS.
wrong() {
  cat >"$tmp/wrong.c" <<C
#include <whendo/shellcmd.h>
void f(int number);
void f(int number)
{
	(void)number;
	sh_free($2);
}
C
  for cc in gcc clang; do
    if ! command -v $cc >/dev/null; then
      n=$((n + 1))
      echo "ok $n - $3, $cc # SKIP $cc is not installed"
      continue
    fi
    if $cc -std=c11 $warn -Werror "$tmp/wrong.c" >"$tmp/out" 2>&1; then
      tap 1 "$3, $cc"
    else
      grep -qE "$1" "$tmp/out"
      tap $? "$3, $cc"
    fi
  done
}

echo 1..18
for cc in gcc clang; do
  clean $cc c99 "$tmp/good.c"
  clean $cc c11 "$tmp/good.c"
done
clean g++ c++17 tests/fixtures/shellcmd.cc
clean clang++ c++17 tests/fixtures/shellcmd.cc
wrong 'timout_ms' 'sh("true", .timout_ms = 3)' 'a misspelled option does not compile'
wrong 'conversion|incompatible' 'sh("true", number)' 'a number as argument does not compile'
wrong 'too_many_arguments_use_args' \
  "sh($(printf '"a", %.0s' $(seq 70)) \"b\")" 'too many arguments are told with what to use'
wrong 'format' 'sh_f("x %s", number)' 'a format that does not fit its arguments is told'
wrong 'conversion|makes integer' 'sh("true", .timeout_ms = "5")' 'an option of the wrong type does not compile'

# An argument behind an option would be the value of the next option: every option is followed
# by one that a string does not fit, so that compilers tell without being asked to (no -Wall).
awk '/^struct sh_call \{/ { inside = 1; next } /^};/ { inside = 0 } inside' include/whendo/shellcmd.h |
  awk '{ gsub(/\/\*[^*]*\*+([^\/*][^*]*\*+)*\//, "") } 1' RS='\001' |
  grep -oE '[a-z_]+[,;]' | tr -d ',;' |
  grep -vE '^(size|argv_end|stays_null_.)$' >"$tmp/options"
{
  echo '#include <whendo/shellcmd.h>'
  while read -r o; do
    echo "sh_result *f_$o(const sh_call *c) { return sh(\"a\", .$o = c->$o, \"b\"); }"
  done <"$tmp/options"
} >"$tmp/behind.c"
for cc in gcc clang; do
  n=$((n + 1))
  what="an argument behind any of $(wc -l <"$tmp/options") options is told, $cc"
  if ! command -v $cc >/dev/null; then
    echo "ok $n - $what # SKIP $cc is not installed"
    continue
  fi
  [ $cc = clang ] && limit=-ferror-limit=0 || limit=-fmax-errors=0
  $cc -std=c11 -fsyntax-only $limit -Iinclude "$tmp/behind.c" 2>"$tmp/out"
  missed=$(OPTIONS=$tmp/options awk -F: -v f="$tmp/behind.c" '$1 == f && /(warning|error):/ { seen[$2] = 1 }
    END { while ((getline o <(ENVIRON["OPTIONS"])) > 0) if (!seen[++line + 1]) print "# ." o }' \
    "$tmp/out")
  if [ -z "$missed" ]; then echo "ok $n - $what"; else
    echo "not ok $n - $what"
    echo "$missed"
  fi
done
