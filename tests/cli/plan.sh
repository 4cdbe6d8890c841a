#!/bin/sh
# plan: roots, the backend of each mount and why, watches against the limit, what is pruned by
# which rule, and what would run. Nothing is run.
. tests/lib/tap.sh
plan 29
mkdir -p t/d/e t/node_modules/a/b t/.git t/x/__pycache__ t/y/__pycache__ t/skip
touch t/a t/d/b
echo node_modules/ >t/.gitignore

"$W" plan t -p '*.c' -i skip -- ./touch-it PWNED >plan 2>err
is 'plan says all of it on stdout' "$? $(cat err) $(cut -c1-11 plan | tr -d ' ' | uniq | tr '\n' ' ')" \
  '0  root backend tree watches memory pruned passes ignored runs when busy '
check 'the root' has plan '^root       t$'
check 'the backend of its mount, and why' has plan '^backend    [a-z]+ on /[^ ]* \([a-z0-9]+\): .*changes$'
is 'one mount, named once' "$(count plan '^backend')" 1
# t t/d t/d/e t/x t/y
check 'what would be read' has plan '^tree       5 directories, [0-9]+ files, read in [0-9.]+ m?s$'
limit=$(sort -n /proc/sys/fs/inotify/max_user_watches /proc/sys/user/max_inotify_watches 2>/dev/null | head -n 1)
if has plan '^backend    inotify'; then
  check 'watches against the limit' has plan "^watches    [0-9]+ needed; [0-9]+ used by others, of $limit \\((fs.inotify.max_user_watches|user.max_inotify_watches)\\)$"
  # t/d t/d/e, and t, here, and what is above that
  is '... what is above counts' "$("$W" plan --no-ignore t/d | sed -n 's/^watches *\([0-9]*\) .*/\1/p')" \
    $((4 + $(pwd -P | tr -cd / | wc -c)))
else
  skip 'watches against the limit' 'polled here'
  skip '... what is above counts' 'polled here'
fi
check 'pruned: a line of .gitignore' has plan '^pruned     t/node_modules/ \(3 directories\): node_modules/ \(.*\.gitignore:1\)$'
check 'pruned: an option' has plan '^pruned     t/skip/ \(1 directory\): skip \(-i\)$'
check 'pruned: a built-in rule' has plan '^pruned     t/\.git/ \(1 directory\): \.git \(default\)$'
check 'pruned: several places of one rule' has plan '^pruned     t/[xy]/__pycache__/ and 1 more \(2 directories\): __pycache__ \(default\)$'
is 'the rules as given' "$(grep -E '^(passes|ignored) ' plan | head -n 2 | tr '\n' ' ')" 'passes     *.c (-p) ignored    skip (-i) '
check 'the command' has plan '^runs       \./touch-it PWNED$'
check '... is not run' test ! -e PWNED

said='out of inotify instances (user.max_inotify_instances is 0, shared by all programs of the user): the backend is poll; for inotify: sysctl user.max_inotify_instances=128'
if unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_inotify_instances' 2>/dev/null; then
  is 'no instance of inotify' \
    "$(unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_inotify_instances; exec "$0" plan t' "$W" 2>&1 | sed -n '/^whendo/p;s/^\(backend *[a-z]*\) .*: /\1: /p')" \
    "whendo: $said
backend    poll: there is no instance of inotify left"
else
  skip 'no instance of inotify' 'no user namespaces'
fi

is 'no ignores, nothing is pruned' "$("$W" plan --no-ignore t | grep -c '^pruned\|^ignored')" 0
is '-N: only what would be read' "$("$W" plan -N t | grep -c '^pruned.*node_modules\|^tree       1 directory')" 2
is '... and no deeper' "$("$W" plan --depth 1 t | grep -c '__pycache__/')" 0

"$W" plan -r --stop-signal INT --stop-timeout 2s -d 1s --every 1m --postpone t -- 'a | b' >plan 2>err
is 'it takes what run takes' "$(cat err) $(sed -n 's/^when *//p' plan)" ' 1.00 s after the last change, or 10.00 s after the first; every 1 min 00 s'
check '... the policy' has plan '^busy       it is restarted; INT stops it, KILL after 2.00 s$'
check '... the shell' has plan '^runs       a \| b \(by a shell\)$'

"$W" plan t/none >plan
check 'what is not there yet' has plan '^root       t/none \(not there yet; waited for\)$'
if [ -d /proc/sys/kernel ]; then
  "$W" plan -N t /proc/sys/kernel >plan
  is 'two mounts are two backends' "$(count plan '^backend')" 2
  check 'one that does not notify is polled' has plan '^backend    poll on /proc(/sys)? \(proc\): proc does not tell'
  "$W" plan --depth 2 --no-ignore -i '/[!p]*' / >plan
  check '... not one of the kernel below something else' has plan \
    '^backend    inotify on /proc \(proc\): proc does not tell of all changes, and is polled only if it is named itself$'
else
  skip '... not one of the kernel below something else' 'no /proc'
  skip 'two mounts are two backends' 'no /proc'
  skip 'one that does not notify is polled' 'no /proc'
fi
"$W" plan -b poll --poll-interval 250ms t >plan
# fanotify marks file systems, if it may.
is '-b fanotify needs no watches' "$("$W" plan -b fanotify t 2>&1 | grep -c '^watches    0 needed\|^whendo: .*fanotify')" 1
"$W" plan -b fanotify t >fan 2>&1
if has fan 'fanotify needs\|this kernel is older'; then
  skip '-b fanotify has read the tree, too' 'no fanotify here'
else
  check '-b fanotify has read the tree, too' has fan '^tree       6 directories, [0-9]+ files'
fi
is '-b is obeyed' "$(grep -c '^backend    poll on .*: asked for by --backend$\|^watches    0 needed\|^polled     all directories, every 250 ms$' plan)" 3
is 'an error is an error' "$("$W" plan /dev/null/x 2>&1 >/dev/null | cut -c1-8; "$W" plan -p '[a' 2>/dev/null; echo $?)" 'whendo: 
2'
