# Shared by tests/cli/*.sh: TAP output, a scratch directory, and waiting for what is to be
# seen, with a deadline and without sleeping for luck.
#
#   . tests/lib/tap.sh; plan N
#   check "name" COMMAND...       ok if COMMAND succeeds
#   is "name" GOT WANT            ok if the two texts are equal
#   like "name" TEXT PATTERN      ok if a grep -E pattern matches
#   until_true SECONDS COMMAND... runs it until it succeeds; fails if that takes ten times as
#                                 long: so slow is a machine that others keep busy
#   pause SECONDS                 lets time pass in which nothing should happen
#   at_once COMMAND...            runs it while $pid is stopped, which finds all of what it did
#                                 at its next look, however busy the machine is
#   has_guardians NAME...         whether what a command leaves behind can be ended: the engine uv
#                                 (ENGINE=uv) cannot; then the checks so named are skipped
#   start FILE VERB ARGS...       whendo VERB ARGS in the background, output in FILE.out and
#                                 FILE.err, returns when all is watched; its pid is $pid
set -u
: "${BUILD:=build}"
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
W=$BUILD/whendo
top=$PWD
n=0
tmp=$(mktemp -d)
tools=$(mktemp -d)
pids=
cleanup() {
  for p in $pids; do kill -KILL "$p" 2>/dev/null; done
  cd /
  rm -rf "$tmp" "$tools"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP
cd "$tmp" || exit 1

# pgrep as ever, but of processes whose current directory is this script's: the same script may
# be at work beside it, for another build.
if [ -d /proc/self/cwd ]; then
  cat >"$tools/pgrep" <<X
#!/bin/sh
options=\$(echo "\$1" | tr -d c) n=0
$(command -v pgrep) "\$options" -- "\$2" >"$tools/found.\$\$"
while read -r p; do
  [ "\$p" != \$\$ ] || continue
  case \$(readlink "/proc/\$p/cwd") in "$tmp" | "$tmp"/*) n=\$((n + 1)) ;; *) continue ;; esac
  [ "\$options" != "\$1" ] || echo "\$p"
done <"$tools/found.\$\$"
rm "$tools/found.\$\$"
[ "\$options" = "\$1" ] || echo \$n
[ \$n -gt 0 ]
X
  chmod +x "$tools/pgrep"
  PATH=$tools:$PATH
fi

plan() { echo "1..$1"; }

pass() { n=$((n + 1)); echo "ok $n - $1"; }

fail() { # fail NAME DETAIL
  n=$((n + 1))
  echo "not ok $n - $1"
  printf '%s\n' "$2" | sed 's/^/# /'
}

skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }

has_guardians() {
  [ "${ENGINE:-}" = uv ] || return 0
  for name in "$@"; do skip "$name" 'the engine uv has no guardians'; done
  return 1
}

check() {
  name=$1
  shift
  if "$@" >"$tmp/.check" 2>&1; then pass "$name"; else fail "$name" "$* -> $? $(cat "$tmp/.check")"; fi
}

is() {
  if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "got:  $2
want: $3"; fi
}

like() {
  if printf '%s\n' "$2" | grep -Eq -- "$3"; then pass "$1"; else fail "$1" "got:  $2
want: $3"; fi
}

until_true() {
  end=$(($(date +%s) + $1 * 10))
  shift
  while ! "$@" >/dev/null 2>&1; do
    [ "$(date +%s)" -lt "$end" ] || return 1
    sleep 0.02
  done
}

pause() { sleep "$1"; }

is_stopped() { ps -o stat= -p "$1" | grep -q T; }
at_once() {
  kill -STOP "$pid"
  until_true 5 is_stopped "$pid"
  "$@"
  kill -CONT "$pid"
}

has() { grep -Eq -- "$2" "$1"; }                       # has FILE PATTERN
count() { grep -Ec -- "$2" "$1" || true; }             # count FILE PATTERN
has_lines() { [ "$(wc -l <"$1")" -ge "$2" ]; }         # has_lines FILE N
is_gone() { ! kill -0 "$1" 2>/dev/null; }              # is_gone PID
size_is() { [ "$(count "$1" "$2")" -ge "$3" ]; }       # size_is FILE PATTERN N

start() {
  log=$tmp/$1 verb=$2
  shift 2
  rm -f "$log.ready"
  mkfifo "$log.ready"
  # A job in the background of a script ignores INT, one under nohup HUP, and so would whendo.
  env --default-signal=INT,QUIT,HUP "$W" "$verb" --ready-fd 3 "$@" >"$log.out" 2>"$log.err" 3>"$log.ready" </dev/null &
  pid=$!
  pids="$pids $pid"
  # Opening waits for whendo to open its end, reading for the newline.
  read -r _ <"$log.ready"
}

finish() { # finish SIGNAL: ends $pid, its status in $status
  kill -"$1" "$pid" 2>/dev/null
  wait "$pid"
  status=$?
}
