#!/bin/sh
# Who has written it? A server that writes a file at each start is left alone; whoever else
# writes the same file, at whatever moment, is reacted to.
. tests/lib/tap.sh
plan 22
mkdir t
runs() { count "$1" 'run [0-9]+: sh'; } # runs FILE
quiet() { # quiet NAME FILE N: there have been N runs, and no more come
  until_true 20 size_is "$2" 'run [0-9]+: sh' "$3"
  pause 1
  is "$1" "$(runs "$2")" "$3"
}

settled() { # settled FILE: nothing is added to it for longer than a suspicion waits
  lines=$(wc -l <"$1")
  pause 2
  [ "$(wc -l <"$1")" -eq "$lines" ]
}

# ---- restarted by its own file
cat >server.sh <<'X1'
date +%N >t/state # opened, written and closed at once
exec sleep 1081
X1
known_by_pid() { # who wrote it is asked of the guardian
start a run -r -i .new t -- sh server.sh
check '-r: a server that writes a file at each start is told of' until_true 30 has a.err \
  't/state is changed by the command itself: not reacting to it until something else changes; -i /state ignores it for good'
quiet '... and is not restarted by it any more' a.err 3
echo 1 >t/other
quiet '... another file restarts it, once' a.err 4
echo user >t/state
quiet '... so does somebody who writes that file' a.err 5
echo user >t/.new
mv t/.new t/state
quiet '... or puts another in its place' a.err 6
echo user >>t/state
quiet '... also the new one' a.err 7
is '... all this is said once' "$(count a.err itself)" 1
check 'nobody who opens the file is kept waiting' timeout 5 sh -c ': >>t/state'
finish INT

cat >slow.sh <<'X1'
while :; do sleep 1.3; date +%N >t/state; done
X1
rm -rf t; mkdir t
start b run -r t -- sh slow.sh
check 'a server that writes it long after its start is known' until_true 30 has b.err 't/state is changed by the command itself: not'
pause 3
is '... and not restarted any more' "$(runs b.err)" 3
finish INT
}
has_guardians '-r: a server that writes a file at each start is told of' \
  '... and is not restarted by it any more' \
  '... another file restarts it, once' \
  '... so does somebody who writes that file' \
  '... or puts another in its place' \
  '... also the new one' \
  '... all this is said once' \
  'nobody who opens the file is kept waiting' \
  'a server that writes it long after its start is known' \
  '... and not restarted any more' && known_by_pid

# Another file in the place of the old one: nothing tells whose it is.
rm -rf t; mkdir t
start c run -r -i .new t -- sh -c 'date +%N >t/.new; mv t/.new t/state; exec sleep 1082'
check 'without proof it is restarted ever more slowly' until_true 60 has c.err \
  't/state is changed by the command itself, it seems: restarting ever more slowly.*-i /state'
echo 1 >t/other
check '... but at once by another file' until_true 20 has c.err 'run [0-9]+: sh .*(t/other|and 1 more)'
finish INT

# ---- whoever reacts to the command is not the command
cat >react.py <<'X1'
# Each time the command has written "up" somebody saves t/file at once; N runs.
import os, select, subprocess, sys
n, save, options = int(sys.argv[2]), sys.argv[3], sys.argv[4:]
p = subprocess.Popen([sys.argv[1], "run", "-q"] + options, stdout=subprocess.PIPE, bufsize=0,
                     stdin=subprocess.DEVNULL)
seen = b""
while seen.count(b"up") < n and select.select([p.stdout], [], [], 20)[0]:
    before, seen = seen.count(b"up"), seen + os.read(p.stdout.fileno(), 65536)
    if seen.count(b"up") > before:
        name = "t/file" if save == "in-place" else "t/.new"
        with open(name, "w") as f:
            f.write(str(seen.count(b"up")))
        if save == "rename":
            os.rename(name, "t/file")
p.terminate()
p.wait()
print(seen.count(b"up"))
X1
react() { timeout 100 python3 react.py "$W" "$@"; }
rm -rf t; mkdir t
is '-r: who saves at once after every start is reacted to' "$(react 60 in-place -r t -- sh -c 'echo up; exec sleep 1083')" 60
is '... also by another file in its place' "$(react 6 rename -r -i .new t -- sh -c 'echo up; exec sleep 1083')" 6
is '... and while the command is busy with writing elsewhere' "$(
  react 20 in-place -r t -- sh -c 'echo up; i=0; while [ $i -lt 200 ]; do echo >elsewhere; i=$((i + 1)); done; exec sleep 1083')" 20
! has_guardians 'a command that ends: who saves with its output is reacted to' ||
  is 'a command that ends: who saves with its output is reacted to' "$(react 12 in-place t -- sh -c 'echo up; sleep 0.05')" 12

# What was taken for the command's is reacted to when the command cannot have done it.
rm -rf t; mkdir t
start d run t -- sh -c 'date +%N >t/.new; mv t/.new t/own'
check 'a command that puts a file in place of its own' until_true 30 has d.err 'itself: not reacting'
pause 1
before=$(runs d.err)
echo user >t/own
check '... a save of it by somebody else runs' until_true 20 has d.err "run $((before + 1)): sh .*t/own"
finish INT

# ---- rules that start each other
rm -rf t; mkdir t
cat >pair.yaml <<'X1'
rules:
  - name: a
    paths: [t/x, t/src]
    run: date +%N >t/y; echo ran a
  - name: b
    paths: [t/y]
    run: date +%N >t/x; echo ran b
X1
start e rules pair.yaml
# Two rounds go on at once: a path may change while both commands run.
check 'rules that start each other are told of, by name and path' until_true 30 grep -Eq \
  't/(x is changed by (rule b, which rule a starts by changing t/y|the command itself or by rule b): not .* ignore: x|y is changed by (rule a, which rule b starts by changing t/x|the command itself or by rule a): not .* ignore: y) ignores' e.err
check '... and are quiet then' until_true 6 settled e.out
before=$(count e.out 'ran b')
echo 1 >t/src
check '... something else sets both going, once' until_true 20 size_is e.out 'ran b' $((before + 1))
check '... and no further' until_true 6 settled e.out
finish INT
