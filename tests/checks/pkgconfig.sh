#!/bin/sh
# whendo.pc names the directories of the call that installs, not those of an earlier build.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
echo 1..2
n=0
for prefix in /opt/one /opt/two; do
  n=$((n + 1))
  make -s B="$tmp/b" PREFIX=$prefix "$tmp/b/whendo.pc" >"$tmp/said" 2>&1
  if grep -qx "prefix=$prefix" "$tmp/b/whendo.pc" && grep -qx "libdir=$prefix/lib" "$tmp/b/whendo.pc"; then
    echo "ok $n - whendo.pc for $prefix"
  else
    echo "not ok $n - whendo.pc for $prefix"
    sed 's/^/# /' "$tmp/said" "$tmp/b/whendo.pc"
  fi
done
