#!/bin/sh
# Options that no other script is about: what is watched, which events pass, how runs and
# messages look.
. tests/lib/tap.sh
plan 65
mkdir -p t/d/e/f out/in

# seen NAME WANT OPTIONS...: what log prints for names created in t, sorted.
seen() {
  name=$1 want=$2
  shift 2
  rm -f t/*.* t/d/*.*
  start seen log --events created "$@" t
  touch t/a.c t/B.C t/b.h t/x.tmp t/d/d.c t/zz.last
  until_true 5 has seen.out last
  finish INT
  is "$name" "$(sed 's/created t.//' seen.out | grep -v last | sort | tr '\n' ' ')" "$want"
}
L='-p *.last'
seen '--pattern' 'a.c d/d.c ' $L --pattern '*.c'
seen '--patterns, a;b' 'a.c b.h d/d.c ' --patterns '*.last;*.c;*.h'
seen '-I' 'B.C a.c d/d.c ' -I $L -p '*.c'
seen '--ignore-case' 'B.C a.c d/d.c ' --ignore-case $L -e c
seen '--ext' 'a.c b.h d/d.c ' $L --ext c,h
seen '--ext, as others write it' 'a.c b.h d/d.c ' $L --ext '*.c, .h'
seen '--ignore' 'a.c b.h d/d.c ' --ignore '*.C' --ignore '*.tmp'
seen '--ignore-pattern, -patterns' 'B.C a.c d/d.c ' --ignore-pattern '*.h' --ignore-patterns '*.tmp'
seen '--regex' 'B.C b.h ' $L --regex '^[bB]\.'
seen '--ignore-regex' 'B.C a.c b.h ' --ignore-regex '^d/|tmp$'
seen '--include wins' 'd/d.c x.tmp ' --include x.tmp -i '*.tmp' -i 'a.*' -i '[bB].*'
# Relative to the directory of the file, as in any ignore file.
printf '# what passes\n*.c\n*.last\n!t/d/*\n' >filters
seen '--filter-file' 'a.c ' --filter-file filters
printf '*.tmp\n/t/d\n' >ignores
seen '--ignore-file' 'B.C a.c b.h ' --ignore-file ignores
seen '--recursive' 'B.C a.c b.h d/d.c x.tmp ' --recursive
seen '--no-recursive' 'B.C a.c b.h x.tmp ' --no-recursive
seen '--depth' 'B.C a.c b.h d/d.c x.tmp ' --depth 2
printf 'd\n*.tmp\n' >t/.gitignore
seen '--gitignore' 'B.C a.c b.h ' --gitignore
seen 'log without it' 'B.C a.c b.h d/d.c x.tmp '

start dirs log -D --events created t
mkdir t/new
touch t/new-file
until_true 5 has dirs.out new-file
is '-D, --ignore-directories' "$(cat dirs.out)" 'created t/new-file'
finish INT
start parent log --dir-modified --events created,modified t/d
touch t/d/child
check '--dir-modified' until_true 5 has parent.out '^modified t/d/$'
finish INT
start parent log --dir-modified --events modified t/d
echo >>t/d/child # closed, which nobody asked for
check '... of what was written to' until_true 5 has parent.out '^modified t/d/$'
finish INT

# Which ignores hold: why asks the same filter.
touch t/x.tmp
is 'ignore files and defaults' "$("$W" why t/x.tmp t/.x.swp | grep -c 'does not pass')" 2
is '--no-gitignore' "$("$W" why --no-gitignore t/x.tmp t/.x.swp | cut -d: -f1-2 | tr '\n' ' ')" 't/x.tmp: passes t/.x.swp: does not pass '
is '--no-default-ignore' "$("$W" why --no-default-ignore t/x.tmp t/.x.swp | cut -d: -f1-2 | tr '\n' ' ')" 't/x.tmp: does not pass t/.x.swp: passes '
is '--default-ignore' "$("$W" why --no-gitignore --default-ignore t/.x.swp | cut -d: -f1-2)" 't/.x.swp: does not pass'
is '--no-ignore' "$("$W" why --no-ignore t/x.tmp t/.x.swp | grep -c ': passes')" 2

# Links are followed only when asked for.
ln -s ../out t/link
for how in '' -L --follow-symlinks; do
  rm -f out/in/* t/end
  start link log --events created $how t
  touch out/in/f
  touch t/end
  until_true 5 has link.out end
  is "links, ${how:-by default}" "$(grep -c 'created t/link/in/f' link.out)" "$([ -z "$how" ] && echo 0 || echo 1)"
  finish INT
done

for b in inotify fsevent poll; do
  rm -f t/back
  start backend log -v --events created --backend $b --poll-interval 100ms t
  touch t/back
  check "--backend $b sees a file" until_true 10 has backend.out '^created t/back$'
  check "... and says its name" has backend.err "backend $b"
  finish INT
done
"$W" log -b inotfy t 2>err
is 'an unknown backend' "$? $(cat err)" "2 whendo: -b: 'inotfy' is not known; did you mean inotify?"

printf 't/one\0t/t\nwo\0' >list
touch t/one "t/t
wo"
start list run -q -P --print0 --files-from list -- printf '<%s>' {}
touch "t/t
wo"
check '--print0, --files-from' until_true 5 sh -c 'tr "\n" "@" <list.out | grep -q "<t/t@wo>"'
finish INT
start two run -q -P -w t/one --watch t/d -- echo got {}
touch t/d/x
check '-w, --watch' until_true 5 has two.out 'got t/d/x'
finish INT

start time log --time --events created t
touch t/timed
until_true 5 has time.out timed
like '--time' "$(cat time.out)" '^20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9]{6}Z created t/timed$'
finish INT
start halves log --watchdog --full-moves t
mv t/timed away
check '--full-moves' until_true 5 has halves.out '^moved t/timed -> $'
finish INT

start feed run -q -P --stdin paths0 t -- sh -c 'tr "\0" "|"'
touch t/fed
check '--stdin paths0' until_true 5 has feed.out 't/fed\|'
finish INT
start each run -q -P --each --jobs 2 t -- echo one {}
touch t/j1
check '--jobs' until_true 5 has each.out '^one t/j1$'
finish INT

start long run -P --restart --once --env 'A=b c' --workdir t/d --shell=/bin/sh t -- 'echo "$A in ${PWD##*/}"; exit 4'
touch t/long
wait $pid
is '--restart --once --env --workdir --shell' "$? $(cat long.out)" '4 b c in d'

start quiet run -q -P -d 2s --debounce-max 30s t -- sh -c 'echo $#' x {}
for i in 1 2 3 4 5 6 7 8 9 10; do : >"t/q$i"; done
sum_is() { [ "$(awk '{ n += $1 } END { print n + 0 }' quiet.out)" -ge "$1" ]; }
until_true 5 sum_is 10
runs=$(wc -l <quiet.out)
check "-d, --debounce-max: ten files are one batch, after the first that comes at once ($runs)" test "$runs" -le 2
finish INT

t0=$(date +%s%N)
start delay run -q --delay 400ms t -- echo late
until_true 5 has delay.out late
check '--delay' test $((($(date +%s%N) - t0) / 1000000)) -ge 400
finish INT
mkfifo in
"$W" run --stdin-quit t -- sleep 1091 <in 2>quit.err &
p=$!
pids="$pids $p"
exec 6>in
until_true 5 has quit.err 'run 1'
exec 6>&-
wait $p
is '--stdin-quit' "$? $(pgrep -fxc 'sleep 1091')" '0 0'

mkdir bin
printf '#!/bin/sh\nprintf "<%%s>" "$@" >%s/noted\n' "$tmp" >bin/notify-send
chmod +x bin/notify-send
PATH=$tmp/bin:$PATH start bell run --bell --notify t -- false
check '--bell' until_true 5 has bell.err "$(printf '\a')"
check '--notify' until_true 5 has "$tmp/noted" '^<whendo><failed: false>$'
finish INT

esc=$(printf '\033')
"$W" run --color always --exit-on-error t -- false 2>err
like '--color always' "$(tail -n 1 err)" "^whendo: $esc\[31mrun 1: exit 1 in .*$esc\[0m\$"
"$W" run --exit-on-error t -- false 2>err
is 'a file gets no colour' "$(grep -c "$esc" err)" 0
is '... nor a clear screen' "$("$W" run -c --exit-on-error t -- false 2>&1 | grep -c "$esc")" 0
"$W" run -v --exit-on-error --log-file said t -- false 2>err
like '--log-file: all of it, with the time' "$(cat said)" '^20.*Z run 1: exit 1 in '
like '-v says more' "$(cat err)" '^whendo: backend [a-z]+, [0-9]+ watch'
"$W" run --verbose --quiet --exit-on-error t -- false 2>err2
is '--verbose and --quiet' "$(grep -c backend err2) $(grep -c 'run 1: exit' err2)" '0 1'

# On a terminal: on_terminal KEYS ARGS...; sends KEYS when the first run has ended, and ^C when
# nothing came for a while; what was on the terminal is in the file screen.
cat >on_terminal.py <<'X'
import os, pty, select, sys
pid, fd = pty.fork()
if pid == 0:
    os.environ.pop("NO_COLOR", None)
    os.environ["TERM"] = "xterm"
    os.execv(sys.argv[2], sys.argv[2:])
seen, keys = b"", sys.argv[1].encode()
# plan ends by itself, after a look at all processes.
most = patience = 100 if "plan" in sys.argv else 8
while select.select([fd], [], [], patience)[0]:
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    seen += data
    if b"run 1: ok" in seen and keys:
        os.write(fd, keys)
        keys = b""
    patience = most if b"run 1: ok" not in seen or "--keys" in sys.argv else 1
    if b"run 2: ok" in seen:
        patience = 0
else:
    os.write(fd, b"\x03")
os.waitpid(pid, 0)
open("screen", "wb").write(seen)
X
if command -v python3 >/dev/null; then
  python3 on_terminal.py ' ' "$W" run --keys t -- true
  check '--keys' has screen 'run 2: true'
  python3 on_terminal.py ' ' "$W" run --no-keys --clear t -- true
  is '--no-keys' "$(count screen 'run 2')" 0
  check '--clear' has screen "$esc\[H$esc\[2J$esc\[3J"
  python3 on_terminal.py '' "$W" run --clear=reset --color never t -- true
  check '--clear=reset' has screen "${esc}c"
  cp screen screen.never
  python3 on_terminal.py ' ' /bin/sh -c "echo t/one | '$W' run --keys -f - -- echo {}"
  check 'a list on stdin leaves the keys to the terminal' has screen 'run 2: echo'
  cp screen.never screen
  is '--color never' "$(count screen "$esc\[[0-9]+m")" 0
  # Each directory takes 30 ms to read, so that the first look lasts.
  mkdir -p slow/1 slow/2 slow/3 slow/4 slow/5 slow/6 slow/7 slow/8 slow/9
  slow='strace -f -qq -o /dev/null -e trace=getdents64 -e inject=getdents64:delay_enter=30000'
  case $BUILD in *sanitize*) slow= ;; esac
  if [ -n "$slow" ] && $slow true 2>/dev/null; then
    python3 on_terminal.py '' $(command -v strace) ${slow#strace} "$W" run --color never slow -- true
    like 'a long first look says how far it is' "$(tr '\r' '\n' <screen)" '^whendo: reading: [0-9]+ directories, [0-9]+ names$'
    like '... on a line that goes' "$(cat screen)" "$esc\[Kwhendo: watching slow \(10 directories\) in "
    python3 on_terminal.py '' $(command -v strace) ${slow#strace} "$W" plan slow
    like '... also before what plan says' "$(cat screen)" "${esc}\[Kroot       slow"
    $slow "$W" run --exit-on-error slow -- false 2>err
    is '... only on a terminal' "$(count err reading) $(count err 'watching slow')" '0 1'
  else
    for what in 'a long first look' '... on a line' '... also before plan' '... only on a terminal'; do skip "$what" 'no strace, or sanitizers'; done
  fi
else
  for what in 'long look' '...' '... ' '...  ' --keys --no-keys --clear --clear=reset 'a list on stdin' '--color never'; do skip "$what" 'no python3'; done
fi

cat "$top"/tests/cli/*.sh "$top/tests/lib/tap.sh" | tr " =;|'\"" '[\n*]' | sed -n 's/^--//p' | sort -u >used
for verb in $("$W" --help | sed -n 's/^  \([a-z-]*\)  .*/\1/p'); do
  "$W" "$verb" --help | sed -nE 's/^  (-.,|   ) --([a-z0-9-]+).*/\2/p'
done | sort -u >all
is 'every option is used by a test' "$(comm -23 all used)" ''
