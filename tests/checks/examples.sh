#!/bin/sh
# The programs of tests/examples do what their first lines say.
set -u
bin=$(cd "${BUILD:-build}/examples" && pwd) || exit 1
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
n=0

# is DESCRIPTION WANTED-STATUS STATUS PATTERN...: also, each pattern is in the file out.
is() {
  n=$((n + 1))
  what=$1 good=yes
  [ "$2" -eq "$3" ] || good="status $3, not $2"
  shift 3
  for pattern in "$@"; do
    grep -qE -e "$pattern" out || good="no line like $pattern"
  done
  if [ "$good" = yes ]; then echo "ok $n - $what"; else
    echo "not ok $n - $what"
    echo "# $good"
    sed 's/^/# /' out
  fi
}

echo 1..11

printf 'int two(void);\nint main(void) { return two(); }\n' >main.c
printf 'int two(void) { return 2; }\n' >two.c
"$bin/build_driver" prog main.c two.c >out 2>&1
is 'the build driver compiles and links' 0 $? '^compiling 2 of 2$' '^linked$'
./prog
is 'what it built runs' 2 $?
"$bin/build_driver" prog main.c two.c >out 2>&1
is 'what is up to date is not compiled again' 0 $? '^compiling 0 of 2$'
printf 'int two(void) { return undeclared; }\n' >two.c
touch -d '1 minute' two.c
"$bin/build_driver" prog main.c two.c >out 2>&1
is 'an error is shown with the command' 1 $? '^compiling 1 of 2$' 'cc -c two\.c' 'undeclared'

printf '#!/bin/sh\ngrep -n TODO "$1" && exit 1\nexit 0\n' >lint
chmod +x lint
for i in 1 2 3 4 5 6 7 8; do echo "line $i" >"file $i"; done
echo TODO >>'file 3'
echo 'a TODO' >>'file 7'
"$bin/parallel_lint" 3 ./lint file\ * >out 2>&1
is 'the linter tells what was wrong with which file' 1 $? '8 of 8, 2 bad' '^file 3: exit' '^2:TODO' '^file 7: exit'
[ "$(grep -n '^file ' out | head -n 1 | cut -d: -f2)" = 'file 3' ]
is 'in the order of the files' 0 $?
"$bin/parallel_lint" 3 ./lint 'file 1' 'file 2' >out 2>&1
is 'and succeeds when all is well' 0 $? '2 of 2, 0 bad'

mkfifo lines
"$bin/supervised_server" sh -c "echo up; trap '' TERM; sleep 97.$$ & wait; sleep 97.$$" >lines 2>&1 &
server=$!
{ read -r line; kill -TERM $server; cat >out; echo "$line" >>out; } <lines
wait $server
is 'the server runs, and stops although it ignores SIGTERM' 0 $? '^server: up$' '^stopped$'
! pgrep -f "sleep 97\.$$" >out
is 'and nothing it has started is left' 0 $?
"$bin/supervised_server" sh -c 'echo up; exit 3' >out 2>&1
status=$?
[ "$(grep -c '^server: up$' out)" -eq 5 ]
is 'a server that dies is started again, five times' 0 $((status + $?)) 'sh -c .*exit 3'

what='the session answers the prompts of a terminal'
if [ "${ENGINE:-}" = uv ]; then
  echo "ok 11 - $what # SKIP the engine uv has no terminals"
else
  "$bin/pty_session" >out 2>&1
  is "$what" 0 $? 'Welcome, eva. A terminal of 40 100' 'you said exit'
fi
