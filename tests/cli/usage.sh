#!/bin/sh
# Wrong use: one line on stderr that names what is wrong and what is near, exit 2.
. tests/lib/tap.sh
plan 31

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
wrong 'command without --' 'make: unknown verb; to run it when something changes: whendo -- make' make
mkdir src
wrong 'path without --' 'src: unknown verb; to run a command .*whendo src -- COMMAND' src
wrong 'unknown option' '--debuonce: unknown option; did you mean --debounce\?' run --debuonce 3 -- x
wrong 'unknown letter' '-Z: unknown option; see whendo log --help' log -Z
wrong 'option of another verb' '--stop-signal: not an option of log; see whendo log --help' log --stop-signal INT
wrong 'missing value' '--timeout: its value is missing \(TIME\)' run --timeout
wrong 'value for a flag' '--quiet: takes no value' wait --quiet=3
wrong 'bad time' "--debounce: '5x' is no time; write 50ms, 1.5s, 2m or seconds" log --debounce 5x
wrong 'negative time' "-d: '-1' is no time; .*" log -d -1
wrong 'endless time' "--timeout: '1e99' is too long; a week \(168h\) is the most" wait --timeout 1e99
wrong 'bad number' "--depth: '1.5' is no whole number from 1 to 1000000" log --depth 1.5
wrong 'overflowing number' "-j: '99999999999999999999' is no whole number .*" run -j 99999999999999999999 -- x
wrong 'bad choice' "--on-busy: 'resart' is not known; did you mean restart\?" run --on-busy resart -- x
wrong 'bad kind' "--events: 'createt' has no kind 'createt'; did you mean created\?" log --events createt
wrong 'bad signal' "--stop-signal: 'TREM' is no signal; did you mean TERM\?" run --stop-signal TREM -- x
wrong 'bad format' "--format: 'jsn' is not known; did you mean json\?" log --format jsn
wrong 'bad field' "--format: '\{pth\}' has no field \{pth\}; did you mean \{path\}\?" log --format '{pth}'
wrong 'bad variable' "-E: 'X' is no NAME=VALUE" run -E X -- x
wrong 'no command' 'run: no command; write whendo \[PATH...\] -- COMMAND \[ARG...\]' run
wrong 'bad glob' '-p: .*' log -p '[a'
wrong 'bad regex' '--regex: .*' log --regex '(a'
is '... says the option once' "$(grep -o -- --regex err | wc -l)" 1
wrong 'missing workdir' "-C: 'nowhere' cannot be entered: No such file or directory" run -C nowhere -- true
wrong 'unknown shell' 'completions: .bahs. is not known; did you mean bash' completions bahs
wrong 'no rules file' 'whendo.yaml: not here, nor tricks.yaml; name the file' rules

is 'version' "$("$W" --version)" "whendo $(sed -n 's/.*VERSION_\(MAJOR\|MINOR\|PATCH\) \([0-9]*\)/\2/p' "$top/include/whendo/version.h" | paste -sd.)"

# Every option of --help is in the manual and in the completions of its verb.
missing=
for shell in bash zsh fish; do "$W" completions $shell >$shell.script; done
for verb in $("$W" --help | sed -n 's/^  \([a-z-]*\)  .*/\1/p'); do
  for option in $("$W" "$verb" --help | grep -oE -- '^  (-.,|   ) --[a-z0-9-]+' | grep -oE -- '--[a-z0-9-]+'); do
    grep -Eq -- "(Fl|,) -${option#--}( |\$)" "$top/man/whendo.1" || missing="$missing $option"
    grep -Eq "^	$verb\)?.* $option" bash.script || missing="$missing bash:$verb:$option"
    grep -q -- "-l ${option#--} " fish.script || missing="$missing fish:$option"
    grep -q -- "\*$option[=[]" zsh.script || missing="$missing zsh:$option"
  done
done
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
