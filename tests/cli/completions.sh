#!/bin/sh
# The completion scripts, loaded into their shells: verbs, options of a verb, their values, and
# the command after --.
. tests/lib/tap.sh
plan 42
mkdir work
cd work || exit 1
mkdir source
touch whendo.yaml
for shell in bash zsh fish; do
  "$W" completions $shell >../$shell.script 2>../err
done

mkdir ../site
cp ../zsh.script ../site/_whendo
is 'nothing is said' "$(cat ../err)" ''

# What bash offers for a line, sorted.
cat >../bash.ask <<'X'
source ../bash.script
read -ra COMP_WORDS <<<"$1"
[[ $1 != *' ' ]] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_whendo
printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ' | sed 's/^ $//'
X
in_bash() { bash --norc ../bash.ask "$1"; }

in_fish() { # without the descriptions, and what fish 4 adds: words that merely have the letters
  HOME=$tmp fish --no-config -c "source ../fish.script; complete -C '$1'" 2>&1 | cut -f1 |
    WORD=${1##* } awk 'index($0, ENVIRON["WORD"]) == 1' | sort | tr '\n' ' '
}

# What zsh makes of each line on which Tab is typed, and what it lists.
cat >../zsh.ask <<'X'
import os, pty, re, select, sys
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM="vt100", PS1="$ ", HOME=os.path.abspath(".."))
    os.execvp("zsh", ["zsh", "-f", "-i"])
seen = b""
def until(pattern):
    global seen
    while not re.search(pattern, seen, re.S):
        if not select.select([fd], [], [], 20)[0]:
            sys.exit("no %r in %r" % (pattern, seen))
        seen += os.read(fd, 65536)
    rest, seen = seen, b""
    return rest
until(rb"\$ ")
os.write(fd, b"COLUMNS=300 LISTMAX=1000; fpath=($PWD/../site $fpath); autoload -U compinit && compinit -D -u;"
         b" show() { zle -I; print -r -- \"<$BUFFER>\"; BUFFER= }; zle -N show; bindkey '^X' show; echo load''ed\n")
until(rb"loaded.*\$ ")
for line in sys.argv[1:]:
    os.write(fd, line.encode() + b"\t\x18")
    print(" ".join(until(rb"<[^>]*>.*\$ ").decode().split()))
os.close(fd)
X

# offers SHELL LINE WANT: exactly these.
offers() {
  is "$1: $2" "$(in_$1 "$2")" "$3"
}
for shell in bash fish; do
  if ! command -v $shell >/dev/null; then
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do skip "$shell" "no $shell"; done
    continue
  fi
  offers $shell 'whendo lo' 'log '
  offers $shell 'whendo --vers' '--version '
  case $shell in bash) dir=source ;; *) dir=source/ ;; esac
  offers $shell 'whendo so' "$dir "
  offers $shell 'whendo log --back' '--backend '
  offers $shell 'whendo log -b in' 'inotify '
  offers $shell 'whendo log --backend f' 'fanotify fsevent '
  offers $shell 'whendo source --on-' '--on-busy '
  offers $shell 'whendo run -o re' 'restart '
  offers $shell 'whendo auto-restart --signal HU' 'HUP '
  offers $shell 'whendo wait --events created,mov' 'created,moved '
  offers $shell 'whendo tricks-from --py' '--python-path '
  offers $shell 'whendo completions z' 'zsh '
  offers $shell 'whendo help sn' 'snapshot '
  offers $shell 'whendo log --on-' ''
done
if command -v bash >/dev/null; then
  is 'bash: --backend=' "$(bash --norc -c 'source ../bash.script; COMP_WORDS=(whendo log --backend = po) COMP_CWORD=4; _whendo; echo "${COMPREPLY[@]}"')" poll
  like 'bash: a command after --' "$(in_bash 'whendo -e c -- prin')" '^(.* )?printf '
  is 'bash: ... not its options' "$(in_bash 'whendo -e c -- make --che')" ''
else
  for i in 1 2 3; do skip bash 'no bash'; done
fi
if command -v fish >/dev/null; then
  is 'fish: a command after --' "$(in_fish 'whendo -e c -- fish_add_p')" 'fish_add_path '
else
  skip fish 'no fish'
fi
if command -v zsh >/dev/null && command -v python3 >/dev/null; then
  python3 ../zsh.ask 'whendo lo' 'whendo log --back' 'whendo log --backend f' 'whendo source --on-b' \
    'whendo run --on-busy res' 'whendo wait --events created,mov' 'whendo tricks-from --py' 'whendo completions z' >../zsh.out 2>&1
  line() { sed -n "$1p" ../zsh.out; }
  is 'zsh: it may also be sourced' "$(HOME=$tmp zsh -f -c 'autoload -U compinit && compinit -D -u && source ../zsh.script && echo $_comps[whendo]' 2>&1)" _whendo
  like 'zsh: a verb' "$(line 1)" '<whendo log ?>'
  like 'zsh: an option' "$(line 2)" '<whendo log --backend=?>'
  like 'zsh: a value' "$(line 3)" 'fanotify +fsevent'
  like 'zsh: an option without a verb' "$(line 4)" '<whendo source --on-busy=?>'
  like 'zsh: a choice' "$(line 5)" '<.*--on-busy restart ?>'
  like 'zsh: a kind after another' "$(line 6)" '<.*created,moved,? ?>'
  like 'zsh: an alias' "$(line 7)" '<.*tricks-from --python-path=?>'
  like 'zsh: a shell' "$(line 8)" '<.*completions zsh ?>'
else
  for i in 1 2 3 4 5 6 7 8 9; do skip zsh 'no zsh'; done
fi
