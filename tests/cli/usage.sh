#!/bin/sh
# Wrong use: one line on stderr that names what is wrong and what is near, exit 2.
. tests/lib/tap.sh
plan 76

# wrong NAME PATTERN ARGS...: exit 2, nothing on stdout, one line that matches.
wrong() {
  name=$1 pattern=$2
  shift 2
  "$W" "$@" >out 2>err </dev/null
  status=$?
  if [ $status -ne 2 ] || [ -s out ] || [ "$(wc -l <err)" -ne 1 ]; then
    fail "$name" "status $status, $(wc -l <err) lines: $(cat err)"
  else
    like "$name" "$(cat err)" "^whendo: $pattern\$"
  fi
}

wrong 'unknown verb' 'lgo: unknown verb; did you mean log\?' lgo
wrong 'an empty verb' "'': an empty verb; see whendo --help" ''
wrong 'command without --' 'make: unknown verb; to run it when something changes: whendo -- make' make
mkdir src
wrong '... and its arguments' "make: unknown verb; to run it when something changes: whendo -- make 'a b'" make 'a b'
wrong '... and options' 'run: no command; it stands after --, as in: whendo -- make check' -e c make check
wrong '... and paths' 'run: no command; it stands after --, as in: whendo -- ./server' -r src ./server
wrong 'path without --' 'src: unknown verb; to run a command .*whendo src -- COMMAND' src
wrong 'unknown option' '--debuonce: unknown option; did you mean --debounce\?' run --debuonce 3 -- x
wrong 'unknown letter' '-Z: unknown option; see whendo log --help' log -Z
wrong 'unknown option without a verb' '--verison: unknown option; did you mean --version\?' --verison
wrong 'letter of another verb' '-r: not an option of log; see whendo log --help' log -r
wrong 'option of another verb' '--stop-signal: not an option of log; see whendo log --help' log --stop-signal INT
wrong 'how to notice changes, where nothing is watched' '-b: not an option of why; see whendo why --help' why -b poll x
wrong '... for a snapshot' '--backend: not an option of snapshot; see whendo snapshot --help' snapshot --backend poll file
wrong '... and what has changed since' '-b: not an option of diff; see whendo diff --help' diff -b poll file
wrong '... nor how often' '--poll-interval: not an option of diff; see whendo diff --help' diff --poll-interval 1 file
wrong 'kinds of events, for a state' '--events: not an option of snapshot; see whendo snapshot --help' snapshot --events created file
wrong '... that nobody can see afterwards' '--events: diff tells of created, modified, moved, deleted and attrib only' diff --events opened,closed file
wrong 'an option by the name it has elsewhere' '--on-busy-update: unknown option; did you mean --on-busy\?' run --on-busy-update restart -- x
wrong '... of another verb' '--exclude: unknown option; did you mean --ignore-regex\?' log --exclude x
wrong '... that is not of this verb' '--delay-run: unknown option; see whendo log --help' log --delay-run 1
wrong 'missing value' '--timeout: its value is missing \(TIME\)' run --timeout
wrong 'value for a flag' '--quiet: takes no value' wait --quiet=3
wrong 'bad time' "--debounce: '5x' is no time; write 50ms, 1.5s, 2m, 1h or seconds" log --debounce 5x
wrong 'negative time' "-d: '-1' is no time; .*" log -d -1
wrong 'endless time' "--timeout: '1e99' is too long; a week \(168h\) is the most" wait --timeout 1e99
wrong 'hexadecimal time' "--delay: '0x10' is no time; .*" run --delay 0x10 -- x
wrong 'bad number' "--depth: '1.5' is no whole number from 1 to 1000000" log --depth 1.5
wrong 'overflowing number' "-j: '99999999999999999999' is no whole number .*" run -j 99999999999999999999 -- x
wrong 'bad choice' "--on-busy: 'resart' is not known; did you mean restart\?" run --on-busy resart -- x
wrong 'bad kind' "--events: 'createt' is no kind of event; did you mean created\?" log --events createt
wrong 'one bad kind of several' "--events: 'moved,closd' has no kind 'closd'; did you mean closed\?" log --events moved,closd
wrong 'a kind by the name it has elsewhere' "--events: 'close_write' is no kind of event; did you mean closed\?" log --events close_write
wrong 'a kind that is like none' "--events: 'xyzzy' is no kind of event; it may be created modified moved .*" log --events xyzzy
wrong 'bad signal' "--stop-signal: 'TREM' is no signal; did you mean TERM\?" run --stop-signal TREM -- x
wrong 'bad format' "--format: 'jsn' is not known; did you mean json\?" log --format jsn
wrong 'a format that is empty' "--format: '' is empty; it may be text, json, or '\{kind\} \{path\}\\\\n'" log --format=
wrong 'a format of another program' "--format: '%w%f' has no field; fields are written as in '\{kind\} \{path\}'" log --format %w%f
wrong 'bad field' "--format: '\{pth\}' has no field \{pth\}; did you mean \{path\}\?" log --format '{pth}'
wrong 'bad variable' "-E: 'X' is no NAME=VALUE" run -E X -- x
wrong 'no command' 'run: no command; write whendo \[PATH...\] -- COMMAND \[ARG...\]' run
wrong 'bad glob' '-p: .*' log -p '[a'
wrong 'bad regex' '--regex: .*' log --regex '(a'
is '... says the option once' "$(grep -o -- --regex err | wc -l)" 1
wrong 'missing workdir' "-C: 'nowhere' cannot be entered: No such file or directory" run -C nowhere -- true
wrong 'a log file that cannot be' "--log-file: 'none/x' cannot be written: No such file or directory" log --log-file none/x
wrong 'workdir without a name' "--workdir: '' cannot be entered: .*" run --workdir= -- true
: >file
wrong 'workdir that is a file' "-C: 'file' cannot be entered: Not a directory" plan -C file -- true
wrong 'list that is a directory' "-f: 'src' cannot be read: Is a directory" log -f src
wrong 'missing ignore file' "--ignore-file: 'none' cannot be read: No such file or directory" log --ignore-file none
wrong 'ignore file that is a directory' "--ignore-file: 'src' cannot be read: Is a directory" log --ignore-file src
mkfifo fifo
wrong 'filter file that is a fifo' "--filter-file: 'fifo' is no regular file" wait --filter-file fifo
wrong 'help of no verb' 'lgo: unknown verb; did you mean log\?' help lgo
wrong 'help of what is like none' 'xyzzy: unknown verb; see whendo --help' help xyzzy
wrong 'help of two' 'help: one verb at a time' help log wait
wrong 'trick without a class' 'tricks-generate-yaml: name a class, as in watchdog.*' tricks-generate-yaml
wrong 'class that is none' 'x.Y: no such trick; there is watchdog.*' tricks-generate-yaml x.Y
wrong 'snapshot without a file' 'snapshot: name the file for the state, then the paths' snapshot
wrong 'why without a path' 'why: name the paths to explain' why
wrong 'two rules files' 'rules: one file at a time' rules a b
wrong 'unknown shell' 'completions: .bahs. is not known; did you mean bash\?' completions bahs
wrong 'another shell' 'completions: .tcsh. is not known; it may be bash, zsh or fish' completions tcsh
wrong 'an extension that is a glob' "-e: 'c\*': byte 2: an extension is no glob" log -e 'c*'
wrong 'rules with a command' 'rules: takes no command; the file says what runs' rules -- true
wrong 'auto-restart without a command' 'auto-restart: no command; it stands last, as in: auto-restart -d src -- ./server' auto-restart -d src
wrong 'no rules file' 'whendo.yaml: not here, nor tricks.yaml; name the file' rules

# unstarted STATUS PATTERN ARGS...: what cannot be started is named, not all of its command.
unstarted() {
  pattern="$1 whendo: $2\$"
  shift 2
  "$W" run --exit-on-error "$@" >out 2>err </dev/null
  like "run $*" "$? $(sed -n 3p err)" "$pattern"
}
unstarted 127 './none: there is no such program' src -- ./none a b
unstarted 127 '/none: there is no such program' --shell=/none src -- a b
unstarted 126 './file: it is there, but it cannot be executed .*' src -- ./file a
"$W" run --exit-on-error src -- 'nonesuch; exit 3' >out 2>err </dev/null
like 'a shell speaks as itself' "$(cat err)" '^sh: .*nonesuch'

is 'version' "$("$W" --version)" "whendo $(sed -n 's/.*VERSION_\(MAJOR\|MINOR\|PATCH\) \([0-9]*\)/\2/p' "$top/include/whendo/version.h" | paste -sd.)"

is '... also behind a verb' "$("$W" log --version) $("$W" -V)" "$("$W" --version) $("$W" --version)"

# Every option of --help is in the manual and in the completions of its verb.
for shell in bash zsh fish; do "$W" completions $shell >$shell.script; done
words() { tr ' ' '\n' | sed 's/^--//' | sort -u; }
missing=
for verb in $("$W" --help | sed -n 's/^  \([a-z-]*\)  .*/\1/p'); do
  "$W" "$verb" --help | sed -nE 's/^  (-.,|   ) --([a-z0-9-]+).*/\2/p' | sort -u >options.$verb
  sed -n "s/^	$verb[)| ]//p" bash.script | words >offered
  missing="$missing$(comm -23 options.$verb offered | sed "s/.*/ bash:$verb:&/")"
done
cat options.* | sort -u >all
lacks() { # lacks WHERE: names of options on stdin; those it has not
  sort -u | comm -23 all - | sed "s/.*/ $1:&/"
}
missing="$missing$(grep -oE '(Fl|,) -[a-z0-9-]+' "$top/man/whendo.1" | sed 's/.* -//' | lacks manual)"
missing="$missing$(grep -oE -- '-l [a-z0-9-]+ ' fish.script | tr -d ' ' | sed 's/^-l//' | lacks fish)"
missing="$missing$(grep -oE '\*--[a-z0-9-]+[=[]' zsh.script | sed 's/^...//; s/.$//' | lacks zsh)"
is 'options = manual = completions' "$missing" ''

is 'options stand below headings' "$("$W" log --help | grep '^[A-Z][a-z ]*$' | tr '\n' ',')" 'What is watched,Which events pass,Records,Batches and runs,As watchmedo,Messages,'

wide=
for verb in run log wait rules snapshot diff why plan shell-command auto-restart tricks; do
  wide="$wide$("$W" $verb --help | awk 'length > 80')"
done
is 'every --help fits 80 columns' "$wide" ''

"$W" log /dev/null/x >out 2>err
status=$?
like 'a path below a file' "$status $(cat err)" '^125 whendo: .*/dev/null'
