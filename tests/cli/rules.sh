#!/bin/sh
# Rules files: several rules with needs, live reload, mistakes with file:line:column; tricks.yaml.
. tests/lib/tap.sh
plan 65
mkdir src

cat >whendo.yaml <<'X'
rules:
  - name: build
    paths: src
    patterns: ["*.c"]
    run: echo "built ${WHENDO_PATH-}"; test ! -e src/broken
  - name: server
    paths: [src]
    patterns: ["*.c"]
    needs: [build]
    run: [sh, -c, "echo up; exec sleep 1011"]
    on-busy: restart
  - name: docs
    paths: src
    ext: md
    postpone: true
    run: [echo, "doc", "{}"]
X
is '--check' "$("$W" rules --check 2>&1)" 'whendo: whendo.yaml: 3 rules, no mistake'
start a rules
check 'what is needed runs first' until_true 5 has a.out '^\[server\] up'
like '... output has the name of its rule' "$(cat a.out)" '^\[build\] built $'
is '... in order' "$(grep -n built a.out | head -1 | cut -d: -f1)$(grep -n up a.out | head -1 | cut -d: -f1)" 12
touch src/x.md
check 'a rule has its own patterns' until_true 5 has a.out '^\[docs\] doc src/x.md$'
is '... and the others did not run' "$(count a.out built)" 1
at_once touch src/x.c
check 'a change builds, then restarts' until_true 5 size_is a.out 'up$' 2
is '... once each' "$(count a.out built) $(count a.out 'up$')" '2 2'
touch src/broken
pause 2
touch src/y.c
check 'after a failure what needs it is skipped' until_true 5 has a.err '\[server\] skipped: build failed'
rm src/broken
touch src/y.c
check '... and runs after the next success' until_true 5 size_is a.out 'up$' 3
sed 's/doc"/document"/' whendo.yaml >new
sed 's/patterns/paterns/' whendo.yaml >bad
cp bad whendo.yaml
check 'a bad reload is told' until_true 5 has a.err "whendo.yaml:4:5: unknown key 'paterns'; did you mean 'patterns'\?"
check '... and the old rules stay' until_true 5 has a.err 'the rules stay as they were'
sed 's/\["\*\.c"\]/["[a"]/' new >bad
cp bad whendo.yaml
check '... also for a pattern that is none' until_true 5 size_is a.err 'the rules stay as they were' 2
mv new whendo.yaml
check 'a good one is taken' until_true 5 has a.err 'read again: 1 rule to start, 1 to stop, 2 unchanged'
until_true 5 size_is a.err 'watching src' 4
touch src/z.md
check '... and works' until_true 5 has a.out '^\[docs\] document src/z.md$'
finish TERM
is 'TERM ends with 143' $status 143
check '... with nothing left' until_true 2 sh -c '! pgrep -fx "sleep 1011"'

# What rules have in common, merged: a rule's own keys win, then what is merged first.
cat >merged.yaml <<'X'
x-env: &env { A: 1, B: 2 }
x-twice: &twice { <<: *env, C: 5 }
rules:
  - &first
    name: one
    env: { <<: [*twice, *env], B: 3 }
    postpone: true
    run: echo "$A$B$C"
  - <<: [{ postpone: no }, *first]
    name: two
X
start m rules merged.yaml
check 'mappings are merged' until_true 5 has m.out '^\[two\] 135$'
sed 's/A: 1/A: 7/' merged.yaml >new
mv new merged.yaml
check '... and what is merged is part of each' until_true 5 has m.err 'read again: 2 rules to start, 2 to stop'
check '... like its own keys' until_true 5 has m.out '^\[two\] 735$'
finish TERM

# Output that passes through: a line without an end comes in pieces; a reader that is slow holds
# the commands back, but not the signals; one that leaves ends it all.
cat >much.yaml <<'X'
rules:
  - name: long
    paths: src
    run: head -c 9000000 /dev/zero | tr '\0' x; echo; touch src/long
  - name: short
    paths: src
    run: echo short >&2
X
start l rules much.yaml
check 'a long line' until_true 5 has l.err '\[long\] run .*: ok'
is '... is all there' "$(grep -o x l.out | head -n 9000000 | wc -l)" 9000000
check '... in pieces' test "$(wc -L <l.out)" -lt 3000000
finish TERM
rm src/long
mkfifo slow
exec 8<>slow
"$W" rules much.yaml >slow 2>s.err </dev/null &
pid=$!
pids="$pids $pid"
until_true 5 has s.err '\[short\] run 1: ok'
pause 1
check 'nobody reads: the command waits' test ! -e src/long
finish TERM
is '... and a signal is heard' $status 143
exec 8<&-
{
  timeout 60 "$W" rules much.yaml 2>h.err </dev/null
  echo $? >h.status
} | head -c 10 >/dev/null
is 'the reader leaves: 141' "$(cat h.status)" 141

# mistake NAME PATTERN: the file on stdin is refused with that line, exit 2, before anything runs.
mistake() {
  cat >bad.yaml
  "$W" rules bad.yaml >out 2>err </dev/null
  status=$?
  if [ $status -ne 2 ] || [ -s out ]; then
    fail "$1" "status $status: $(cat err out)"
  else
    like "$1" "$(cat err)" "^whendo: bad.yaml$2\$"
  fi
}
mistake 'a list at the top' ':1:1: the file is a list, not a mapping.*' <<'X'
- run: echo
X
mistake 'no rules' ":1:1: unknown key 'rulez'; did you mean 'rules'\?" <<'X'
rulez: []
X
mistake 'nothing' ":1:1: is empty; it has no 'rules'" </dev/null
mistake 'rules is no list' ':1:8: rules: is no list; begin each rule with a -' <<'X'
rules: {run: x}
X
mistake 'an empty list' ':1:8: rules: is empty' <<'X'
rules: []
X
mistake 'an empty list of tricks' ':1:9: tricks: is empty' <<'X'
tricks: []
X
mistake 'no run' ":2:5: the rule has no 'run'" <<'X'
rules:
  - name: x
X
mistake 'a key twice' ":3:5: 'run' is there twice" <<'X'
rules:
  - run: x
    run: y
X
mistake 'a mapping for a text' ':2:10: run is a mapping, not a text' <<'X'
rules:
  - run: {a: b}
X
mistake 'a bad time' ":3:15: debounce: 'soon' is no time; .*" <<'X'
rules:
  - run: x
    debounce: soon
X
mistake 'a bad regex' ":3:12: '\\(': byte 2: missing closing parenthesis" <<'X'
rules:
  - run: x
    regex: "("
X
printf 'rules:\n  - run: x\n    ext: "c,"\n' >glob.yaml
is '--check reads patterns, too' "$("$W" rules --check glob.yaml 2>&1; echo $?)" "whendo: glob.yaml:3:10: 'c,': byte 3: empty extension
2"
mistake 'a bad signal' ":3:18: stop-signal: 'TREM' is no signal; did you mean TERM\?" <<'X'
rules:
  - run: x
    stop-signal: TREM
X
mistake 'a bad choice' ":3:14: on-busy: 'resart' is not known; did you mean restart\?" <<'X'
rules:
  - run: x
    on-busy: resart
X
mistake 'a bad flag' ':3:15: postpone is true or false' <<'X'
rules:
  - run: x
    postpone: maybe
X
mistake 'a bad kind' ":3:13: events: 'made' is no kind of event; .*" <<'X'
rules:
  - run: x
    events: [made]
X
mistake 'two of one name' ":4:5: a rule named 'a' is there twice" <<'X'
rules:
  - name: a
    run: x
  - name: a
    run: y
X
mistake 'an unknown need' ":4:12: needs: there is no rule 'bild'; did you mean 'build'\?" <<'X'
rules:
  - {name: build, run: x}
  - run: y
    needs: bild
X
mistake 'a cycle' ":2:40: needs: 'a' needs itself, by way of 'b'" <<'X'
rules:
  - {name: a, run: x,           needs: b}
  - {name: b, run: y, needs: [a]}
X
mistake 'a syntax error' ':3:1: .*' <<'X'
rules:
  - run: [x
X
printf 'rules:\n  - run: "a\0b"\n' >from
mistake 'a NUL' ':2:12: has a NUL byte' <from
printf '\377\376r\0u\0' >from
mistake 'UTF-16' ':1:1: is UTF-16; write UTF-8' <from
printf 'rules:\n  - run: \377\n' >from
mistake 'not UTF-8' ':2:10: is not UTF-8' <from
{ printf 'rules: '; head -c 5000 /dev/zero | tr '\0' '['; } >from
mistake 'nested 5000 deep' ':1:72: nested too deeply' <from
{
  echo 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]'
  for i in 1 2 3 4 5 6 7 8 9; do
    p="*a$((i - 1))"
    echo "a$i: &a$i [$p, $p, $p, $p, $p, $p, $p, $p, $p, $p]"
  done
  printf 'rules:\n  - run: *a9\n'
} >from
mistake 'a bomb of aliases' ":1:1: unknown key 'a0'" <from
{ printf 'rules:\n  - run: "'; head -c 2000000 /dev/zero | tr '\0' x; echo '"'; } >from
mistake 'longer than 1 MiB' ':1:1: is longer than 1 MiB' <from

printf '\357\273\277rules:\r\n  - run: [echo, crlf]\r\n    exit-on-error: true' >crlf.yaml
is 'BOM, CRLF, no final newline' "$("$W" rules --check crlf.yaml 2>&1)" 'whendo: crlf.yaml: 1 rule, no mistake'
chmod o+w crlf.yaml
"$W" rules crlf.yaml 2>err
like 'others may write the file: refused' "$? $(cat err)" '^2 whendo: crlf.yaml: others may write it.*--trust$'
is '... unless told' "$("$W" rules --check --trust crlf.yaml 2>&1)" 'whendo: crlf.yaml: 1 rule, no mistake'

# What is relative in a file means its directory, and is looked for there.
mkdir -p sub/work
echo ../src/in-list >sub/list
echo '*.skip' >sub/skips
printf 'rules:\n  - files-from: list\n    ignore-file: skips\n    workdir: work\n    postpone: true\n    run: [pwd]\n' >sub/r.yaml
printf 'rules:\n  - {name: a, run: mkdir made}\n  - {workdir: made, run: [pwd], needs: a}\n' >made.yaml
is 'a directory may be made by what the rule needs' "$("$W" rules --check made.yaml 2>&1)" 'whendo: made.yaml: 2 rules, no mistake'
is 'names are those of the directory of the file' "$("$W" rules --check sub/r.yaml 2>&1)" 'whendo: sub/r.yaml: 1 rule, no mistake'
start s rules --log-file said sub/r.yaml
touch src/in-list
check '... when it runs, too' until_true 5 has s.out '/sub/work$'
check '... but not those of the command line' has said watching
sed 's/skips/nothing/' sub/r.yaml >new
cp new sub/r.yaml
check '... and mistakes are told with the name that was given' until_true 5 has s.err "^whendo: sub/r.yaml:3:18: ignore-file: 'nothing' cannot be read: No such file"
check '... as is what follows' until_true 5 has s.err '^whendo: sub/r.yaml: the rules stay'
finish TERM

cat >tricks.yaml <<'X'
tricks:
- watchdog.tricks.LoggerTrick:
    patterns: ["*.log"]
- watchdog.tricks.ShellCommandTrick:
    patterns: ["*.py"]
    shell_command: 'echo "${watch_event_type} ${watch_object} ${watch_src_path}"'
    wait_for_process: true
- watchdog.tricks.AutoRestartTrick:
    command: [sh, -c, "echo server; exec sleep 1012"]
    patterns: ["*.conf"]
    kill_after: 2
X
start t tricks tricks.yaml
touch 'src/$(touch PWNED).py'
check 'tricks: a shell line with the event in variables' until_true 5 grep -Fq 'created file src/$(touch PWNED).py' t.out
touch src/x.conf src/x.log
check 'tricks: auto-restart' until_true 5 size_is t.out '^server' 2
check 'tricks: logger' until_true 5 has t.out 'created (./)?src/x.log'
check 'tricks: names are not executed' test ! -e PWNED
finish TERM
