#!/bin/sh
# ^C ends whendo within the grace time, whatever it is doing just then, and leaves nothing.
. tests/lib/tap.sh
plan 29
mkdir t
none_left() { ! pgrep -f "$1" >/dev/null; }

# ends NAME MS: the ^C that follows ends $pid with 0, in less than MS, which is far from the
# grace time: either that is much longer, as nothing has to be killed, or much shorter.
ends() {
  t0=$(date +%s%N)
  finish INT
  ms=$((($(date +%s%N) - t0) / 1000000))
  is "$1: ends with 0" $status 0
  if [ $ms -lt "$2" ]; then pass "... in time ($ms ms)"; else fail '... in time' "$ms ms"; fi
}

start idle run -P --stop-timeout 100s t -- true
ends 'idle' 30000

start after run --stop-timeout 100s t -- true
until_true 10 has after.err 'run 1: ok'
ends 'after a run' 30000

start busy run --stop-timeout 100s t -- sleep 1201
until_true 10 pgrep -fx 'sleep 1201'
ends 'during a run' 300000

# A change stops the run, which does not want to; ^C comes while it is waited for.
start grace run -r --stop-timeout 1s t -- sh -c 'trap "echo asked" TERM; trap "" INT; echo up; while :; do sleep 0.05; done; : deaf3'
until_true 10 has grace.out up
touch t/grace
until_true 10 has grace.out asked
ends 'in the grace time of a restart' 30000
check '... with nothing left' until_true 3 none_left ': deaf3'

start delay run --stop-timeout 100s --delay 60s t -- true
ends 'in --delay' 30000

start debounce run --stop-timeout 100s -P -d 60s --debounce-max 60s t -- echo ran
touch t/debounce1
touch t/debounce2
ends 'in the quiet time' 30000

start backoff run --stop-timeout 100s --restart-on-exit t -- false
until_true 10 size_is backoff.err 'exit 1' 2
ends 'in the back-off' 30000

start every run --stop-timeout 100s -P --every 60s t -- true
ends 'in --every' 30000

if has_guardians 'with something left behind that ignores TERM' '... in time' '... which is killed'; then
start left run --stop-timeout 1s t -- sh -c '(trap "" TERM INT; while :; do sleep 0.05; done; : deaf4) & echo up'
until_true 10 has left.err 'run 1: ok'
ends 'with something left behind that ignores TERM' 30000
check '... which is killed' until_true 3 none_left ': deaf4'
fi

start each run --stop-timeout 100s -P --each -j 3 t -- sh -c 'sleep 1202; : {}'
touch t/e1 t/e2 t/e3 t/e4 t/e5
until_true 10 pgrep -fx 'sleep 1202'
ends 'during --each -j' 30000

# While the tree is read for the first time: here each directory takes a second.
mkdir -p slow/1 slow/2 slow/3 slow/4 slow/5 slow/6 slow/7 slow/8
cp -r slow slow.1
cp -r slow slow.2
mv slow.1 slow.2 slow
printf 'rules:\n  - run: "true"\n    paths: slow\n' >slow.yaml
slow="strace -f -qq -o trace -e trace=getdents64 -e inject=getdents64:delay_enter=1000000"
case $BUILD in *sanitize*) slow=none ;; esac
for how in '0 run slow -- true' '130 rules slow.yaml' '130 log slow' '130 wait slow' '130 shell-command -R -c true slow' \
  '0 auto-restart -R -d slow true' '130 plan slow'; do
  if ! $slow true 2>/dev/null; then
    skip "while it reads: ${how#* }" 'no strace, or sanitizers'
    continue
  fi
  rm -f trace
  env --default-signal=INT $slow "$W" ${how#* } >slow.out 2>&1 &
  p=$!
  pids="$pids $p"
  until_true 10 has trace getdents64
  t0=$(date +%s)
  until_true 10 sh -c "kill -INT \$(ps -o pid= --ppid $p)"
  wait $p
  is "while it reads: ${how#* }" "$? $(($(date +%s) - t0 < 15))" "${how%% *} 1"
done
