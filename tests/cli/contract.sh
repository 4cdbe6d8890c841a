#!/bin/sh
# What users rely on and no other script is about: defaults, the forms of paths, fields of
# records, what counts as one event, and the exit status of each end.
. tests/lib/tap.sh
plan 38
mkdir t

# ---- the command line
is 'help VERB is VERB --help' "$("$W" help wait)" "$("$W" wait --help)"
start a run t -q --postpone --debounce=1ms -- printf '<%s>' {}
touch t/one
check 'options before and after paths, values with = or behind' until_true 10 has a.out '<t/one>'
finish INT
is '-q: nothing is said' "$(cat a.err)" ''
start a run --debounce 1ms -P -- touch made
touch t/two
check 'without paths the current directory is watched' until_true 10 test -e made
finish INT
start a run -q -P t -- 'echo|cat;echo $WHENDO_PATH>said'
touch t/three
check 'one word with a character of a shell is a line for it' until_true 10 has said t/three
finish INT
start a run -v t -- echo {1}
touch t/four
until_true 10 has a.out four
is 'with {1} there is no run before a change' "$(cat a.out)" t/four
finish INT

# ---- exit status
"$W" run /dev/null/x -- true 2>err
is 'run: nothing can be watched' "$? $(cat err)" '125 whendo: /dev/null/x: cannot be watched: not a directory'
"$W" wait /dev/null/x 2>err
is 'wait: nothing can be watched' $? 125
printf 'tricks:\n  - watchdog.tricks.LoggerTrick:\n' >tricks.yaml
is 'rules: tricks.yaml where there is no whendo.yaml' "$("$W" rules --check 2>&1)" 'whendo: tricks.yaml: 1 rule, no mistake'
printf 'rules:\n  - run: echo alone\n    paths: t\n' >whendo.yaml
start r rules
check 'rules: the output of a single rule has no name before it' until_true 10 has r.out '^alone$'
finish INT
is 'rules: INT ends with 130' $status 130
start w wait t
finish INT
is 'wait: INT ends with 130' $status 130
start h run t -- sleep 1231
finish HUP
is 'run: HUP ends with 0' $status 0
mkfifo ready
"$W" log -q --ready-fd 5 t 5>ready >/dev/null &
p=$!
pids="$pids $p"
is '--ready-fd: a newline, then the end' "$(od -An -c <ready | tr -d ' ')" '\n'
kill $p

# ---- which kinds, by default
rm -f t/*
start l log t
start s run -q -P --stdin json t -- cat
s=$pid
touch t/k
until_true 10 has s.out created
chmod 600 t/k
cat t/k
ln -s k t/link
mkfifo t/pipe
until_true 10 has s.out pipe
is 'run: no attributes, no opening and closing' "$(grep -o '"event_type":"[a-z_]*"' s.out | sort -u | cut -d'"' -f4 | grep -v modified)" created
until_true 10 has l.out pipe
is 'log: attributes, too' "$(cut -d' ' -f1 l.out | sort -u | tr '\n' ' ')" 'attrib created '
finish INT
pid=$s
finish INT

# ---- records
start abs log "$tmp/t"
abs=$pid
start j log --format json t
mkdir t/d
touch t/d/f
ln -s f t/d/link2
mkfifo t/d/pipe2
until_true 10 has j.out pipe2
mv t/d/f t/d/g
rm t/d/g
until_true 10 has j.out deleted
until_true 10 has abs.out deleted
finish INT
pid=$abs
finish INT
is 'paths begin as the root was given' "$(grep -Fxc "created $tmp/t/d/link2" abs.out) $(grep -c '"src_path":"t/d/link2","root":"t"' j.out)" '1 1'
cat >fields.py <<'Y'
import json
seen = [e for e in map(json.loads, open("j.out")) if e["root"] == "t"]
made = {e["src_path"]: e for e in seen if e["event_type"] == "created"}
print(*(made[p]["file_type"] for p in ("t/d", "t/d/f", "t/d/link2", "t/d/pipe2")))
print(*(e["dest_path"] for e in seen if e["event_type"] == "moved"), *("dest_path" in e for e in made.values()))
print(made["t/d"]["is_directory"], made["t/d"]["is_synthetic"])
batches = [e["batch"] for e in map(json.loads, open("j.out"))]
print(sorted(set(batches)) == list(range(1, max(batches) + 1)), batches == sorted(batches))
Y
python3 fields.py >fields
is 'file_type' "$(sed -n 1p fields)" 'dir file symlink other'
is 'dest_path is there for moved only' "$(sed -n 2p fields)" 't/d/g False False False False'
is 'what the kernel told is not synthetic' "$(sed -n 3p fields)" 'True False'
is 'batches count up by one' "$(sed -n 4p fields)" 'True True'
mkdir -p from/in
touch from/in/f
start j log --format json t
mv from t/moved-in
until_true 10 has j.out 'moved-in/in/f'
like 'what was found by looking is' "$(grep moved-in/in/f j.out)" '"is_synthetic":true'
finish INT
cd t || exit 1
mkdir ../beside
start dot log --events created . ../beside
touch here d/there ../beside/f
until_true 10 has ../dot.out beside
is '. and .. in roots' "$(sort ../dot.out | tr '\n' ' ')" 'created ../beside/f created d/there created here '
finish INT
cd ..

# ---- one event, or two
start o log t
come_and_go() {
  touch t/short
  rm t/short
  for i in 1 2 3; do printf $i >>t/thrice; done
  touch t/end
}
at_once come_and_go
until_true 10 has o.out end
is 'what was there between two looks is two events' "$(grep short o.out | cut -d' ' -f1 | grep -v attrib | tr '\n' ' ')" 'created deleted '
is 'the same event several times in a row is one' "$(grep -c 'modified t/thrice' o.out)" 1
finish INT
start v log --format json t
cat >many.py <<'Y'
import json, os, sys
if sys.argv[1] == "make":
    most = int(open("/proc/sys/fs/inotify/max_queued_events").read())
    for i in range(most + 2000):
        os.close(os.open("t/v%d" % i, os.O_CREAT | os.O_WRONLY))
    print(most + 2000)
else:
    seen = list(map(json.loads, open("v.out")))
    over = [i for i, e in enumerate(seen) if e["event_type"] == "overflow"]
    made = [e for e in seen if e["event_type"] == "created"]
    late = [e for e in made if e.get("recovered")]
    print(len(over), len(made), len({e["src_path"] for e in made}),
          len(late) > 0, all(e["recovered"] is True and e["is_synthetic"] for e in late),
          all("recovered" not in e for e in seen[:over[0]]))
Y
if [ "$(cat /proc/sys/fs/inotify/max_queued_events 2>/dev/null || echo 999999)" -le 20000 ]; then
  at_once python3 many.py make >made
  until_true 60 has v.out "\"t/v$(($(cat made) - 1))\""
  check 'an overflow of the kernel is told, and all that was missed follows' \
    until_true 30 sh -c '[ "$(python3 many.py read)" = "1 $(cat made) $(cat made) True True True" ]'
else
  skip 'an overflow of the kernel' 'no inotify, or a very long queue'
fi
finish INT
rm -r t
mkdir t
start f log -b fanotify --format json t 2>/dev/null
if has f.err 'fanotify' || ! kill -0 $pid 2>/dev/null; then
  skip 'pid is who did it' 'fanotify is not permitted'
else
  sh -c 'echo $$ >maker; : >t/p'
  until_true 10 has f.out '"t/p"'
  like 'pid is who did it' "$(head -n 1 f.out)" "\"src_path\":\"t/p\".*\"pid\":$(cat maker)}"
fi
finish INT

# ---- what the command is told
rm -f t/*
touch t/from
start e run -q -P t -- sh -c 'env | grep ^WHENDO | sort | tr "\n" " "'
mv t/from t/to
check 'the environment' until_true 10 has e.out \
  '^WHENDO_BATCH=1 WHENDO_COUNT=1 WHENDO_DEST=t/to WHENDO_EVENT=moved WHENDO_PATH=t/from WHENDO_ROOT=t WHENDO_RUN=1 $'
finish INT
start u run -vv -P --stdin paths t -- sh -c 'cat; echo .; while [ -e hold ]; do sleep 0.02; done'
: >hold
touch t/u0
until_true 10 has u.out '^\.'
for i in 1 2 3 4 5; do touch t/u$i; done
until_true 10 has u.err 'whendo: [a-z]* t/u5$'
rm hold
until_true 10 size_is u.out '^\.' 2
is 'queue: the next run has all that changed meanwhile' "$(sed '1,/^\./d; /^\./q' u.out | tr '\n' ' ')" 't/u1 t/u2 t/u3 t/u4 t/u5 . '
finish INT
start n run -q --stdin none t -- sh -c 'wc -c; echo done'
check '--stdin none: nothing is there' until_true 10 sh -c '[ "$(tr -d " " <n.out | tr "\n" " ")" = "0 done " ]'
finish INT

# ---- ignores
mkdir -p g/build g/node_modules g/src
git init -q g 2>/dev/null
printf 'build/\n*.log\n' >g/.gitignore
is '--include wins over ignore files and built-in ignores' \
  "$("$W" why --include '*.log' --include '*.swp' -i 'x*' g/x.log g/.a.swp g/build/f | cut -d: -f2 | tr '\n' ' ')" ' passes  passes  does not pass '
mkdir -p g/.git/info
echo excluded >g/.git/info/exclude
printf 'ignored\n' >g/.ignore
printf 'ours\n' >g/.whendoignore
is '.git/info/exclude, .ignore, .whendoignore' "$("$W" why g/excluded g/ignored g/ours | grep -Eo '\([^ ]*(exclude|ignore):1\)$' | sed 's,.*/,,' | tr '\n' ' ')" \
  'exclude:1) .ignore:1) .whendoignore:1) '
start i run -q -P --stdin paths g -- cat
touch g/src/a.log g/build/f g/src/first
until_true 10 has i.out first
is 'what is ignored runs nothing' "$(count i.out 'log|build')" 0
echo '*.tmp' >g/.gitignore
until_true 10 has i.out gitignore
touch g/src/c.tmp
is_seen() { touch g/build/now && has i.out '^g/build/now$'; }
check 'an ignore file that is edited holds at once' until_true 10 is_seen
touch g/src/last
until_true 10 has i.out last
is '... for what it ignores now, too' "$(count i.out tmp)" 0
finish INT

# ---- called watchmedo
ln -s "$W" watchmedo
mkdir -p m/sub
echo '*.no' >m/.gitignore
WHENDO=$W W=$tmp/watchmedo
start m run -q -P --stdin paths m -- cat
touch m/sub/deep m/a.no
until_true 10 has m.out a.no
is 'as watchmedo run is not recursive and uses no ignore files' "$(count m.out deep)" 0
finish INT
W=$WHENDO

# ---- links
mkdir loop
ln -s . loop/self
ln -s "$tmp/loop" loop/again
start k log -q -L --events created loop
touch loop/f
until_true 10 has k.out f
is '-L: a link that leads back adds nothing' "$(cat k.out)" 'created loop/f'
finish INT
ln -s "$tmp" loop/up
start k log -L loop
touch loop/first
until_true 10 has k.out 'loop/first'
touch loop/second
until_true 10 has k.out 'loop/second'
is '... nor is what is printed an event behind one' "$(grep -c 'k\.\(out\|err\)$' k.out)" 0
finish INT
