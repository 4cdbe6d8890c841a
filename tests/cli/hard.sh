#!/bin/sh
# What happens on bad days: limits, rights, closed descriptors, editors, big checkouts.
. tests/lib/tap.sh
plan 22
mkdir t

# Standard streams closed in every combination: no file may become one of them.
bad=
for how in '<&-' '>&-' '2>&-' '<&- >&-' '<&- 2>&-' '>&- 2>&-' '<&- >&- 2>&-'; do
  eval "'$W' run -P -1 --log-file said t -- sh -c 'exit 5' $how" &
  p=$!
  pids="$pids $p"
  until_true 5 grep -q watching said || bad="$bad ($how: not ready)"
  : >said
  touch "t/f$p"
  wait $p
  [ $? -eq 5 ] || bad="$bad ($how)"
done
is 'closed standard streams' "$bad" ''

# A pipe that is full for a while, and does not block because its owner wanted that.
cat >slow.py <<'X'
import array, fcntl, os, subprocess, sys, termios, time
r, w = os.pipe()
room = fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 4096)
os.set_blocking(w, False)
p = subprocess.Popen(sys.argv[1:], stdout=w)
n, end = array.array("i", [0]), time.monotonic() + 60
while n[0] < room and p.poll() is None and time.monotonic() < end:
    fcntl.ioctl(r, termios.FIONREAD, n)
    time.sleep(0.01)
os.close(w)
text = open(r, "rb").read()
print(p.wait(), len(text))
X
if command -v python3 >/dev/null; then
  is 'a pipe that does not block' "$(python3 slow.py "$W" completions bash 2>&1)" "0 $("$W" completions bash | wc -c)"
else
  skip 'a pipe that does not block' 'no python3'
fi

printf 'int main(void) { return 0; }\n' >t/save.c
start a run -e c t -- true
until_true 5 has a.err 'run 1: ok'
i=1
for save in 'cp t/save.c t/n && mv t/n t/save.c' 'mv t/save.c t/save.c~; cp t/save.c~ t/save.c; rm t/save.c~' \
  'printf x >>t/save.c' ': >t/save.c; printf x >t/save.c'; do
  i=$((i + 1))
  at_once eval "$save"
  until_true 5 has a.err "run $i: ok" || bad="$bad $save"
done
is 'every way to save runs the command' "$bad" ''
pause 1
is '... once' "$(count a.err ': ok')" 5
finish INT

if command -v vim >/dev/null; then
  start v run -e c t -- true
  until_true 5 has v.err 'run 1: ok'
  vim -es -u NONE -c 'e t/save.c' -c 's/x/y/' -c 'set backup' -c 'wq' </dev/null
  check 'vim saves, one run' until_true 5 has v.err 'run 2: ok'
  finish INT
else
  skip 'vim saves, one run' 'no vim'
fi

# git checkout of many files is one run.
git init -q r
cd r || exit 1
git config user.email a@b
git config user.name n
i=0
while [ $i -lt 500 ]; do
  i=$((i + 1))
  echo 1 >"f$i"
done
git add .
git commit -qm one
for f in f*; do echo 2 >"$f"; done
git commit -qam two
# The quiet time is what a slow checkout needs: its writes are never that far apart.
start g run -d 1s --debounce-max 60s -- true
until_true 5 has ../g.err 'run 1: ok'
git checkout -q HEAD~1
until_true 5 has ../g.err 'run 2: ok'
pause 3
runs=$(count ../g.err ': ok')
# The one at start, one at once, one for the rest, one more where a run falls into it.
check "git checkout of 500 files is few runs ($((runs - 1)))" test "$runs" -le 4
is '... and .git is not watched' "$(sed -n 's/.*watching . (\([0-9]*\) .*/\1/p' ../g.err)" 1
finish INT
cd ..

# A file given by name survives being replaced, deleted and made again.
start b log t/save.c
mv t/save.c t/away
cp t/away t/save.c
check 'a file that is made again' until_true 5 has b.out '^created t/save.c$'
finish INT

start c run -q -P t/later/deep -- echo seen
mkdir -p t/later
touch t/later/deep
check 'a path that does not exist yet' until_true 5 has c.out seen
finish INT

printf 't/one\nt/two\n' >list
touch t/one t/two
start f run -q -P -f list -- echo 'got' '{}'
touch t/other
touch t/two
check '--files-from watches these' until_true 5 has f.out '^got t/two$'
is '... and only these' "$(count f.out other)" 0
finish INT

# The program that runs is replaced while it runs.
cp /bin/sleep t/prog
start p run -r t/prog -- ./t/prog 1031
until_true 5 pgrep -fx './t/prog 1031'
cp /bin/sleep t/new && mv t/new t/prog
check 'a running program that is replaced' until_true 5 size_is p.err 'run 2:' 1
finish INT
check '... ends' until_true 3 sh -c '! pgrep -fx "./t/prog 1031"'

# Out of descriptors is one line and 125, never a crash.
bad=
for n_fds in 4 5 6 7 8 9 10 11 12 14 16; do
  sh -c "ulimit -n $n_fds; exec '$W' run -1 --exit-on-error t -- false" >out 2>err </dev/null
  status=$?
  case "$status $(tail -1 err)" in '125 whendo: '* | '1 whendo: run 1: exit 1'*) ;; *) bad="$bad ($n_fds: $status $(cat err))" ;; esac
done
is 'out of descriptors' "$bad" ''

# The current directory was removed: what needs it says so, the rest works.
mkdir gone
for how in log wait why\ x; do
  out=$(cd gone && rmdir ../gone && "$W" $how 2>&1 </dev/null)
  is "$how in a directory that was removed" "$? $out" \
    "125 whendo: $(case $how in why*) echo x ;; *) echo . ;; esac): the current directory: no such file or directory"
  mkdir gone
done
out=$(cd gone && rmdir ../gone && "$W" why "$tmp/t/x")
is '... of what is elsewhere' "$? $out" "0 $tmp/t/x: passes: no rule is against it"

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  mkdir -p u/no u/yes
  chmod 700 u/no
  chmod 755 "$tmp" u u/yes
  chmod 777 u/yes
  setpriv --reuid=65534 --regid=65534 --clear-groups "$W" log u >u.out 2>u.err &
  p=$!
  pids="$pids $p"
  until_true 5 has u.err watching
  like 'an unreadable directory is told' "$(cat u.err)" 'whendo: .*u/no: cannot be read'
  touch u/yes/f
  check '... and the rest is watched' until_true 5 has u.out 'created u/yes/f'
  kill $p
  setpriv --reuid=65534 --regid=65534 --clear-groups "$W" plan u >plan.out 2>plan.err
  like '... which plan tells, too' "$(cat plan.err)" '^whendo: .*u/no: cannot be read: not watched$'
  cp "$W" ./suid
  chown 65533 suid
  chmod 4755 suid
  case $BUILD in
  *sanitize*) skip 'set-user-ID is refused' 'the leak checker fails there' ;;
  *)
    setpriv --reuid=65534 --regid=65534 --clear-groups ./suid --version >out 2>err
    is 'set-user-ID is refused' "$? $(cut -d' ' -f1-3 err)" '2 whendo: set-user-ID or'
    ;;
  esac
else
  skip 'an unreadable directory is told' 'not root'
  skip '... and the rest is watched' 'not root'
  skip '... which plan tells, too' 'not root'
  skip 'set-user-ID is refused' 'not root'
fi
