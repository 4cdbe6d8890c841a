#!/bin/sh
# Live reload of a rules file: only what changed in it is stopped and started.
. tests/lib/tap.sh
plan 16
mkdir src

rules() { # rules LAST-RULE...: one server, one build and what is given
  cat <<Y
rules:
  - name: server
    paths: src
    ext: conf
    on-busy: restart
    run: [sh, -c, 'echo "up \$\$"; exec sleep 1081']
  - name: build
    paths: src
    ext: c
    run: echo built
$*
Y
}
old='  - name: old
    paths: src
    run: [sh, -c, "trap : TERM; echo old up; sleep 1082"]'
new='  - name: new
    paths: src
    ext: x
    needs: build
    run: echo new'
runs_of() { sed -n "s/^\[$1\] up //p" a.out; }
reload() { # reload N: N times read again
  until_true 10 size_is a.err 'read again' "$1"
}

rules "$old" >whendo.yaml
start a rules
until_true 10 has a.out 'old up'
until_true 10 has a.out 'built'
pid_before=$(runs_of server)

{ echo '# a comment, and another way to write the same'; rules "$old" | sed 's/paths: src/paths: "src"/'; } >t.yaml
mv t.yaml whendo.yaml
reload 1
like 'a comment changes nothing' "$(cat a.err)" 'read again: 0 rules to start, 0 to stop, 3 unchanged'

rules "$new" >whendo.yaml
reload 2
check 'a rule that is gone is stopped' until_true 10 sh -c '! pgrep -fx "sleep 1082"'
check 'a new one that needs what has run already runs' until_true 10 has a.out '^\[new\] new'
is '... without running that again' "$(count a.out built)" 1
is 'a server that did not change keeps its process' "$(runs_of server)" "$pid_before"
check '... which lives' kill -0 "$pid_before"

rules "$new" | sed 's/echo built/echo built again/' >whendo.yaml
reload 3
check 'a rule that changed runs as it is now' until_true 10 has a.out 'built again'
check '... and what needs it, after it' until_true 10 size_is a.out '^\[new\] new' 2
kept=$(count a.err 'watching src')
is '... with no other watch than its own' "$kept" 5
is '... the server is not touched' "$(runs_of server)" "$pid_before"
touch src/x.conf
until_true 10 sh -c '[ "$(grep -c "\[server\] up" a.out)" -eq 2 ]'
is 'a kept rule still reacts' "$(runs_of server | wc -l)" 2

rules "$new" | sed 's/1081/1083/' >whendo.yaml
reload 4
check 'a changed server is replaced' until_true 10 pgrep -fx 'sleep 1083'
is '... after the old one has ended' "$(pgrep -fxc 'sleep 1081')" 0

sed 's/needs: build/needs: bild/' whendo.yaml >t.yaml
mv t.yaml whendo.yaml
check 'a bad version is told' until_true 10 has a.err "needs: there is no rule 'bild'; did you mean 'build'"
rm whendo.yaml
rules "$old" >whendo.yaml
check 'a file that was away and came back counts' until_true 10 has a.out 'old up'
finish TERM
check 'nothing is left' until_true 10 sh -c '! pgrep -fx "sleep 108[123]"'
