#!/bin/sh
# The shared library exports what tests/checks/symbols.txt lists, which is what the public
# headers declare: no more, no less, and nothing outside the three families of names.
# UPDATE=1 writes the list anew; a name that vanishes from it breaks programs.
set -u
lib=${BUILD:-build}/libwhendo.so
list=tests/checks/symbols.txt
n=0
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
export LC_ALL=C

none() { # none DESCRIPTION: $tmp/bad is empty
  n=$((n + 1))
  if [ -s "$tmp/bad" ]; then
    echo "not ok $n - $1"
    sed 's/^/# /' "$tmp/bad"
  else
    echo "ok $n - $1"
  fi
}

grep -hE '^(extern )?(WHENDO|SH)_API ' include/whendo/*.h |
  grep -oE '\b(watcher|sh|whendo)_[a-z0-9_]+ *[[(]' | tr -d ' [(' | sort -u >"$tmp/declared"
[ -z "${UPDATE:-}" ] || cp "$tmp/declared" "$list"
# Sanitized libraries also export the sanitizer's own names.
nm -D --defined-only "$lib" | awk '{ print $NF }' |
  grep -vE '^(__asan|__ubsan|__tsan|__odr|__sanitizer|___asan)' | sort >"$tmp/exported"

echo 1..5
grep -vE '^(watcher_|sh_|whendo_version)' "$tmp/exported" >"$tmp/bad"
none 'every exported name is watcher_*, sh_* or whendo_version*'
diff "$list" "$tmp/declared" >"$tmp/bad"
none "the list is what the headers declare (if that is meant: UPDATE=1 sh $0)"
comm -13 "$list" "$tmp/exported" >"$tmp/bad"
none 'nothing is exported that is not listed'
grep -E '^(sh_|whendo_)' "$list" | comm -23 - "$tmp/exported" >"$tmp/bad"
none 'all of shellcmd that is listed is exported'
grep '^watcher_' "$list" | comm -23 - "$tmp/exported" >"$tmp/bad"
if grep -q '^watcher_open$' "$tmp/bad"; then
  n=$((n + 1))
  echo "ok $n - all of watcher that is listed is exported # SKIP this build has no watcher_open"
else
  none 'all of watcher that is listed is exported'
fi
