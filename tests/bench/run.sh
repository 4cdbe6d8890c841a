#!/bin/sh
# Runs the measuring programs and scripts, or those named as arguments, one after the other.
# Each prints Markdown; it is shown and kept as $BUILD/bench/NAME.md. A further benchmark is a
# further bench_*.c or bench_*.sh in this folder. BENCH_ROUNDS sets how often things are measured.
set -u
: "${BUILD:=build}"
export BUILD
mkdir -p "$BUILD/bench"
failed=0

if [ $# -eq 0 ]; then
  for f in tests/bench/bench_*.c tests/bench/bench_*.sh; do
    [ -f "$f" ] && set -- "$@" "$(basename "$f")"
  done
fi

for f in "$@"; do
  name=${f%.*}
  name=${name#bench_}
  table=$BUILD/bench/$name.md
  case $f in
  *.sh) sh "tests/bench/$f" >"$table.new" ;;
  *) "$BUILD/bench/bench_$name" >"$table.new" ;;
  esac
  if [ $? -eq 0 ]; then
    {
      echo "## $name"
      echo
      echo "$(date -u +%Y-%m-%d), $(uname -srm), $(nproc) cores, load$(uptime | sed 's/.*average://')"
      echo
      cat "$table.new"
    } >"$table"
    cat "$table"
    echo
  else
    echo "bench_$name failed" >&2
    failed=1
  fi
  rm -f "$table.new"
done
echo "tables: $(ls "$BUILD"/bench/*.md 2>/dev/null | tr '\n' ' ')"
exit $failed
