#!/bin/sh
# watchmedo's verbs, options and defaults, under its name and under whendo's.
. tests/lib/tap.sh
plan 15
ln -s "$W" watchmedo
mkdir -p t/sub
WHENDO=$W
W=./watchmedo

is 'version' "$("$W" --version)" "watchmedo $("$WHENDO" --version | cut -d' ' -f2)"
"$W" >out 2>err
is 'no verb: help, exit 1' "$? $(wc -c <out)" '1 0'

start a log -p '*.py;*.txt' t
touch t/sub/no.py t/B.PY t/c.txt
until_true 5 has a.out c.txt
is 'log: not recursive without -R, case ignored, a;b' "$(grep -c 'created t/B.PY' a.out) $(grep -c no.py a.out)" '1 0'
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

start c shell-command -W -c 'echo run; while [ -e hold ]; do sleep 0.02; done' t
: >hold
touch t/x1
until_true 5 has c.out run
touch t/x2 t/x3
until_true 1 false
rm hold
until_true 1 false
is '-W drops what comes while one runs' "$(count c.out run)" 1
finish TERM

start d shell-command t
touch t/plain
check 'without -c it says what happened' until_true 5 has d.out '^created file t/plain$'
finish TERM

start e auto-restart -d t -p '*.py' --kill-after 1 --debounce-interval 0.1 -- sh -c 'echo up; exec sleep 1021'
until_true 5 has e.out up
touch t/e.py
check 'auto-restart restarts' until_true 5 size_is e.out up 2
finish TERM
is '... TERM ends with 0' $status 0
check '... and nothing is left' until_true 2 sh -c '! pgrep -fx "sleep 1021"'

"$W" tricks-generate-yaml watchdog.tricks.ShellCommandTrick watchdog.tricks.LoggerTrick watchdog.tricks.AutoRestartTrick >tricks.yaml
is 'tricks-generate-yaml makes what tricks loads' "$("$WHENDO" rules --check tricks.yaml 2>&1)" 'whendo: tricks.yaml: 3 rules, no mistake'
"$W" tricks-generate-yaml watchdog.tricks.LogerTrick >out 2>err
is 'an unknown class' "$? $(cat err)" '2 whendo: watchdog.tricks.LogerTrick: no such trick; did you mean watchdog.tricks.LoggerTrick?'
