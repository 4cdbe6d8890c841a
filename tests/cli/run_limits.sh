#!/bin/sh
# Limits and other people's machines: watches run out, nohup, readers that go, full disks.
. tests/lib/tap.sh
plan 13
mkdir t

# 60 directories and 20 watches: a user namespace has its own limit.
i=0
while [ $i -lt 60 ]; do
  i=$((i + 1))
  mkdir -p t/d$i
done
cat >limited <<X
echo 20 >/proc/sys/user/max_inotify_watches || exit 99
exec '$W' log --poll-interval 0.1 t
X
if unshare -Ur sh -c 'echo 20 >/proc/sys/user/max_inotify_watches' 2>/dev/null; then
  unshare -Ur sh ./limited >l.out 2>l.err &
  pid=$!
  pids="$pids $pid"
  until_true 20 has l.err 'whendo: watching'
  like 'out of watches: one line names the limit and what is needed' \
    "$(grep -v 'whendo: watching' l.err)" 'max_(user|inotify)_watches.* [0-9]+'
  is '... only one' "$(grep -c _watches l.err)" 1
  i=0
  while [ $i -lt 60 ]; do
    i=$((i + 1))
    touch t/d$i/f
  done
  seen_all() { [ "$(count l.out '^created t/d[0-9]*/f')" -eq 60 ]; }
  check '... and everything is still watched' until_true 30 seen_all
  finish TERM
  is '... TERM ends it' $status 143
else
  for i in 'out of watches' '... only one' '... and everything' '... TERM'; do
    skip "$i" 'no user namespace'
  done
fi

# nohup: the terminal goes, the work goes on.
nohup "$W" run t -- sh -c 'echo "run $WHENDO_RUN"' >nohup.out 2>nohup.err </dev/null &
pid=$!
pids="$pids $pid"
until_true 10 has nohup.err 'run 1: ok'
kill -HUP $pid
echo 1 >t/nohup
check 'nohup: HUP changes nothing' until_true 10 has nohup.out 'run 2'
finish TERM
is '... TERM ends it' $status 0

# A reader that goes away.
{
  "$W" log t 2>head.err
  echo $? >head.status
} | head -1 >head.out &
until_true 10 has head.err watching
until_true 10 sh -c 'touch "t/head.$(date +%N)"; test -s head.status'
is '| head: 141' "$(cat head.status)" 141
is '... without a word' "$(wc -l <head.err)" 1
{
  "$W" wait t 2>full.err >/dev/full
  echo $? >full.status
} &
until_true 10 sh -c 'touch "t/full.$(date +%N)"; test -s full.status'
is 'wait and a full disk: 125' "$(cat full.status)" 125
is '... said' "$(cat full.err)" 'whendo: stdout: No space left on device'

# 200 quick writes, the first of which may run at once: at most two runs see all of it. The
# quiet time is one that a busy machine does not fill by itself.
start q run -q -P -d 2s --debounce-max 30s t -- sh -c 'cat t/burst >>seen; echo >>seen'
python3 -c '
for i in range(1, 201):
    with open("t/burst", "w") as f:
        f.write(str(i))'
until_true 10 has seen '^200$'
is 'the last of 200 quick writes is seen' "$(grep . seen | tail -1)" 200
runs=$(grep -c '' seen)
check "200 quick writes are at most two runs ($runs)" test "$runs" -le 2
finish INT

# Writing the same file again and again is not quiet.
start r run -P -d 4s --debounce-max 60s t -- date +%s%N
echo 1 >t/again
until_true 10 has_lines r.out 1
echo 2 >t/again
sleep 1.2
t0=$(date +%s%N)
echo 3 >t/again
until_true 20 has_lines r.out 2
ms=$((($(sed -n 2p r.out) - t0) / 1000000))
check "the quiet time is counted from the last write ($ms ms)" test $ms -ge 3900
finish INT
