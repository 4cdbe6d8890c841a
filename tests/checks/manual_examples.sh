#!/bin/sh
# The EXAMPLES of the C manuals compile without a warning, run, and print what the comment
# behind each (.\" prints: LINE) says. A block without main() is the body of one.
set -u
root=$(pwd)
build=$(cd "${BUILD:-build}" && pwd) || exit 1
: "${CC:=cc}"
lax= # see call_form.sh
case $($CC --version) in *clang*) ;; *) [ "$($CC -dumpversion | cut -d. -f1)" -ge 12 ] || lax=-Wno-missing-field-initializers ;; esac
san=${SANITIZE:+-fsanitize=$SANITIZE}
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
n=0

# extract MANUAL: writes $tmp/I.body and $tmp/I.want for the blocks of its EXAMPLES.
extract() {
  rm -f "$tmp"/*.body "$tmp"/*.want
  awk -v dir="$tmp" '
    /^\.Sh / { inside = ($2 == "EXAMPLES"); next }
    !inside { next }
    /^\.Bd -literal/ { i++; code = 1; f = dir "/" i ".body"; printf "" > f; next }
    /^\.Ed/ { code = 0; printf "" > (dir "/" i ".want"); next }
    code { gsub(/\\e/, "\\"); gsub(/\\&/, ""); print > f; next }
    /^\.\\" prints: / { sub(/^\.\\" prints: /, ""); print > (dir "/" i ".want") }' "$1"
}

# program HEADER BODY: the whole program. What has a main() is one as it stands; preprocessor lines
# stay outside of the others.
program() {
  if grep -q '^int main' "$2"; then
    cat "$2"
  else
    echo "#include <whendo/$1>"
    printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <uv.h>\n'
    grep '^#' "$2"
    echo 'int main(void) {'
    grep -v '^#' "$2"
    echo 'return 0; }'
  fi
}

check() { # check MANUAL I
  n=$((n + 1))
  what="example $2 of $1"
  if [ "${ENGINE:-}" = uv ] && grep -q '\.pty' "$tmp/$2.body"; then
    echo "ok $n - $what # SKIP the engine uv has no terminals"
    return
  fi
  program "$(basename "$1" .3).h" "$tmp/$2.body" >"$tmp/x.c"
  if ! $CC -std=gnu11 -Wall -Wextra -Wno-unused-parameter $lax -Werror $san -I"$root/include" \
    -o "$tmp/x" "$tmp/x.c" "$build/libwhendo.a" $(pkg-config --libs libuv libpcre2-8) \
    -lpthread >"$tmp/out" 2>&1; then
    echo "not ok $n - $what compiles"
    sed 's/^/# /' "$tmp/out"
  elif ! (cd "$tmp" && timeout 20 ./x >got 2>errors) || ! cmp -s "$tmp/got" "$tmp/$2.want"; then
    echo "not ok $n - $what prints what it says"
    diff "$tmp/$2.want" "$tmp/got" | sed 's/^/# /'
    sed 's/^/# /' "$tmp/errors"
  else
    echo "ok $n - $what"
  fi
}

for m in man/*.3; do
  extract "$m"
  for i in $(seq "$(ls "$tmp" | grep -c 'body$')"); do check "$m" "$i"; done
done
echo "1..$n"
