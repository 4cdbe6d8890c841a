#!/bin/sh
# Every line of whendo(1)'s EXAMPLES, as it stands there, gets to work.
. tests/lib/tap.sh
mkdir -p bin src build
for stub in make black jq; do
  printf '#!/bin/sh\necho "%s $*"\n' $stub >bin/$stub
  chmod +x bin/$stub
done
printf '#!/bin/sh\ncat\n' >bin/jq
printf '#!/bin/sh\nexec sleep 1051\n' >server
chmod +x server
PATH=$tmp/bin:$(dirname "$W"):$PATH
sed -n '/^\.Sh EXAMPLES/,/^\.Sh COMING/s/^\.Dl \$ //p' "$top/man/whendo.1" | sed 's/\\-/-/g' >examples
plan "$(wc -l <examples)"
while read -r line <&5; do
  env --default-signal=INT sh -c "exec $line" >out 2>err </dev/null &
  p=$!
  pids="$pids $p"
  case $line in
  'whendo snapshot'* | 'whendo diff'*)
    wait $p
    is "$line" "$? $(cat err)" '0 '
    ;;
  'whendo wait'*)
    until_true 5 pgrep -P $$ -f 'whendo wait'
    until_true 1 false
    touch build/done
    wait $p
    is "$line" "$? $(cat err)" '0 '
    ;;
  *)
    check "$line" until_true 5 grep -q 'watching' err
    pkill -INT -P $p 2>/dev/null
    kill -INT $p 2>/dev/null
    wait $p
    ;;
  esac
done 5<examples
:
