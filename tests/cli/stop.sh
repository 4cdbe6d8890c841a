#!/bin/sh
# Stopping: the whole group, its end awaited, nothing left, in every state.
. tests/lib/tap.sh
plan 25
mkdir t
none_left() { ! pgrep -f "$1" >/dev/null; }

start a run -r t -- sh -c 'echo start; exec sleep 1001'
until_true 5 has a.out start
touch t/x
check '-r restarts' until_true 5 size_is a.out start 2
until_true 5 pgrep -fx 'sleep 1001' # it becomes that after it has spoken
is '... and one copy is there' "$(pgrep -fxc 'sleep 1001')" 1
finish INT
check '^C leaves nothing' until_true 2 none_left 'sleep 1001'

# No earlier than that, and not much later in one of many times: others may keep the machine
# busy in any of them.
i=0 ms=9999 soonest=9999
while [ $i -lt 20 ] && [ $ms -ge 2500 ]; do
  i=$((i + 1))
  start b run --stop-timeout 0.3 t -- sh -c 'trap "" TERM INT; echo start; while :; do sleep 0.1; done; : deaf'
  until_true 5 has b.out start
  t0=$(date +%s%N)
  finish INT
  ms=$((($(date +%s%N) - t0) / 1000000))
  [ $ms -ge $soonest ] || soonest=$ms
done
check "TERM ignored: KILL after the grace time ($ms ms)" test $soonest -ge 250 -a $ms -lt 2500
is '... status 0' $status 0
check '... and nothing is left' until_true 2 none_left ': deaf'

# Long before the grace time is over.
start c run --stop-timeout 100s t -- sh -c 'trap "" TERM INT; echo start; while :; do sleep 0.1; done; : deaf2'
until_true 5 has c.out start
kill -INT $pid
until_true 5 has c.err 'stopping'
t0=$(date +%s)
finish INT
check "the second ^C kills" test $(($(date +%s) - t0)) -lt 50

start d run t -- sh -c 'sleep 1002 & sleep 1002 & echo start; wait'
until_true 5 has d.out start
finish TERM
check 'background jobs end too' until_true 2 none_left 'sleep 1002'

if has_guardians 'what left the group ends with whendo'; then
start e run t -- sh -c 'setsid sleep 1003 & echo start'
until_true 5 has e.err 'run 1: ok'
finish INT
check 'what left the group ends with whendo' until_true 2 none_left 'sleep 1003'
fi

start f run t -- sh -c 'sleep 1004 & echo start; wait'
until_true 5 has f.out start
kill -KILL $pid
check 'nothing outlives whendo killed by KILL' until_true 3 none_left 'sleep 1004'

daemons() {
# A daemon: two forks, a session and an environment of its own, deaf to everything.
cat >daemon.sh <<'X'
(env -i setsid sh -c 'trap "" TERM INT HUP; echo "$1" $$ >>up; while :; do sleep 0.05; done; : '"$1" d "$1" &) >/dev/null 2>&1
X
daemon_of() { awk -v of="$1" '$1 == of { print $2; exit }' up; } # the first one
start j run t -- sh -c 'sh daemon.sh deaf_j; setsid sleep 1007 & setsid sh -c "sleep 1007 & exec sleep 1007" & wait'
until_true 5 has up 'deaf_j'
kill -KILL $pid
check 'nor do daemons of a running command' until_true 3 none_left 'sleep 1007|deaf_j'

start k run t -- sh -c 'sh daemon.sh deaf_k; setsid sleep 1008 & echo start'
until_true 5 has k.err 'run 1: ok'
until_true 5 has up 'deaf_k'
kill -KILL $pid
check 'nor those of one that has ended' until_true 3 none_left 'sleep 1008|deaf_k'

start l run -r --stop-timeout 0.2 t -- sh -c 'sh daemon.sh deaf_l; setsid sleep 1009 & echo start; sleep 1010'
until_true 5 has up 'deaf_l'
touch t/l
until_true 5 size_is l.out start 2
until_true 5 size_is up deaf_l 2
check 'a restart ends what left the group' test "$(pgrep -fxc 'sleep 1009')" -le 1
check '... daemons too' is_gone "$(daemon_of deaf_l)"
finish INT
check '... and ^C' until_true 3 none_left 'sleep 1009|deaf_l|sleep 1010'

# Killed at any moment of a stop and a start.
i=0
while [ $i -lt 6 ]; do
  start m run -r --stop-timeout 0.1 t -- sh -c 'setsid sleep 1011 & sh daemon.sh deaf_m; echo start; sleep 1012'
  until_true 5 has m.out start
  touch t/m$i
  sleep 0.0$i
  kill -KILL $pid
  until_true 3 none_left 'sleep 101[12]|deaf_m' || break
  i=$((i + 1))
done
is 'killed by KILL while it restarts, it leaves nothing' $i 6

start o run -q t -- sh -c 'sh daemon.sh deaf_o; echo start'
until_true 5 has up 'deaf_o'
p=$(daemon_of deaf_o)
touch t/o
until_true 5 size_is o.out start 2
check 'a daemon is left alone by the next run' kill -0 "$p"
finish INT
}
! has_guardians 'nor do daemons of a running command' 'nor those of one that has ended' \
  'a restart ends what left the group' '... daemons too' '... and ^C' \
  'killed by KILL while it restarts, it leaves nothing' \
  'a daemon is left alone by the next run' || daemons

# It is continued to obey, and not killed when the grace time is over.
start g run --stop-timeout 100s t -- sh -c 'trap "echo asked; exit" INT TERM; kill -STOP $$; : stopped'
until_true 5 pgrep -f ': stopped'
until_true 5 is_stopped "$(pgrep -f ': stopped')"
finish INT
is 'a stopped child is ended' "$(cat g.out)" asked

# A leftover holds what the next run needs.
if has_guardians 'leftovers of a run end before the next'; then
start h run -q t -- sh -c 'sleep 1005 & echo start'
until_true 5 has h.out start
touch t/y
until_true 5 size_is h.out start 2
check 'leftovers of a run end before the next' until_true 3 sh -c '[ "$(pgrep -fxc "sleep 1005")" -le 1 ]'
finish INT
fi

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start i run -r t -- python3 -u -c '
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", '"$port"')); s.listen()
print("up", flush=True)
while True: s.accept()[0].close()'
if until_true 10 has i.out up; then
  i=1
  while [ $i -lt 100 ]; do
    echo $i >t/touch
    i=$((i + 1))
    until_true 10 size_is i.out up $i || break
  done
  is 'a TCP server restarts 100 times' "$(count i.out up)" 100
  is '... and never finds its port taken' "$(count i.err 'in use')" 0
  is '... nor is taken for one that restarts itself' "$(count i.err itself)" 0
else
  fail 'a TCP server restarts 100 times' "$(cat i.err)"
  fail '... and never finds its port taken' ''
  fail '... nor is taken for one that restarts itself' ''
fi
finish INT

(trap '' INT HUP; exec "$W" run t -- sleep 1006 >n.out 2>n.err) &
p=$!
pids="$pids $p"
until_true 5 has n.err 'run 1'
kill -INT $p
kill -HUP $p
check 'ignored INT and HUP stay ignored' kill -0 $p
kill -TERM $p
wait $p
is '... and TERM works' $? 0

# Each command of --each may leave something behind, long before the run ends.
if has_guardians 'what commands of --each left behind ends before the next run'; then
start each run -q -P --each -j 2 t -- sh -c 'sleep 1221 & echo {}'
touch t/each1 t/each2 t/each3 t/each4 t/each5
until_true 10 has each.out '^t/each5$'
touch t/each6
until_true 10 has each.out '^t/each6$'
one_left() { [ "$(pgrep -fxc 'sleep 1221')" -eq 1 ]; }
check 'what commands of --each left behind ends before the next run' until_true 10 one_left
finish INT
fi
