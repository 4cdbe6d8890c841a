#!/bin/sh
# What programs do to files (git, tar, cp, mv, rm, make, editors, databases, all at once; and while
# whendo is stopped, so that the kernel's queue runs over): programs.py applies what `whendo log`
# prints to the listing from before, and compares with what is there in the end.
# PROGRAMS_ROUNDS=n does so n times; without it nothing is done, for what is seen depends on the
# moment at which each program is looked at, as in test_replay, but cannot be repeated by a seed.
: "${BUILD:=build}"
if [ -z "${PROGRAMS_ROUNDS:-}" ]; then
  echo 1..1
  echo "ok 1 # SKIP PROGRAMS_ROUNDS=n runs it"
  exit 0
fi
if ! command -v python3 >/dev/null || ! command -v git >/dev/null; then
  echo 1..1
  echo "ok 1 # SKIP there is no python3, or no git"
  exit 0
fi
exec python3 tests/checks/programs.py "$BUILD/whendo"
