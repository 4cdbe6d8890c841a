#!/bin/sh
# Commands that write into what is watched: told once, left alone, and never at the price of
# somebody else's change.
. tests/lib/tap.sh
plan 21
mkdir t

# loops NAME TELLS OPTION... -- COMMAND: is told with a line that matches TELLS, and runs no more.
loops() {
  name=$1 tells=$2
  shift 2
  rm -rf t
  mkdir t
  start own run "$@"
  if until_true 30 has own.err "$tells"; then pass "$name"; else fail "$name" "$(head -30 own.err)"; fi
  runs=$(count own.err 'run [0-9]+: sh')
  sleep 1.5 # longer than it waits before it runs on suspicion
  is "... once, and then it is quiet" "$(count own.err itself) $(count own.err 'run [0-9]+: sh')" "1 $runs"
}

loops 'the same file' 't/own is changed by the command itself: not reacting to it until something else changes; -i /own ignores it for good' \
  t -- sh -c 'date +%N >t/own'
echo 1 >t/by-hand
check 'another change runs it again' until_true 10 has own.err 'run [0-9]+: sh .*t/by-hand'
finish INT
loops 'a new number each time' "t/[0-9]+ is changed by the command itself.*-i '/\[0-9\]\*'" \
  t -- sh -c 'touch t/$(date +%s%N)'
finish INT
loops '>out.$$' "t/s/out.[0-9]+ is changed by the command itself.*-i 's/out.\[0-9\]\*'" \
  t -- sh -c 'mkdir -p t/s; echo >t/s/out.$$'
finish INT
if has_guardians 'what it leaves behind writes' '... once, and then it is quiet'; then
  loops 'what it leaves behind writes' 't/late is changed by the command itself' t -- sh -c '(sleep 0.1; date >t/late) &'
  finish INT
fi
loops '-r: a short command' 't/own is changed by the command itself.*-i /own' -r t -- sh -c 'date +%N >t/own'
finish INT
loops '-r: a server and its log' 't/log is changed by the command itself.*-i /log' \
  -r t -- sh -c 'exec >>t/log; date +%N; exec sleep 1071'
echo 1 >t/by-hand
check 'another change restarts it' until_true 10 has own.err 'run [0-9]+: sh .*t/by-hand'
finish INT
loops '-r: a server and its pid file' 't/pid is changed by the command itself.*-i /pid' \
  -r t -- sh -c 'echo $$ >t/pid; exec sleep 1071'
finish INT

# What a stopped server writes at its end does not restart the next one.
rm -rf t
mkdir t
start s run -r t -- sh -c 'trap "date +%N >t/state; exit" TERM; echo up; while :; do sleep 0.05; done'
until_true 5 has s.out up
touch t/x
until_true 10 size_is s.out up 2
pause 1
is '-r: a server that saves when it is stopped' "$(count s.out up)" 2
finish INT

# The advice is right.
start a run -i '/out.[0-9]*' t -- sh -c 'echo >t/out.$$'
until_true 5 has a.err 'run 1: ok'
pause 1
is 'the pattern that is named ignores them' "$(count a.err 'run [0-9]+: sh')" 1
finish INT

# Somebody who saves during every run gets a run each time; the command has not written
# anything then. It waits for go.N, so that each save but the first comes while it runs.
cat >wait.sh <<'Y'
echo $WHENDO_PATH $(cat $WHENDO_PATH)
until [ -e go.$WHENDO_RUN ]; do sleep 0.02; done
Y
saved() { # saved FILE...: saves one after the other; prints what the runs have seen
  rm -f go.*
  start u run -q -P t -- sh wait.sh
  i=0
  for f in "$@"; do
    i=$((i + 1))
    echo "$i" >"$f"
    [ $i -eq 1 ] || : >go.$((i - 1))
    until_true 20 size_is u.out . $i || break
    pause 1 # nobody types faster
  done
  : >go.$i
  finish INT
  tr '\n' ' ' <u.out
}
! has_guardians 'saves during every run are all run for' ||
  is 'saves during every run are all run for' "$(saved t/save t/save t/save t/save t/save t/save)" \
  't/save 1 t/save 2 t/save 3 t/save 4 t/save 5 t/save 6 '
is 'so are new files' "$(saved t/file1 t/file2 t/file3 t/file4)" 't/file1 1 t/file2 2 t/file3 3 t/file4 4 '

# Who reacts to the end of every run at once is not the command either.
cat >react.py <<'X'
import os, select, subprocess, sys
p = subprocess.Popen([sys.argv[1], "run", "t", "--", "true"], stderr=subprocess.PIPE,
                     stdin=subprocess.DEVNULL, bufsize=0)
seen, n = b"", 0
while n < 12 and select.select([p.stderr], [], [], 20)[0]:
    seen += os.read(p.stderr.fileno(), 65536)
    if b": ok in" in seen:
        seen, n = b"", n + 1
        open("t/react", "w").write(str(n))
p.terminate()
p.wait()
print(n)
X
is 'a change at once after every end is run for' "$(python3 react.py "$W")" 12
