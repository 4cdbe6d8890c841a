#!/bin/sh
# The verbs that look: snapshot, diff, why; and wait and log in scripts.
. tests/lib/tap.sh
plan 34
mkdir -p t/d t/ignored .git
echo 1 >t/a
echo 1 >t/d/b
echo 1 >t/ignored/x.o
printf 'ignored/\n*.o\n!keep.o\n' >.gitignore

is 'snapshot says nothing' "$("$W" snapshot s.snap t 2>&1)" ''
is '... but for what is not there' "$("$W" snapshot x.snap t non 2>&1)" 'whendo: non: is not there'
is 'diff of nothing' "$("$W" diff s.snap)" ''
echo 22 >t/a
mv t/d t/e
mkdir t/new
: >t/new/f
is 'diff: what changed, parents first' "$("$W" diff s.snap --events created,modified,moved,deleted | sort)" "created t/new/
created t/new/f
modified t/a
moved t/d/ -> t/e/
moved t/d/b -> t/e/b"
is 'diff --format json' "$("$W" diff s.snap --format json -p a | python3 -c '
import json, sys
print([(e["event_type"], e["src_path"], e["is_synthetic"], e["batch"]) for e in map(json.loads, sys.stdin)])')" "[('modified', 't/a', True, 1)]"
"$W" diff --update s.snap >/dev/null
is 'diff --update' "$("$W" diff s.snap)" ''
"$W" snapshot in.snap .
is 'the snapshot itself does not count' "$("$W" diff in.snap)" ''
head -c 100 s.snap >cut.snap
"$W" diff cut.snap >out 2>err
like 'a damaged snapshot' "$? $(cat out err)" '^125 whendo: cut.snap: '
"$W" diff none.snap >out 2>err
like 'no snapshot' "$? $(cat out err)" '^125 whendo: none.snap: .*no such file'
mkdir -p p/d p/e q
for i in a b c; do echo $i >p/$i; echo $i >p/d/$i; done
"$W" snapshot p.snap p q
rm p/a p/d/a
mv p/c p/d/in
mv p/d/c p/e/out
: >p/d/new
: >q/f
all='created p/d/new
deleted p/a
deleted p/d/a
moved p/c -> p/d/in
moved p/d/c -> p/e/out'
for path in p p/ ./p "$PWD/p" q/../p//; do
  is "diff below $path" "$("$W" diff p.snap "$path" | sort)" "$all"
done
is 'diff below a directory of what was saved' "$("$W" diff p.snap p/d/ | sort)" "$(echo "$all" | grep d/)"
is '... and one file, that is gone' "$("$W" diff p.snap p/d/a p/b)" 'deleted p/d/a'
is '... and all that is here' "$("$W" diff p.snap . | sort)" "created p/d/new
created q/f
$(echo "$all" | tail -n +2)"
is '... and what was not saved' "$("$W" diff p.snap t/new/ q | sort)" 'created q/f
created t/new/
created t/new/f'
"$W" diff --update p.snap p q/f >out 2>err
is 'diff --update forgets nothing' "$? $(cat out err)" '2 whendo: --update: q is in p.snap, and not below the paths that are named: what changed there would be forgotten'
"$W" diff --update p.snap p/ q t/new >out
is '... and may save more' "$("$W" diff p.snap; wc -l <out)" 8
"$W" diff --format '{path}' s.snap | cat >/dev/null
"$W" diff s.snap --format jsno >out 2>err
is 'a bad format' "$? $(cat err)" "2 whendo: --format: 'jsno' is not known; did you mean json?"

is 'why: passes' "$("$W" why t/a)" 't/a: passes: no rule is against it'
like 'why: names file and line' "$("$W" why t/z.o)" '^t/z.o: does not pass: .*\*\.o.*\.gitignore:2'
like 'why: where the crawl stops' "$("$W" why t/ignored/y)" '^t/ignored/y: does not pass: .*\.gitignore:1.*the crawl stops at t/ignored/$'
like 'why: re-included' "$("$W" why t/keep.o)" '^t/keep.o: passes: .*\.gitignore:3'
like 'why: an option' "$("$W" why -i 'a*' t/a)" '^t/a: does not pass: .*a\*.*-i'
is 'why: no pattern matches' "$("$W" why -p '*.c' t/a)" 't/a: does not pass: no pattern matches it'
is 'why: . and .. in paths, several at once' "$(cd t/d 2>/dev/null || cd t/e; "$W" why ../z.o ./z.o ../../t/a .. | sed 's,(/.*/\.git,(.git,')" \
  "../z.o: does not pass: ignored: *.o (.gitignore:2)
./z.o: does not pass: ignored: *.o (.gitignore:2)
../../t/a: passes: no rule is against it
..: passes: no rule is against it"
is 'why: the kinds that pass' "$("$W" why --events deleted,created t/a t/z.o)" 't/a: passes: no rule is against it; as created, deleted only (--events)
t/z.o: does not pass: ignored: *.o (.gitignore:2)'
is 'why: all kinds' "$("$W" why --events all t/a)" 't/a: passes: no rule is against it'
is 'why: behind -- is a path' "$("$W" why -- -q)" '-q: passes: no rule is against it'
like 'why: built in' "$("$W" why .git/HEAD)" '^\.git/HEAD: does not pass: '

start w wait -q t/none
finish TERM
is 'wait: TERM ends with 143' "$status $(cat w.out)" '143 '

# wait and log compose: a loop that handles each change once.
start l wait --events created t/done
: >t/done
wait $pid && echo handled >handled
is 'wait in a script' "$(cat handled)" handled
