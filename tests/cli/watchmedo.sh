#!/bin/sh
# watchmedo's verbs, options and defaults, under its name and under whendo's; and what watchmedo
# does wrong, done right.
. tests/lib/tap.sh
plan 90
ln -s "$W" watchmedo
mkdir -p t/sub
WHENDO=$W
W=./watchmedo

is 'version' "$("$W" --version) $("$W" -V | wc -l)" "watchmedo $("$WHENDO" --version | cut -d' ' -f2) 1"
"$W" >out 2>err
is 'no verb: help, exit 1' "$? $(wc -c <out)" '1 0'

# Its help is watchmedo's: its verbs, and what each of them takes, in its order.
is 'help: the verbs' "$("$W" --help | sed -n 's/^  \([a-z][a-z-]*\).*/\1/p' | tr '\n' ' ')" \
  'log shell-command auto-restart tricks tricks-generate-yaml '
like '... and their other names' "$("$W" --help | tr '\n' ' ')" 'tricks, tricks-from .*tricks-generate-yaml, generate-tricks-yaml '
is '... the first line' "$("$W" -h | head -n 1)" 'usage: watchmedo [-h] [--version] VERB [OPTION...] ...'
# takes VERB OPTION...: all of these, and nothing of whendo's own.
takes() {
  verb=$1
  shift
  "$W" "$verb" --help >help
  "$W" help "$verb" | cmp - help >differs 2>&1
  is "$verb --help" "$(sed -n 's/^  *\(-.*\)/\1/p' help | grep -oE '(^|, )--?[A-Za-z-]+' | tr -d ', ' | tr '\n' ' ')$(cat differs)" "$* "
}
globs='-p --pattern --patterns -i --ignore-pattern --ignore-patterns -D --ignore-directories'
all='-q --quiet -v --verbose -V --version -h --help'
forced='--debug-force-polling --debug-force-inotify --debug-force-fsevents --debug-force-kqueue --debug-force-winapi'
takes log -R --recursive $globs --interval --timeout $forced $all
takes shell-command -R --recursive $globs -c --command -w --wait -W --drop --interval --timeout --debug-force-polling $all
takes auto-restart -R --recursive $globs -d --directory --signal --kill-after --debounce-interval \
  --no-restart-on-command-exit --interval --timeout --debug-force-polling $all
takes tricks-from -R --recursive --interval --timeout $forced --python-path $all
takes tricks-generate-yaml --python-path --append-to-file -a --append-only $all
is "another verb's is whendo's" "$("$W" wait --help)" "$("$WHENDO" wait --help)"

# wrong NAME PATTERN ARGS...: exit 2, nothing on stdout, one line that matches.
wrong() {
  name=$1 pattern=$2
  shift 2
  timeout 10 "$W" "$@" >out 2>err </dev/null
  like "$name" "$? $(wc -c <out) $(cat err)" "^2 0 whendo: $pattern\$"
}
wrong 'an unknown option' '--recusive: unknown option; did you mean --recursive\?' log --recusive
wrong 'auto-restart without a command' 'auto-restart: no command; it stands last.*' auto-restart -d t
wrong 'a negative time' "--kill-after: '-1' is no time; .*" auto-restart --kill-after -1 true
wrong 'a bad signal' "--signal: 'SIGTREM' is no signal; did you mean TERM\?" auto-restart --signal SIGTREM true
wrong 'tricks without a file' 'tricks: name a tricks file' tricks
wrong 'a tricks file that is not there' 'none.yaml: [Nn]o such file or directory' tricks-from none.yaml
printf 'tricks:\n- my.own.Trick: {}\n' >own.yaml
wrong 'a class of their own' 'own.yaml:2:3: my.own.Trick is not known; .* other classes need Python' tricks own.yaml
printf 'other: []\n' >own.yaml
wrong 'no tricks' "own.yaml:1:1: unknown key 'other'.*" tricks own.yaml

start a log -p '*.py;*.txt' t
touch t/sub/no.py t/B.PY t/c.txt
until_true 5 has a.out c.txt
is 'log: not recursive without -R, case ignored, a;b' "$(grep -c 'created t/B.PY' a.out) $(grep -c no.py a.out)" '1 0'
finish INT
is '... INT ends with 130' $status 130
printf '*.gen\n' >t/.gitignore
start a log -R --patterns '*' --ignore-patterns '*.tmp;x*' -D "$tmp/t"
touch t/sub/x1 t/sub/y.tmp t/sub/f.gen
mkdir t/sub/d
touch t/sub/d/last
until_true 5 has a.out last
is 'log: prints without -v, at any depth, no ignore files; -i, -D' \
  "$(sed -n "s,^created $tmp/t/sub/,,p" a.out | tr '\n' ' ')" 'f.gen d/last '
finish INT
for how in '--debug-force-polling --interval 0.1' '--debug-force-polling --timeout 0.1' --debug-force-inotify \
  --debug-force-fsevents --debug-force-kqueue --debug-force-winapi; do
  rm -f t/forced
  start a log -v $how t
  touch t/forced
  check "log $how" until_true 5 has a.out 'created t/forced'
  case $how in *polling*) want=poll ;; *inotify*) want=inotify ;; *) want=fsevent ;; esac
  check '... is that' has a.err "backend $want"
  finish INT
done
start a log --trace t
check 'log --trace says what it does' has a.err '^whendo: backend '
finish INT
# A narrower watch does not silence the other; a directory that moves in is watched, one that
# moved out is not.
mkdir -p in/deep
start a log -R -D t t/sub
mv in t/in
touch t/in/deep/f t/sub/g
check 'what moved in is watched' until_true 5 has a.out '^created t/in/deep/f$'
check 'two watches on one directory' until_true 5 has a.out '^created t/sub/g$'
mv t/in away
touch away/deep/ghost t/end
until_true 5 has a.out '^created t/end$'
is 'what moved out is not' "$(count a.out ghost)" 0
finish INT
start a log -R t none
check 'a directory that is not there is told' has a.err 'whendo: none: is not there yet; waiting for it'
mkdir none
touch none/f
check '... and waited for' until_true 5 has a.out '^created none/f$'
finish INT

start b shell-command -R -w -p '*.py' -c 'echo "${watch_event_type} ${watch_object} ${watch_src_path} ${watch_dest_path}"; echo $$HOME' t
touch 't/sub/$(touch PWNED)x.py' 't/`touch PWNED`.py'
check 'shell-command: variables' until_true 5 grep -Fq 'created file t/sub/$(touch PWNED)x.py ' b.out
check '... $$ is a dollar sign' until_true 5 has b.out "^$HOME\$"
mv t/B.PY t/d.py
check '... a move has both' until_true 5 has b.out '^moved file t/B.PY t/d.py$'
check '... names are not executed' test ! -e PWNED
finish TERM
is '... TERM ends with 143' $status 143

start b shell-command --command 'echo "${watch_event_type} ${watch_object} ${watch_src_path}"' --ignore-pattern '*.no' -R t
append() { echo x >>"$1"; }
for i in 1 2 3; do
  at_once append t/save
  until_true 5 has_lines b.out $i
  pause 1
done
is 'one save is one command' "$(tr '\n' ' ' <b.out)" 'created file t/save modified file t/save modified file t/save '
: >b.out
chmod 600 t/save
check 'other attributes are a modified, as Watchdog says' until_true 5 has b.out '^modified file t/save$'
mkdir t/made
touch t/made/x.no
rmdir t/made 2>/dev/null || rm -r t/made
check 'directories' until_true 5 has b.out '^deleted directory t/made$'
is '... without --ignore-directories' "$(grep -c 'created directory t/made' b.out) $(count b.out x.no)" '1 0'
finish INT
is 'shell-command: INT ends with 130' $status 130
start b shell-command --ignore-directories -c 'echo $watch_src_path' t
mkdir t/quiet
touch t/loud
check '... with it' until_true 5 has b.out loud
is '... none' "$(count b.out quiet)" 0
finish INT

for how in -w --wait '-w -W'; do
  rm -f t/y*
  start b shell-command $how -c 'echo begin; sleep 0.1; echo end' t
  at_once touch t/y1 t/y2 t/y3
  until_true 10 size_is b.out end 3
  is "$how: one after the other" "$(tr '\n' ' ' <b.out)" 'begin end begin end begin end '
  finish TERM
done
rm -f t/y*
start b shell-command -c 'echo begin; while [ -e hold ]; do sleep 0.02; done' t
: >hold
touch t/y1 t/y2 t/y3
check 'without -w: side by side' until_true 5 size_is b.out begin 3
rm hold
finish TERM

for how in -W --drop; do
  rm -f t/x*
  start c shell-command -v $how -c 'echo run; while [ -e hold ]; do sleep 0.02; done' t
  : >hold
  touch t/x1
  until_true 5 has c.out run
  touch t/x2 t/x3
  until_true 5 has c.err 'dropped: [a-z]* t/x3'
  rm hold
  pause 1
  is "$how drops what comes while one runs" "$(count c.out run)" 1
  finish TERM
done

start d shell-command t
touch t/plain
check 'without -c it says what happened' until_true 5 has d.out '^created file t/plain$'
mv t/plain t/moved
check '... a move with where to' until_true 5 has d.out '^moved file from t/plain to t/moved$'
finish TERM

start e auto-restart --directory t -p '*.py' --kill-after 1 --debounce-interval 0.1 -- sh -c 'echo up; exec sleep 1021'
until_true 5 has e.out up
at_once touch t/e.py
check 'auto-restart restarts' until_true 5 size_is e.out up 2
touch t/e.txt
pause 1
is '... once a save, for its patterns' "$(count e.out up)" 2
finish TERM
is '... TERM ends with 0' $status 0
check '... and nothing is left' until_true 2 sh -c '! pgrep -fx "sleep 1021"'
start e auto-restart -d t --kill-after 0.3 sh -c 'echo up; sleep 1022 & sleep 1022; echo no'
until_true 5 has e.out up
finish HUP
is 'auto-restart: HUP ends with 0' $status 0
check '... and jobs of the shell end, too' until_true 2 sh -c '! pgrep -fx "sleep 1022"'
start e auto-restart -d t --signal SIGUSR1 -- sh -c 'trap "echo usr1; exit" USR1; echo up; while :; do sleep 0.02; done'
until_true 5 has e.out up
touch t/e2
check 'auto-restart --signal' until_true 5 has e.out usr1
finish TERM
start e auto-restart -d t --kill-after 60 -- sh -c 'trap "" INT; echo up; while :; do sleep 0.02; done'
until_true 5 has e.out up
t0=$(date +%s)
kill -INT $pid
pause 1
kill -INT $pid
wait $pid
check 'a second INT does not wait' test $(($(date +%s) - t0)) -lt 30
for how in 'printf -- <%s> a' 'printf <%s> -- a' '-- printf <%s> a'; do
  start e auto-restart -d t --no-restart-on-command-exit $how
  until_true 5 has e.err 'run 1: ok'
  is "auto-restart $how" "$(cat e.out)" '<a>'
  finish TERM
done
start e auto-restart -d t --no-restart-on-command-exit -- printf '<%s>' a -- b
until_true 5 has e.err 'run 1: ok'
is '... a later one is an argument' "$(cat e.out)" '<a><--><b>'
finish TERM
start e auto-restart -d t -- sh -c 'date +%s%N'
until_true 10 has_lines e.out 6
check 'what ends is started again, ever more slowly' awk '
  NR > 2 && $1 - last < 90e6 * 2 ^ (NR - 3) { exit 1 } { last = $1 }' e.out
finish TERM
start e auto-restart -d t --no-restart-on-command-exit -- sh -c 'echo up'
until_true 5 has e.err 'run 1: ok'
pause 1
is '--no-restart-on-command-exit' "$(count e.out up)" 1
finish TERM
"$W" auto-restart -d t -- no-such-command-here >out 2>err
like 'a command that is not there' "$? $(grep -v 'run 1\|watching' err)" '^127 .*no-such-command-here: there is no such program'

stubs='watchdog.tricks.ShellCommandTrick watchdog.tricks.LoggerTrick watchdog.tricks.AutoRestartTrick'
"$W" tricks-generate-yaml $stubs >tricks.yaml
is 'tricks-generate-yaml makes what tricks loads' "$("$WHENDO" rules --check tricks.yaml 2>&1)" 'whendo: tricks.yaml: 3 rules, no mistake'
for class in $stubs; do "$W" generate-tricks-yaml --python-path . --append-to-file all.yaml "$class"; done
is '--append-to-file' "$("$WHENDO" rules --check all.yaml 2>&1) $(cmp tricks.yaml all.yaml)" 'whendo: all.yaml: 3 rules, no mistake '
is '--append-only' "$(cat tricks.yaml; "$W" tricks-generate-yaml --append-only watchdog.tricks.LoggerTrick)" "$(cat tricks.yaml; "$W" tricks-generate-yaml -a watchdog.tricks.LoggerTrick | sed '/^tricks:/d')"
"$W" tricks-generate-yaml watchdog.tricks.LogerTrick >out 2>err
is 'an unknown class' "$? $(cat err)" '2 whendo: watchdog.tricks.LogerTrick: no such trick; did you mean watchdog.tricks.LoggerTrick?'

# Two files, in directories of their own; commands run in the current one.
mkdir -p one/src two other
cat >one/tricks.yaml <<'X'
python-path: [lib]
tricks:
- watchdog.tricks.ShellCommandTrick:
    patterns: ["*.Py"]
    case_sensitive: true
    shell_command: 'echo "one $watch_src_path in ${PWD##*/}"'
- watchdog.tricks.LoggerTrick:
- watchdog.tricks.AutoRestartTrick:
    command: [sh, -c, 'echo "up in ${PWD##*/}"; exec sleep 1023']
    patterns: ["*.conf"]
    stop_signal: SIGTERM
    debounce_interval_seconds: 0.3
X
echo '{"tricks": [{"watchdog.tricks.ShellCommandTrick": {"source_directory": "other", "shell_command": "echo two $watch_src_path"}}]}' >two/tricks.json
here=$(basename "$tmp")
start f tricks one/tricks.yaml two/tricks.json
check 'AutoRestartTrick starts at once, here' until_true 5 has f.out "^up in $here\$"
touch one/src/a.py one/src/b.Py other/c two/d
check 'a trick watches the directory of its file, with all below' until_true 5 has f.out "^one one/src/b.Py in $here\$"
is '... in the case it asks for' "$(count f.out '^one .*a.py')" 0
check 'a second file, in JSON; source_directory' until_true 5 has f.out '^two other/c$'
check 'a trick without arguments' until_true 5 has f.out ' created one/src/a.py$'
at_once touch one/x.conf one/y.conf
check 'AutoRestartTrick restarts' until_true 5 size_is f.out '^up in' 2
pause 1
is '... once, as its debounce says' "$(count f.out '^up in')" 2
sed 's/echo two/echo second/' two/tricks.json >new
cp new two/tricks.json
check 'a change of either file is read' until_true 5 has f.err 'two/tricks.json: read again'
until_true 5 sh -c 'touch other/again; grep -q "^second" f.out'
check '... and holds' has f.out '^second other/again$'
finish TERM
is 'tricks: TERM ends with 0' $status 0
check '... and nothing is left' until_true 2 sh -c '! pgrep -fx "sleep 1023"'
