#!/bin/sh
# Each public header compiles alone, without a warning, as C99, C11, C++11 and C++17, with gcc and
# clang, and does not lead to <uv.h>.
set -u
n=0
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
warn='-Wall -Wextra -Wpedantic -pedantic -Werror -fsyntax-only'
headers=$(cd include && ls whendo/*.h)

compiles() { # compiles COMPILER LANGUAGE STANDARD HEADER
  n=$((n + 1))
  what="$4 alone, $1 -std=$3"
  if ! command -v "$1" >/dev/null; then
    echo "ok $n - $what # SKIP $1 is not installed"
    return
  fi
  printf '#include <%s>\n' "$4" >"$tmp/one.$2"
  if "$1" -x "$2" -std="$3" $warn -Iinclude "$tmp/one.$2" >"$tmp/out" 2>&1; then
    echo "ok $n - $what"
  else
    echo "not ok $n - $what"
    sed 's/^/# /' "$tmp/out"
  fi
}

echo "1..$(($(echo "$headers" | wc -l) * 9))"
for h in $headers; do
  for cc in gcc clang; do
    compiles $cc c c99 "$h"
    compiles $cc c c11 "$h"
  done
  for cc in g++ clang++; do
    compiles $cc c++ c++11 "$h"
    compiles $cc c++ c++17 "$h"
  done
  n=$((n + 1))
  if echo "#include <$h>" | ${CC:-cc} -Iinclude -M -x c - | grep -q '/uv\.h'; then
    echo "not ok $n - $h does not include uv.h"
  else
    echo "ok $n - $h does not include uv.h"
  fi
done
