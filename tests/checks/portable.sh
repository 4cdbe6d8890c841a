#!/bin/sh
# What the code does on systems that are not Linux compiles without a warning, and the backends that
# every system has do there what tests/windows/watch.c expects. libuv stays that of this system, so
# its header, and what it and libc need to know, is read before the name of the system is taken away.
set -u
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL
: "${CC:=cc}" "${SANITIZE:=}"

cat >"$tmp/portable.h" <<'C'
#include <uv.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#undef __linux__
#undef STATX_BTIME
#undef STATX_MNT_ID
C
echo 1..2
if "${MAKE:-make}" B="$tmp/b" CC="$CC" SANITIZE="$SANITIZE" CFLAGS='-O0 -g -Werror' CPPFLAGS="-include $tmp/portable.h" \
  "$tmp/b/libwhendo.a" "$tmp/b/whendo" >"$tmp/out" 2>&1; then
  echo "ok 1 - the code for other systems compiles"
else
  echo "not ok 1 - the code for other systems compiles"
  sed 's/^/# /' "$tmp/out"
fi
if $CC -std=gnu11 -g -D_GNU_SOURCE ${SANITIZE:+-fsanitize=$SANITIZE} -Iinclude -o "$tmp/watch" \
  tests/windows/watch.c "$tmp/b/libwhendo.a" -lcmocka $(pkg-config --libs libuv libpcre2-8) \
  -lpthread >"$tmp/out" 2>&1 && timeout 300 "$tmp/watch" >>"$tmp/out" 2>&1; then
  echo "ok 2 - and watches"
else
  echo "not ok 2 - and watches"
  sed 's/^/# /' "$tmp/out"
fi
