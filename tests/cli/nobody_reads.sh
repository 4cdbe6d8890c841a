#!/bin/sh
# Stderr or stdout is a pipe that is full, and whose reader waits (a pager, say): commands run
# all the same, and signals are heard.
. tests/lib/tap.sh
plan 9
mkdir t
mkfifo full
exec 8<>full
dd if=/dev/zero of=full bs=4096 oflag=nonblock 2>/dev/null

# on_full VERB ARGS...: as start does, but with what is open as stdout and stderr.
on_full() {
  verb=$1
  shift
  rm -f ready
  env --default-signal=INT "$W" "$verb" --ready-fd 3 "$@" 3>ready </dev/null &
  pid=$!
  pids="$pids $pid"
  until_true 5 test -s ready
}

on_full run t -- sh -c 'echo >>up; exec sleep 1101' 2>full
check 'run: the command starts' until_true 5 has_lines up 1
touch t/a
kill -INT "$pid"
check '... and ^C ends it' until_true 5 is_gone "$pid"
kill -KILL "$pid" 2>/dev/null
wait "$pid"
is '... as ever' $? 0

cat >two.yaml <<'X'
rules:
  - {name: a, paths: t, run: "echo >>up_a; echo out; exec sleep 1102"}
  - {name: b, paths: t, run: "echo >>up_b; echo err >&2; exec sleep 1103"}
X
on_full rules two.yaml >full 2>&1
check 'rules: the commands start' until_true 5 has_lines up_a 1
check '... each' until_true 5 has_lines up_b 1
kill -INT "$pid"
check '... and ^C ends them' until_true 5 is_gone "$pid"
kill -KILL "$pid" 2>/dev/null
wait "$pid"
is '... as ever' $? 130

printf 'tricks:\n- watchdog.tricks.LoggerTrick:\n    patterns: ["*"]\n' >log.yaml
on_full tricks log.yaml >full 2>tricks.err
touch t/b
pause 1
kill -INT "$pid"
check 'tricks: ^C ends a logger' until_true 5 is_gone "$pid"
kill -KILL "$pid" 2>/dev/null
wait "$pid"
is '... as ever' $? 0
