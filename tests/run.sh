#!/bin/sh
# Runs every test program, script and check (or those named as arguments), each with a time
# limit of its own, as many at a time as there are processors (JOBS), and closes with one line:
# N passed, N failed, N skipped. Programs and scripts speak TAP; lines that are not ok are
# shown, the rest is kept in $BUILD/log. Failures are told once more at the end, each in one line
# that begins with FAILED. BUILD is where the build is.
set -u
: "${BUILD:=build}"
export BUILD CMOCKA_MESSAGE_OUTPUT=TAP
# Tests fork hosts of their own after threads have run.
export TSAN_OPTIONS="${TSAN_OPTIONS:-die_after_fork=0}"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}"
log=$BUILD/log

# Of each line that is not ok: the test's name and what is said of it.
tell_failed() { # tell_failed NAME FILE
  awk -v name="$1" '
    function tell() { if (line) print "FAILED " name ": " substr(line, 1, 600); line = "" }
    /^not ok / { tell(); sub(/^not ok ([0-9]+ )?(- )?/, ""); line = $0; said = 0; next }
    /^#/ && line && said < 5 { sub(/^#[ \t]*/, ""); line = line " | " $0; said++; next }
    { tell() }
    END { tell() }' "$2"
}

# Runs one, prints what is to be said of it, and leaves "passed failed skipped" in its .count.
run_one() {
  name=$(basename "$1")
  out=$log/$name.tap
  start=$(date +%s)
  case $1 in
  *.sh) timeout -k 5 "${TEST_TIMEOUT:-900}" sh "$1" >"$out" 2>"$out.err" </dev/null ;;
  *) timeout -k 5 "${TEST_TIMEOUT:-900}" "$1" >"$out" 2>"$out.err" </dev/null ;;
  esac
  status=$?
  # cmocka writes a skipped test as "not ok # SKIP".
  sed -i 's/^not ok \([0-9]* # SKIP\)/ok \1/' "$out"
  ok=$(grep -c '^ok ' "$out")
  skip=$(grep -c '^ok .*# *[Ss][Kk][Ii][Pp]' "$out")
  bad=$(grep -c '^not ok ' "$out")
  plan=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$out" | awk '{ n += $1 } END { print n + 0 }')
  # A program that died or lost count failed, whatever it had printed before.
  if [ "$bad" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$plan" -ne "$ok" ]; }; then
    bad=1
    {
      echo "not ok - $name ended with status $status after $ok of $plan tests"
      [ "$status" -ne 124 ] || echo "# its time was up; the last that ended: $(grep '^ok ' "$out" | tail -n 1)"
      tail -n 3 "$out.err" | sed 's/^/# /'
    } >"$out.end"
    cat "$out.end"
    tail -n 20 "$out.err"
    tell_failed "$name" "$out.end" >"$out.failed"
  elif [ "$bad" -gt 0 ]; then
    echo "--- $name"
    grep -a -A 12 '^not ok ' "$out" | head -n 80
    head -n 60 "$out.err"
    tell_failed "$name" "$out" >"$out.failed"
    # What cmocka's fail_msg() says.
    sed -n "s/^ERROR: /FAILED $name: /p" "$out.err" | head -n 20 >>"$out.failed"
  fi
  echo "$((ok - skip)) $bad $skip" >"$log/$name.count"
  printf '%-32s %4d ok %3d not ok %3d skipped  %ds\n' "$name" $((ok - skip)) "$bad" "$skip" \
    $(($(date +%s) - start))
  grep -a '^ok .*# *[Ss][Kk][Ii][Pp]' "$out" | sed 's/^/    /'
}

# What takes longest comes first, so that the others run beside it.
long='test_replay test_watcher_faults test_scenarios test_shell_faults test_shell_host'

all_tests() {
  for name in $long; do
    t=$BUILD/tests/$name
    [ -x "$t" ] && echo "$t"
  done
  for t in "$BUILD"/tests/test_*; do
    case $t in *.o | *.d) continue ;; esac
    case " $long " in *" ${t##*/} "*) continue ;; esac
    [ -x "$t" ] && echo "$t"
  done
  for t in tests/checks/*.sh tests/cli/*.sh; do
    [ -f "$t" ] && echo "$t"
  done
}

if [ "${1:-}" = --one ]; then
  said=$(run_one "$2")
  printf '%s\n' "$said"
  exit 0
fi
rm -rf "$log"
mkdir -p "$log"
if [ $# -gt 0 ]; then printf '%s\n' "$@"; else all_tests; fi >"$log/all"
xargs -P "${JOBS:-$(nproc 2>/dev/null || echo 1)}" -n 1 sh tests/run.sh --one <"$log/all"
# Those whose runner was killed, or that were not begun for that.
while read -r t; do
  name=$(basename "$t")
  [ -f "$log/$name.count" ] && continue
  echo "0 1 0" >"$log/$name.count"
  echo "FAILED $name: was not run to its end" >"$log/$name.failed"
done <"$log/all"
cat "$log"/*.failed 2>/dev/null
cat "$log"/*.count | awk '{ p += $1; f += $2; s += $3 }
  END { print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped"; exit f > 0 || p == 0 }'
