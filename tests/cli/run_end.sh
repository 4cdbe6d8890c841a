#!/bin/sh
# ^C ends whendo within the grace time, whatever it is doing just then, and leaves nothing.
. tests/lib/tap.sh
plan 22
mkdir t
none_left() { ! pgrep -f "$1" >/dev/null; }

# ends NAME MS: the ^C that follows ends $pid with 0, in less than MS more than the grace time.
ends() {
  t0=$(date +%s%N)
  finish INT
  ms=$((($(date +%s%N) - t0) / 1000000))
  is "$1: ends with 0" $status 0
  if [ $ms -lt "$2" ]; then pass "... in time ($ms ms)"; else fail '... in time' "$ms ms"; fi
}

start idle run -P t -- true
ends 'idle' 3000

start after run t -- true
until_true 10 has after.err 'run 1: ok'
ends 'after a run' 3000

start busy run t -- sleep 1201
until_true 10 pgrep -fx 'sleep 1201'
ends 'during a run' 3000

# A change stops the run, which does not want to; ^C comes while it is waited for.
start grace run -r --stop-timeout 1s t -- sh -c 'trap "echo asked" TERM; trap "" INT; echo up; while :; do sleep 0.05; done; : deaf3'
until_true 10 has grace.out up
touch t/grace
until_true 10 has grace.out asked
ends 'in the grace time of a restart' 4000
check '... with nothing left' until_true 3 none_left ': deaf3'

start delay run --delay 60s t -- true
ends 'in --delay' 3000

start debounce run -P -d 60s --debounce-max 60s t -- echo ran
touch t/debounce1
touch t/debounce2
ends 'in the quiet time' 3000

start backoff run --restart-on-exit t -- false
until_true 10 size_is backoff.err 'exit 1' 2
ends 'in the back-off' 3000

start every run -P --every 60s t -- true
ends 'in --every' 3000

start left run --stop-timeout 1s t -- sh -c '(trap "" TERM INT; while :; do sleep 0.05; done; : deaf4) & echo up'
until_true 10 has left.err 'run 1: ok'
ends 'with something left behind that ignores TERM' 4000
check '... which is killed' until_true 3 none_left ': deaf4'

start each run -P --each -j 3 t -- sh -c 'sleep 1202; : {}'
touch t/e1 t/e2 t/e3 t/e4 t/e5
until_true 10 pgrep -fx 'sleep 1202'
ends 'during --each -j' 3000
