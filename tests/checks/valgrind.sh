#!/bin/sh
# Tests of commands under valgrind: no error, no lost block. A few by default, on the engine of
# Linux; VALGRIND_TESTS="host stop faults ..." names others, each build/tests/test_shell_<name>
# (minutes).
: "${BUILD:=build}"
tests=${VALGRIND_TESTS:-status lookup pipeline}
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
echo 1..$(echo $tests | wc -w)
n=0
for t in $tests; do
  n=$((n + 1))
  if [ -n "${SANITIZE:-}" ]; then
    echo "ok $n - $t # SKIP a sanitizer looks already"
  elif ! command -v valgrind >/dev/null; then
    echo "ok $n - $t # SKIP no valgrind"
  elif # valgrind 3.19 cannot read what clang writes for debuggers
    said=$(objcopy --strip-debug "$BUILD/tests/test_shell_$t" "$tmp/$t" 2>&1 &&
      SH_TEST_ENGINE=linux valgrind -q --leak-check=full --errors-for-leak-kinds=definite \
        --error-exitcode=99 "$tmp/$t" 2>&1); then
    echo "ok $n - $t"
  else
    echo "not ok $n - $t"
    printf '%s\n' "$said" | sed 's/^/# /'
  fi
done
