#!/bin/sh
# log and wait: events as text, NDJSON and custom formats; ends and their exit status.
. tests/lib/tap.sh
plan 34
mkdir t

start a log t
mkdir t/d
echo x >t/d/f
# Before d is read, what leaves it comes from nowhere.
check 'text: what is in a new directory comes' until_true 5 has a.out '^created t/d/f$'
mv t/d/f t/g
rm t/g
check 'text: all four kinds come' until_true 5 has a.out '^deleted t/g$'
like 'text: a directory ends in /' "$(cat a.out)" '^created t/d/$'
like 'text: a move is one line' "$(cat a.out)" '^moved t/d/f -> t/g$'
like 'what is watched is said' "$(cat a.err)" '^whendo: watching t \([0-9]+ director(y|ies)\) in [0-9.]+ m?s$'
finish INT
is 'INT ends with 130' $status 130

ln -s nowhere link
start li log link
check 'a link that leads nowhere is told' has li.err '^whendo: link: is not there yet; waiting for it$'
: >nowhere
check '... and waited for' until_true 5 has li.out '^created link$'
finish INT
rm link nowhere

start bp log -b poll --events closed t
check 'what polling cannot tell of is told' until_true 5 has bp.err '^whendo: opened, closed and closed_no_write are not told where directories are polled$'
finish INT

start b log t
finish TERM
is 'TERM ends with 143' $status 143

nl=$(printf 'a\nb')
start c log -q t
touch "t/$nl" "t/$(printf 'e\033[31m')" "t/$(printf 'u\377')"
check 'control characters are escaped' until_true 5 has c.out '^created t/a\\x0Ab$'
check 'ESC is escaped' until_true 5 has c.out '^created t/e\\x1B\[31m$'
is 'no ESC reaches the output' "$(count c.out "$(printf '\033')")" 0
is '-q says nothing' "$(cat c.err)" ''
finish INT

rm -f t/* 2>/dev/null
start d log --format json t
touch "t/$(printf 'u\377')" t/é
until_true 5 has d.out é
check 'NDJSON is parsed line by line' python3 -c '
import json, sys, base64
seen = [json.loads(line) for line in open("d.out", encoding="utf-8")]
made = [e for e in seen if e["event_type"] == "created"]
assert [base64.b64decode(e["src_path_b64"]) for e in made if "src_path_b64" in e] == [b"t/u\xff"], made
assert [e["src_path"] for e in made] == ["t/u\ufffd", "t/é"], made
for e in seen:
    assert set(e) >= {"time", "event_type", "is_directory", "file_type", "src_path", "root", "is_synthetic", "batch"}
    assert e["root"] == "t" and e["file_type"] == "file" and not e["is_directory"]
'
finish INT

mkdir from to
echo x >from/half
start h log --format json from to
mv from/half to/half
until_true 5 has h.out moved
finish INT
start i log --format json from
mv to/half from/half
until_true 5 has i.out created
check 'half of a move has its number, a whole one none' python3 -c '
import json
whole, half = ([json.loads(line) for line in open(f, encoding="utf-8")] for f in ("h.out", "i.out"))
assert [e["event_type"] for e in whole] == ["moved"] and "cookie" not in whole[0], whole
assert [e["event_type"] for e in half] == ["created"] and half[0]["cookie"] > 0, half
'
finish INT

start e log --format '{kind}|{name}|{dir}|{type}' t
touch t/z
check 'custom format' until_true 5 has e.out '^created\|z\|t\|file$'
finish INT

start f log -0 t
touch "t/n
l"
until_true 5 grep -q l f.out
like '-0 prints raw names, ended by NUL' "$(tr '\n\0' '@\n' <f.out)" '^created t/n@l$'
finish INT

start g log --print-ready --format json t
until_true 5 has g.out ready
is '--print-ready is the first record' "$(head -1 g.out | grep -c '"event_type":"ready"')" 1
finish INT

"$W" log t 2>err | head -1 >head.out &
until_true 5 has err watching
touch t/h1 t/h2
until_true 5 has_lines head.out 1
wait
is '| head ends quietly' "$(wc -l <err) $(cut -d' ' -f1 head.out)" '1 created'

"$W" log t >/dev/full 2>full.err &
p=$!
until_true 5 has full.err watching
touch t/full
wait $p
is 'a full disk is told, exit 125' "$? $(tail -1 full.err)" '125 whendo: stdout: No space left on device'

"$W" wait --timeout 0.1 t >out 2>err
is 'wait --timeout ends with 124' "$? $(cat out err)" '124 '
start w wait t/new
touch t/new
wait $pid
is 'wait prints the change and ends with 0' "$? $(head -1 w.out)" '0 created t/new'

start x log -p '*.c' -i 'b*' t
touch t/a.c t/b.c t/a.h t/last.c
until_true 5 has x.out 'created t/last.c'
is '-p and -i choose' "$(grep -c created x.out) $(grep -c 'b.c\|a.h' x.out)" '2 0'
finish INT

start y log -e c,h --events created t
touch t/1.c t/1.py t/1.h
until_true 5 has y.out 1.h
is '-e and --events choose' "$(sort y.out | tr '\n' ' ')" 'created t/1.c created t/1.h '
finish INT

mkdir t/sub
start z log -N t
touch t/sub/no t/yes
until_true 5 has z.out yes
is '-N leaves what is below out' "$(grep -c no z.out)" 0
finish INT

mkdir u
start m log t u
mv t/yes u/yes
check 'a move across two roots is a move' until_true 5 has m.out '^moved t/yes -> u/yes$'
finish INT

# A reader that does not read must not stop the watching, nor lose anything.
mkfifo slow
"$W" log t >slow 2>slow.err &
p=$!
exec 4<slow
until_true 5 has slow.err watching
i=0
while [ $i -lt 3000 ]; do
  : >t/slow$i
  i=$((i + 1))
done
touch t/slow-end
timeout 20 sh -c 'while read -r l; do echo "$l"; case $l in *slow-end) exit;; esac; done' <&4 >slow.out
is 'a slow reader gets every event' "$(grep -c '^created t/slow[0-9]' slow.out)" 3000
kill $p
exec 4<&-
wait $p

"$W" log --log-file said t <&- >&- 2>&- &
p=$!
pids="$pids $p"
until_true 5 has said watching
kill -TERM $p
wait $p
is 'closed standard streams do no harm' $? 143

mkdir w
start wd log --watchdog w
echo x >w/f
until_true 5 has wd.out 'closed w/f'
is "--watchdog is Watchdog's sequence" "$(head -7 wd.out | tr '\n' ' ')" 'ready created w/f modified w/ opened w/f modified w/f closed w/f modified w/ '
rm -r w
wait $pid
is '... and ends with its root' "$? $(tail -1 wd.out)" '0 deleted w/'

mkdir w1 w2
start two log --watchdog w1 w2
rm -r w1
until_true 5 has two.out '^deleted w1/$'
mkdir w1
until_true 5 has two.out '^created w1/$'
rm -r w1
touch w2/f
check '... of two roots with the last' until_true 5 has two.out 'created w2/f'
rm -r w2
wait $pid
is '... and not before' "$? $(tail -1 two.out)" '0 deleted w2/'

mkdir own
cd own || exit 1
start 'own/o [1]' log .
touch x
until_true 5 has 'o [1].out' '^created x$'
touch last
until_true 5 has 'o [1].out' '^created last$'
is 'the file that is printed to is no event' "$(grep -c '^[a-z]* o ' 'o [1].out')" 0
finish INT
