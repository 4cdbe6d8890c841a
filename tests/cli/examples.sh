#!/bin/sh
# Every command line of whendo(1)'s EXAMPLES and of the README, as it stands there, gets to work.
. tests/lib/tap.sh
mkdir -p bin src build/done
for stub in make black ./server ./thumbnail jq; do
  printf '#!/bin/sh\nexec sleep 1051\n' >"bin/$(basename $stub)"
done
printf '#!/bin/sh\ncat\n' >bin/jq
chmod +x bin/*
cp bin/server bin/thumbnail .
printf 'rules:\n  - name: a\n    run: [sleep, "1052"]\n' >whendo.yaml
git init -q . && git add whendo.yaml
PATH=$tmp/bin:$(dirname "$W"):$PATH
{
  sed -n '/^\.Sh EXAMPLES/,/^\.Sh COMING/s/^\.Dl \$ //p' "$top/man/whendo.1" | sed 's/\\-/-/g; s/\\(dq/"/g'
  # In the README what it does stands behind the command.
  sed -n '/^## The program/,/^In a terminal/s/^    \(.*whendo .*\)$/\1/p' "$top/README.md" | sed 's/   *.*//'
} >examples
plan "$(wc -l <examples)"
while read -r line <&5; do
  rm -f out err
  env --default-signal=INT sh -c "exec $line" >out 2>err </dev/null &
  p=$!
  pids="$pids $p"
  case $line in
  'whendo snapshot'* | 'whendo diff'* | 'whendo why'* | 'whendo plan'* | *--version | *--check)
    wait $p
    is "$line" "$? $(cat err)" '0 '
    ;;
  'whendo wait'*)
    # It says nothing, so changes come until it has seen one.
    while kill -0 $p 2>/dev/null; do
      touch build/done/x
      pause 0.3
      rm -f build/done/x
    done
    wait $p
    is "$line" "$? $(cat err)" '0 '
    ;;
  *)
    check "$line" until_true 10 grep -q 'watching' err
    pkill -INT -P $p 2>/dev/null
    kill -INT $p 2>/dev/null
    wait $p
    ;;
  esac
done 5<examples
:
