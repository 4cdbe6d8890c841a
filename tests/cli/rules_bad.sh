#!/bin/sh
# Bad rules files: each is refused with one line, file:line:column: message, exit 2, and
# nothing runs. (rules.sh has more of them, with the behaviour around.)
. tests/lib/tap.sh
plan 109

# bad NAME PATTERN: bad.yaml; the line is whendo: bad.yaml and the pattern, whole.
bad() {
  timeout 30 "$W" rules bad.yaml >out 2>err </dev/null
  status=$?
  if [ $status -eq 2 ] && [ ! -s out ] && [ ! -e RAN ] && [ "$(wc -l <err)" -eq 1 ] &&
    grep -Eq "^whendo: bad.yaml$2\$" err; then
    pass "$1"
  else
    fail "$1" "status $status, want :$2, got: $(head -c 600 err out)"
  fi
}
# text NAME PATTERN TEXT: the same, the file is printf %b TEXT.
text() {
  printf '%b' "$3" >bad.yaml
  bad "$1" "$2"
}
# key NAME PATTERN LINES: the same, the lines are the rest of a rule.
key() {
  printf 'rules:\n  - run: touch RAN\n    %s\n' "$3" >bad.yaml
  bad "$1" "$2"
}

# the file
text 'a text' ':1:1: the file is a text, not a mapping \(key: value\)' 'hello\n'
text 'null' ':1:1: the file is a text, not a mapping.*' '~\n'
text 'only comments' ":1:1: is empty; it has no 'rules'" '# nothing\n'
text 'only a BOM' ":1:1: is empty; it has no 'rules'" '\0357\0273\0277'
text 'UTF-16, big end first' ':1:1: is UTF-16; write UTF-8' '\0376\0377\0000r\0000u'
text 'UTF-16 without a BOM' ':1:2: has a NUL byte' 'r\0000u\0000l\0000'
text 'Latin-1' ':1:6: is not UTF-8' '# caf\0351\nrules: []\n'
text 'an overlong form' ':2:10: is not UTF-8' 'rules:\n  - run: \0300\0200\n'
text 'a surrogate' ':2:10: is not UTF-8' 'rules:\n  - run: \0355\0240\0200\n'
text 'a character cut off' ':2:10: is not UTF-8' 'rules:\n  - run: \0342\0202'
text 'a column counts characters' ':2:13: is not UTF-8' 'rules:\n  - run: \0303\0244\0303\0266 \0377\n'
text 'a control character' ':2:12: control characters are not allowed' 'rules:\n  - run: "a\0001b"\n'
text 'a second document' ':4:1: a second document begins here; a file is one' \
  'rules:\n  - run: touch RAN\n---\nrules:\n  - run: y\n'
text 'another version of YAML' ':1:1: found incompatible YAML document' '%YAML 3.0\n---\nrules: []\n'
text 'rules twice' ":3:1: 'rules' is there twice" 'rules:\n  - run: touch RAN\nrules:\n  - run: y\n'
text 'an alias bomb' ':1:1: unknown key .x.' 'x: &a [1,1,1,1]\n'

# its form
text 'a tab' ':2:1: found character that cannot start any token.*' 'rules:\n\t- run: touch RAN\n'
text 'a tab further down' ':3:1: found a tab character that violates? indentation.*' 'rules:\n  - run: x\n\tname: y\n'
text 'an open quote' ':3:1: found unexpected end of stream.*' 'rules:\n  - run: "x\n'
text 'an unknown escape' ':2:11: found unknown escape character.*' 'rules:\n  - run: "\\q"\n'
text 'two colons' ':2:11: mapping values are not allowed in this context' 'rules:\n  - run: a: b\n'
text 'wrong indentation' ":3:4: did not find expected '-' indicator.*" 'rules:\n  - run: x\n   name: y\n'
text 'an open list' ":2:1: did not find expected ',' or '\]'.*" 'rules: [{run: x}\n'
text 'brackets that do not match' ":1:15: did not find expected ',' or '\}'.*" 'rules: {run: x]\n'
text 'an @' ':2:10: found character that cannot start any token.*' 'rules:\n  - run: @x\n'
text 'an unknown alias' ':2:11: found undefined alias' 'rules:\n  - name: *nope\n'
text 'a list in itself' ':1:8: a rule is a list, not a mapping.*' 'rules: &a\n  - *a\n'
text 'a rule in itself' ':2:5: run is a mapping, not a text' 'rules:\n  - &r\n    run: *r\n'
text 'a rule that merges itself' ":2:5: the rule has no 'run'" 'rules:\n  - &r\n    <<: *r\n'
text 'a text is merged' ':2:9: <<: merges a mapping, or a list of them' 'rules:\n  - <<: x\n    run: touch RAN\n'
text 'a key twice in what is merged' ":2:18: 'ext' is there twice" 'rules:\n  - <<: {ext: c, ext: h}\n    run: touch RAN\n'
{ echo 'x-0: &m0 {ext: c}'; i=0; while [ $i -lt 70 ]; do echo "x-$((i + 1)): &m$((i + 1)) {<<: *m$i}"; i=$((i + 1)); done; printf 'rules:\n  - <<: *m70\n    run: touch RAN\n'; } >bad.yaml
bad 'merges nested 70 deep' ':7:6: <<: nested too deeply'
{ printf 'rules:\n'; i=0; while [ $i -lt 3000 ]; do printf -- '- '; i=$((i + 1)); done; echo x; } >bad.yaml
bad 'lists nested 3000 deep' ':2:.*'
{ printf 'rules:\n'; i=0; while [ $i -lt 1001 ]; do printf -- '- run: touch RAN\n'; i=$((i + 1)); done; } >bad.yaml
bad 'more than 1000 rules' ':2:1: rules: more than 1000'

# rules
text 'rules are nothing' ':1:7: rules: is no list; begin each rule with a -' 'rules:\n'
text 'rules are a text' ':1:8: rules: is no list; begin each rule with a -' 'rules: x\n'
text 'rules are empty' ':1:8: rules: is empty' 'rules: []\n'
text 'a rule is a text' ':2:5: a rule is a text, not a mapping.*' 'rules:\n  - x\n'
text 'a rule is nothing' ':2:4: a rule is a text, not a mapping.*' 'rules:\n  -\n'
text 'a rule is a list' ':2:5: a rule is a list, not a mapping.*' 'rules:\n  - [run, x]\n'
text 'run is nothing' ':2:9: run: names no command' 'rules:\n  - run:\n'
text 'run is empty' ':2:10: run: names no command' 'rules:\n  - run: ""\n'
text 'run is an empty list' ':2:10: run: names no command' 'rules:\n  - run: []\n'
text 'run is a list of an empty text' ':2:10: run: names no command' 'rules:\n  - run: [""]\n'
text 'run is a list in a list' ':2:11: run is a list, not a text' 'rules:\n  - run: [[a]]\n'
text 'an argument is nothing' ':2:15: run has an empty item; quote it if it is meant' 'rules:\n  - run: [ls, ~]\n'
text 'run holds a NUL' ':2:10: run has a NUL character' 'rules:\n  - run: "a\\x00b"\n'
text 'a cycle of three' ":2:30: needs: 'a' needs itself, by way of 'b'" \
  'rules:\n  - {name: a, run: x, needs: b}\n  - {name: b, run: x, needs: c}\n  - {name: c, run: x, needs: a}\n'

# keys
key 'a key in capitals' ":3:5: unknown key 'On-Busy'; did you mean 'on-busy'\?" 'On-Busy: restart'
key 'a key with _' ":3:5: unknown key 'on_busy'; did you mean 'on-busy'\?" 'on_busy: restart'
key 'a key that is a list' ':3:5: a key is a list, not a text' '[a]: x'
key 'a key that is a number' ":3:5: unknown key '7'" '7: x'
key 'a key that a terminal would obey' ":3:5: unknown key '.x1B\[31mred'" '"\e[31mred": y'
key 'an option that is no key' ":3:5: unknown key 'watch'.*" 'watch: x'

# values
key 'name is empty' ':3:11: name: is empty' 'name: ""'
key 'name is a list' ':3:11: name is a list, not a text' 'name: [a]'
key 'paths is a mapping' ':3:12: paths is a mapping, not a text' 'paths: {a: b}'
key 'paths is nothing' ':3:11: paths: names no path' 'paths:'
key 'paths is empty' ':3:12: paths: names no path' 'paths: []'
key 'a path is empty' ':3:18: paths: has an empty path' 'paths: [src, ""]'
key 'needs itself' ":3:12: needs: there is no rule 'a'" 'needs: a'
key 'needs is a mapping' ':3:12: needs is a mapping, not a text' 'needs: {a: b}'
key 'an open glob' ":3:16: '\[a': byte 1: set without its '\]'" 'patterns: ["[a"]'
key 'an open glob to ignore' ":3:13: 'a\[!': byte 2: set without its '\]'" 'ignore: "a[!"'
key 'a regex of nothing' ":3:12: '\*': byte 1: quantifier does not follow a repeatable item" 'regex: "*"'
key 'an extension that is a glob' ":3:10: 'c\*': byte 2: an extension is no glob" 'ext: "c*"'
key 'an extension with /' ":3:10: 'a/b': byte 2: an extension has no '/'" 'ext: "a/b"'
key 'no kinds' ":3:13: events: '' names no kind of event" 'events: []'
key 'a negative time' ":3:15: debounce: '-1' is no time; .*" 'debounce: -1'
key 'an unknown unit' ":3:15: debounce: '5 parsecs' is no time; .*" 'debounce: 5 parsecs'
key 'a time too long' ":3:15: debounce: '9{20}' is too long; .*" 'debounce: 99999999999999999999'
key 'a time that is a list' ':3:15: debounce is a list, not a text' 'debounce: [1, 2]'
key 'no time between runs' ":3:12: every: '0' is too short; .*" 'every: 0'
key 'signal 0' ":3:18: stop-signal: '0' is no signal; .*" 'stop-signal: 0'
key 'signal 99' ":3:18: stop-signal: '99' is no signal; .*" 'stop-signal: 99'
key 'a directory that is not there' ":3:14: workdir: 'none' cannot be entered: No such file or directory" 'workdir: none'
key 'a directory that is none' ":3:14: workdir: 'bad.yaml' cannot be entered: Not a directory" 'workdir: bad.yaml'
key 'a directory without a name' ":3:14: workdir: '' cannot be entered: .*" 'workdir: ""'
key 'a list that is not there' ":3:17: files-from: 'none' cannot be read: No such file or directory" 'files-from: none'
key 'a list that is a directory' ":3:17: files-from: '/' cannot be read: Is a directory" 'files-from: /'
key 'a list on standard input' ':3:17: files-from: a rule has no standard input to read' 'files-from: "-"'
key 'a time that is nothing' ':3:11: delay has no value; quote it if it is meant' 'delay:'
key 'a shell that is nothing' ':3:12: shell has no value; quote it if it is meant' 'shell: ~'
key 'a glob that is nothing' ':3:15: patterns has no value; quote it if it is meant' 'patterns: ~'
key 'a name that is nothing' ':3:11: name: is empty' 'name: ~'
key 'needs nothing' ':3:12: needs: names no rule' 'needs: ~'
key 'a hexadecimal time' ":3:12: delay: '0x10' is no time; .*" 'delay: 0x10'
key 'no jobs' ":3:11: jobs: '0' is no whole number from 1 to [0-9]+" 'jobs: 0'
key 'half a level' ":3:12: depth: '1.5' is no whole number.*" 'depth: 1.5'
key 'a flag that is 2' ':3:15: postpone is true or false' 'postpone: 2'
key 'a choice in capitals' ":3:14: on-busy: 'RESTART' is not known; did you mean restart\?" 'on-busy: RESTART'
key 'a variable without =' ":3:11: env: 'A' is no NAME=VALUE" 'env: [A]'
key 'a variable without a name' ":3:11: env: '=x' is no NAME=VALUE" 'env: ["=x"]'
key 'the second of a list' ":3:16: env: 'B' is no NAME=VALUE" 'env: [A=1, B]'
key 'a variable that is a list' ':3:14: A is a list, not a text' 'env: {A: [1]}'
key 'a name with =' ":3:11: env: 'A=B' is no name of a variable" 'env: {"A=B": c}'
key 'a filter file that is not there' ":3:18: filter-file: '/does/not/exist' cannot be read: No such file or directory" 'filter-file: /does/not/exist'

# tricks
text 'tricks is a mapping' ':1:9: tricks: is no list; begin each trick with a -' 'tricks: {a: b}\n'
text 'an unknown trick' ':2:3: watchdog.tricks.FooTrick is not known; .*' 'tricks:\n- watchdog.tricks.FooTrick:\n    a: b\n'
text 'an unknown argument' ":3:5: .*ShellCommandTrick takes no 'shel_command'; did you mean 'shell_command'\?" \
  'tricks:\n- watchdog.tricks.ShellCommandTrick:\n    shel_command: x\n'
text 'a trick without its command' ":2:3: .*AutoRestartTrick needs a 'command'" \
  'tricks:\n- watchdog.tricks.AutoRestartTrick:\n    patterns: ["*"]\n'
text 'a bad time in a trick' ":4:17: kill_after: 'soon' is no time; .*" \
  'tricks:\n- watchdog.tricks.AutoRestartTrick:\n    command: [x]\n    kill_after: soon\n'

text 'the second glob of a trick' ":3:19: '\[a': byte 1: set without its '\]'" \
  'tricks:\n- watchdog.tricks.LoggerTrick:\n    patterns: [b, "[a"]\n'
text 'an argument of another trick' ":3:5: watchdog.tricks.LoggerTrick takes no 'shell_command'" \
  'tricks:\n- watchdog.tricks.LoggerTrick:\n    shell_command: x\n'
text 'an empty command of a trick' ':3:15: command has an empty text' \
  'tricks:\n- watchdog.tricks.AutoRestartTrick:\n    command: [""]\n'
text 'no command of a trick' ":2:3: .*AutoRestartTrick needs a 'command'" \
  'tricks:\n- watchdog.tricks.AutoRestartTrick:\n    command: []\n'
text 'a flag of a trick' ':3:23: wait_for_process is true or false' \
  'tricks:\n- watchdog.tricks.ShellCommandTrick:\n    wait_for_process: maybe\n'
text 'a trick without a class' ':2:1: tricks: is empty' 'tricks:\n- {}\n'

# An alias repeats its mistake, but not for ever.
{
  printf 'rules:\n  - run: &a ["~x", "y"]\n    env: ['
  i=0
  while [ $i -lt 500 ]; do printf '*a, '; i=$((i + 1)); done
  printf '*a]\n'
} >bad.yaml
"$W" rules bad.yaml >out 2>err </dev/null
is 'many mistakes are some lines' "$? $(wc -l <err)" '2 20'
