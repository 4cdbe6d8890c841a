#!/bin/sh
# Includes follow the arrows: each folder may include what the table below says. The command
# handlers are the one place where the watcher uses shellcmd, through its public header.
set -u
n=0
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT

# layer FOLDER ALLOWED-PATTERN: every "quoted" include of the folder, made relative to the
# root ("x.h" beside the file counts as FOLDER/x.h), must match.
layer() {
  n=$((n + 1))
  grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]+["<](\.\./)*(whendo|base|watcher|shellcmd|cli|tests)/|^[[:space:]]*#[[:space:]]*include[[:space:]]+"' \
    "$1"/*.[ch] 2>/dev/null |
    sed -E 's,^([^:]*):([0-9]*):.*["<]([^">]*)[">].*,\1 \2 \3,' |
    awk -v folder="$1" -v ok="$2" '
      { inc = $3; if (inc !~ /\//) inc = folder "/" inc }
      inc !~ ok { print $1 ":" $2 ": " $3 }' >"$tmp/bad"
  if [ -s "$tmp/bad" ]; then
    echo "not ok $n - $1 includes only what it may"
    sed 's/^/# /' "$tmp/bad"
  else
    echo "ok $n - $1 includes only what it may"
  fi
}

echo 1..6
layer include/whendo '^(whendo|include/whendo)/'
layer include/base '^(whendo|base|include/base)/'
layer watcher '^(watcher|base|whendo)/'
layer shellcmd '^(shellcmd/|base/|whendo/(shellcmd|version)\.h$)'
layer cli '^(cli|base|whendo)/'

n=$((n + 1))
grep -lE 'include.*whendo/shellcmd\.h' watcher/*.[ch] 2>/dev/null | grep -v '/handler' >"$tmp/bad"
if [ -s "$tmp/bad" ]; then
  echo "not ok $n - only the watcher's command handlers use shellcmd"
  sed 's/^/# /' "$tmp/bad"
else
  echo "ok $n - only the watcher's command handlers use shellcmd"
fi
