#!/bin/sh
# What makes a run and what does not: ways to change files, names that come and go, links,
# programs that are replaced; and whom signals reach.
. tests/lib/tap.sh
plan 34
mkdir t

# saved NAME COMMAND...: what the command changes makes a run, and at most one more (where the
# first change after a second of silence runs at once).
saved() {
  name=$1
  shift
  before=$(count r.err ': ok')
  "$@"
  until_true 20 size_is r.err ': ok' $((before + 1))
  touch t/barrier.$before # nothing of the change is left to run for after its run
  until_true 20 has r.out "^t/barrier.$before\$"
  until_true 20 sh -c 'tail -1 r.err | grep -q ": ok"'
  runs=$(($(count r.err ': ok') - before - 1))
  check "$name ($runs)" test $runs -ge 1 -a $runs -le 2
}

echo 1 >t/a
start r run -d 1s --debounce-max 60s --stdin paths t -- cat
until_true 10 has r.err 'run 1: ok'
saved 'a new file' touch t/new
saved 'a new directory with a file' sh -c 'mkdir -p t/x/y; echo 1 >t/x/y/f'
saved 'a new hidden directory with a file' sh -c 'mkdir t/.h; echo 1 >t/.h/f'
saved 'truncated and written' sh -c 'echo 2 >t/a'
saved 'replaced by rename' sh -c 'echo 3 >t/a.new; mv t/a.new t/a'
saved 'removed and made again' sh -c 'rm t/a; echo 4 >t/a'
saved 'sed -i' sed -i s/4/5/ t/a
saved 'touch' touch t/a
ln t/a t/b
until_true 10 has r.out '^t/b$'
saved 'both names of a file written' sh -c 'echo 6 >t/a; echo 7 >t/b'
saved 'a link that points elsewhere' sh -c 'ln -s a t/link; ln -sfn b t/link'
saved 'many files' sh -c 'i=0; while [ $i -lt 300 ]; do i=$((i + 1)); echo 1 >t/many$i; done'
saved 'a directory with files away' sh -c 'rm -r t/x'
if command -v vim >/dev/null; then
  for how in 'set nobackup nowritebackup' 'set writebackup backupcopy=no' 'set writebackup backupcopy=yes' 'set backup'; do
    saved "vim, $how" vim -es -u NONE -c "$how" -c 'e t/a' -c 's/$/x/' -c wq </dev/null
  done
else
  for how in 1 2 3 4; do skip "vim $how" 'no vim'; done
fi
before=$(count r.out '^t/a$')
chmod +x t/a
cat t/a >/dev/null
touch t/last
until_true 10 has r.out '^t/last$'
is 'mode and reading run nothing' "$(count r.out '^t/a$')" "$before"
finish INT
start m run -P --events attrib t -- echo ran
chmod -x t/a
check '... mode does if asked for' until_true 10 has m.out ran
finish INT

# Lists of files.
"$W" run -f /dev/null -- true 2>err </dev/null
is 'an empty list' "$? $(cat err)" '125 whendo: /dev/null: names no file to watch'
"$W" run -f nowhere -- true 2>err </dev/null
is 'a list that is not there' "$? $(cat err)" "2 whendo: -f: 'nowhere' cannot be read: No such file or directory"
ln -s nothing dangling
echo dangling >list
start d run -q -P -f list -- echo fixed
echo 1 >nothing.new
ln -sfn nothing.new dangling
check 'a dangling link in a list is fixed' until_true 10 has d.out fixed
finish INT

# Input: the command does not read what whendo was given.
mkfifo in
"$W" run --exit-on-error t -- sh -c 'cat >got; exit 3' <in 2>err &
p=$!
echo secret >in
wait $p
is 'the command has an empty input' "$? $(cat got)" '3 '
"$W" run --stop-signal NOPE t -- true 2>err
like 'an unknown signal' "$? $(cat err)" '^2 whendo: .*NOPE.* is no signal'

# A program that is still being written is not run.
mkfifo hold
start w run -q -P t/prog -- ./t/prog
{
  printf '#!/bin/sh\necho par'
  chmod +x t/prog
  read -r _ <hold
  printf 'tly no, whole\n'
} >t/prog &
writer=$!
until_true 10 test -x t/prog
echo >hold
wait $writer
check 'a script is run when it is whole' until_true 10 has w.out '^partly no, whole$'
finish INT
for what in t/fresh/f t/alone; do
  case $what in */f) watched=t ;; *) watched=$what ;; esac
  start f run -q -P -d 20s --debounce-max 100s $watched -- cat $what
  sh -c "mkdir -p ${what%/*}; exec 9>$what; printf begun, >&9; sleep 0.3; echo ended >&9"
  until_true 10 has f.out .
  is "$what, which is new: run when it is closed, not when it is there" "$(head -n 1 f.out)" begun,ended
  finish INT
done
start n run -P -1 t -- ./not-there
touch t/not
wait $pid
is 'one that is never there: 127 with -1' $? 127
cp /bin/sleep t/busy
start b run -r t/busy -- ./t/busy 1211
until_true 10 pgrep -fx './t/busy 1211'
cp /bin/sleep t/busy.new
mv t/busy.new t/busy
check 'a running program that is replaced is started anew' until_true 10 has b.err 'run 2:'
until_true 10 pgrep -fx './t/busy 1211'
rm t/busy
check '... and one that is gone is waited for' until_true 10 has b.err 't/busy'
cp /bin/sleep t/busy.new
mv t/busy.new t/busy
runs_again() { pgrep -fx './t/busy 1211' >/dev/null && [ "$(count b.err 'run [0-9]+: ./t/busy')" -ge 3 ]; }
check '... until it is back' until_true 10 runs_again
finish INT

# Signals.
start s run --stop-signal USR1 t -- sh -c 'sh -c "trap \"echo grandchild; exit\" USR1; echo up; while :; do sleep 0.05; done"; echo child'
until_true 10 has s.out up
finish TERM
check 'the stop signal reaches grandchildren' has s.out grandchild
start h run t -- sh -c 'echo up; exec sleep 1212'
until_true 10 has h.out up
finish HUP
is 'HUP ends the command' "$status $(pgrep -fxc 'sleep 1212')" '0 0'
start g run -r t/gone -- sh -c 'echo up; exec sleep 1213'
until_true 10 has g.out up
echo 1 >t/gone
until_true 10 size_is g.out up 2
rm t/gone
check 'a watched file that is removed restarts' until_true 10 size_is g.out up 3
finish INT
is '... and nothing is left' "$(pgrep -fxc 'sleep 1213')" 0
