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
loops 'what it leaves behind writes' 't/late is changed by the command itself' t -- sh -c '(sleep 0.1; date >t/late) &'
finish INT
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

# Somebody who saves the same file during every run gets a run each time; the command has not
# written anything then.
start u run -q -P t -- sh -c 'cat t/save >>seen; echo start; while [ -e hold ]; do sleep 0.02; done'
: >hold
i=0
while [ $i -lt 6 ]; do
  i=$((i + 1))
  echo $i >t/save
  if [ $i -gt 1 ]; then rm hold; until_true 20 size_is seen . $i; : >hold; fi
  until_true 20 size_is u.out start $i || break
  pause 1 # nobody types faster
done
is 'saves during every run are all run for' "$(tr '\n' ' ' <seen)" '1 2 3 4 5 6 '
rm -f hold
finish INT

# The same for one who adds files.
start v run -q -P t -- sh -c 'echo start $WHENDO_PATH; while [ -e hold ]; do sleep 0.02; done'
: >hold
i=0
while [ $i -lt 4 ]; do
  i=$((i + 1))
  touch t/file$i
  if [ $i -gt 1 ]; then rm hold; until_true 20 size_is v.out start $i; : >hold; fi
  until_true 20 size_is v.out start $i || break
done
is 'so are new files' "$(tr '\n' ' ' <v.out)" 'start t/file1 start t/file2 start t/file3 start t/file4 '
rm -f hold
finish INT

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
