#!/bin/sh
# The C++17 face of shellcmd.h does what tests/fixtures/shellcmd.cc expects of it, and watcher.h is as
# useful as the manual says.
set -u
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
what='the C++ calls do what they say'
echo 1..2
if ! command -v g++ >/dev/null; then
  echo "ok 1 - $what # SKIP g++ is not installed"
elif g++ -std=c++17 ${SANITIZE:+-fsanitize=$SANITIZE} -Iinclude -o "$tmp/calls" \
  tests/fixtures/shellcmd.cc "${BUILD:-build}/libwhendo.a" \
  $(pkg-config --libs libuv libpcre2-8) -lpthread >"$tmp/out" 2>&1 &&
  timeout 20 "$tmp/calls" >>"$tmp/out" 2>&1; then
  echo "ok 1 - $what"
else
  echo "not ok 1 - $what"
  sed 's/^/# /' "$tmp/out"
fi

what='a watcher of a C++ program'
if ! command -v g++ >/dev/null; then
  echo "ok 2 - $what # SKIP g++ is not installed"
elif g++ -std=c++11 -Wall -Wextra -pedantic -Werror ${SANITIZE:+-fsanitize=$SANITIZE} -Iinclude \
  -o "$tmp/watch" tests/fixtures/watcher.cc "${BUILD:-build}/libwhendo.a" \
  $(pkg-config --libs libuv libpcre2-8) -lpthread >"$tmp/out" 2>&1 &&
  mkdir "$tmp/d" && (cd "$tmp/d" && timeout 20 ../watch) >>"$tmp/out" 2>&1 &&
  [ "$(cat "$tmp/out")" = 'created a.c' ]; then
  echo "ok 2 - $what"
else
  echo "not ok 2 - $what"
  sed 's/^/# /' "$tmp/out"
fi
