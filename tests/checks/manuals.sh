#!/bin/sh
# Manuals pass mandoc's lint without a warning. References to other manuals are not checked:
# that depends on what is installed.
set -u
n=0
set -- man/*.[1-8]
[ -f "$1" ] || { echo "1..0 # SKIP no manuals"; exit 0; }
echo "1..$#"
for m in "$@"; do
  n=$((n + 1))
  if ! command -v mandoc >/dev/null; then
    echo "ok $n - $m # SKIP mandoc is not installed"
  elif out=$(mandoc -T lint -W style "$m" 2>&1 |
    grep -vE 'referenced manual not found|mandoc\.db') && [ -n "$out" ]; then
    echo "not ok $n - $m passes mandoc -T lint -W style"
    echo "$out" | sed 's/^/# /'
  else
    echo "ok $n - $m passes mandoc -T lint -W style"
  fi
done
