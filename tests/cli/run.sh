#!/bin/sh
# run: what starts when, with which arguments, and how it ends.
. tests/lib/tap.sh
plan 38
mkdir t
echo 1 >t/a

start a run -q t -- sh -c 'echo "run $WHENDO_RUN count $WHENDO_COUNT $WHENDO_EVENT $WHENDO_PATH"'
check 'the first run is at start' until_true 5 has a.out '^run 1 count 0'
echo 2 >t/a
check 'a change runs it again, with the event' until_true 5 has a.out '^run 2 count [0-9]+ modified t/a$'
finish INT
is 'INT ends with 0' $status 0

start b run t -- true
until_true 5 has b.err 'run 1: ok'
like 'the start line' "$(cat b.err)" '^whendo: run 1: true$'
like 'the end line' "$(cat b.err)" '^whendo: run 1: ok in [0-9.]+ m?s$'
finish TERM
is 'TERM ends with 0' $status 0

start c run -P -1 t -- sh -c 'exit 7'
touch t/go
wait $pid
is '-1 gives the status of the run' $? 7
start c run -P -1 t -- sh -c 'kill -9 $$'
touch t/go
wait $pid
is '-1 gives 128 + the signal' $? 137
"$W" run t -- no-such-command-here 2>err
is 'a command that is not there: 127' $? 127
like '... and a line that says so' "$(cat err)" '^whendo: .*no-such-command-here'
: >t/plain
"$W" run t -- t/plain 2>err
is 'a command that is not executable: 126' $? 126
"$W" run --exit-on-error t -- sh -c 'exit 3' 2>err
is '--exit-on-error' $? 3

start d run -q t -- 'echo "shell $((1 + 1))"'
check 'one word with a space is a shell line' until_true 5 has d.out '^shell 2$'
finish INT

# Names that a shell would obey.
cat >args <<'X'
#!/bin/sh
for a; do printf '<%s>' "$a"; done
echo
X
chmod +x args
start e run -q -P t -- ./args {}
touch "t/\$(touch PWNED)" 't/a b' 't/`touch PWNED`' "t/q'\";touch PWNED;" 
check 'names are arguments' until_true 5 sh -c 'cat e.out | tr -d "\n" | grep -q "touch PWNED;>"'
like '... each as one' "$(tr -d '\n' <e.out)" '<t/a b>'
finish INT
start e run -q -P -s t -- 'for f in {}; do printf "[%s]" "$f"; done; echo'
touch "t/\$(touch PWNED)x" 't/c d' 't/`touch PWNED`x'
check 'in a shell line too' until_true 5 sh -c 'tr -d "\n" <e.out | grep -q "\[t/\`touch PWNED\`x\]"'
check 'nothing was executed' test ! -e PWNED
finish INT
esc=$(printf '\033[31m')
start e run -P t -- ./args {}
: >"t/a$esc
b"
check 'controls are arguments as they are' until_true 5 sh -c "tr '\\n' @ <e.out | grep -Fq '<t/a$esc@b>'"
check '... and escaped in what is said' until_true 5 grep -Fq 'a\x1B[31m\x0Ab' e.err
is '... all of it' "$(count e.err "$(printf '\033')")" 0
finish INT
mkdir dash
cd dash || exit 1
start f run -q -P -- ../args {}
: >./-rf
check 'a leading - gets ./' until_true 5 has ../f.out '<\./-rf>'
finish INT
cd ..

start g run -q -P --stdin paths t -- sh -c 'sed "s/^/in: /"'
touch t/one
check '--stdin paths' until_true 5 has g.out '^in: t/one$'
finish INT
start g run -q -P --stdin json t -- cat
touch t/two
check '--stdin json' until_true 5 has g.out '"src_path":"t/two"'
finish INT

start h run -q -P --each -j 2 t -- sh -c 'echo "each $1 $WHENDO_PATH"' x {}
touch t/e1 t/e2
check '--each runs for every path' until_true 5 sh -c 'grep -q "each t/e1 t/e1" h.out && grep -q "each t/e2 t/e2" h.out'
finish INT

# 200 writes between two looks: the last state is seen, in at most two runs.
start i run -q -P t -- sh -c 'cat t/burst >>seen; echo >>seen'
write_200() {
  i=0
  while [ $i -lt 200 ]; do
    i=$((i + 1))
    echo $i >t/burst
  done
}
at_once write_200
check 'the last of 200 quick writes is seen' until_true 5 has seen '^200$'
runs=$(grep -c . seen)
check "200 quick writes are at most two runs ($runs)" test "$runs" -le 2
finish INT

# queue: one more run, with all that changed meanwhile.
start j run -vv -P t -- sh -c 'echo "start $WHENDO_COUNT"; while [ -e hold ]; do sleep 0.02; done'
: >hold
touch t/j0
until_true 5 has j.out start
touch t/j1
touch t/j2
until_true 5 has j.err 'whendo: [a-z]* t/j2$'
rm hold
until_true 5 size_is j.out start 2
pause 1
is 'queue makes exactly one more run' "$(count j.out start)" 2
finish INT

start r run -vv -P -o drop t -- sh -c 'echo start; while [ -e hold ]; do sleep 0.02; done'
: >hold
touch t/r0
until_true 5 has r.out start
touch t/r1
until_true 5 has r.err 'whendo: [a-z]* t/r1$'
rm hold
pause 1
is 'drop forgets what came meanwhile' "$(count r.out start)" 1
finish INT
start k run -q -P -o signal --signal USR1 t -- sh -c 'trap "echo usr1; exit" USR1; echo start; while :; do sleep 0.05; done'
touch t/k0
until_true 5 has k.out start
touch t/k1
check '--on-busy signal' until_true 5 has k.out usr1
finish INT

start l run -q --timeout 0.2 -v t -- sleep 60
check '--timeout ends a run' until_true 5 has l.err 'run 1: timed out'
finish INT

start m run -q -P --every 0.1 t -- echo tick
check '--every runs without changes' until_true 5 size_is m.out tick 3
finish INT

start o run -q --restart-on-exit t -- echo again
check '--restart-on-exit' until_true 5 size_is o.out again 3
finish INT

start p run -E A=b -C / t -- sh -c 'echo "$A in $PWD"'
check '-E and -C' until_true 5 has p.out '^b in /$'
finish INT

start s run -q -P -C / t -- sh -c 'test -e "$1" && echo "there: $1"' x {}
touch t/elsewhere
check '... and paths are right from there' until_true 5 has s.out '^there: /.*/t/elsewhere$'
finish INT

start q run t -- sh -c 'date +%N >t/own'
check 'a command that triggers itself is told' until_true 10 has q.err "t/own is changed by the command itself.*-i /own"
finish INT
start v run -r t -- sh -c 'date +%N >t/own2'
check '... also with -r' until_true 10 has v.err "t/own2 is changed by the command itself"
runs=$(count v.err 'run [0-9]+: sh') # the last one may not have ended
pause 2
is '... and it stops' "$(count v.err 'run [0-9]+: sh')" "$runs"
finish INT

start x run -r --timings t -- sh -c 'echo up; exec sleep 1061'
until_true 5 has x.out up
touch t/timed
until_true 5 size_is x.out up 2
finish INT
like '--timings' "$(cat x.err)" 'run 1: started 0.0 ms after the batch; user [0-9.]+ m?s, system [0-9.]+ m?s, at most [0-9]+ KiB'
