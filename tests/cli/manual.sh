#!/bin/sh
# The manuals and the README: scripts and rules in them work as they stand, every option of a
# peer has its place in the tables, and what the tables name is there.
. tests/lib/tap.sh
man=$top/man/whendo.1
sections='watchexec entr nodemon inotifywait fswatch'

# blocks FILE HEADING: the literal blocks below a heading, in block.1, block.2, ... with what
# they print in block.N.want.
blocks() {
  rm -f block.*
  awk -v head="$2" '
    /^\.S[hs] / { inside = index($0, head) > 0; next }
    !inside { next }
    /^\.Bd -literal/ { code = 1; f = "block." ++i; next }
    /^\.Ed/ { code = 0; next }
    code { gsub(/\\e/, "\\"); gsub(/\\&/, ""); print > f; next }
    /^\.\\" prints: / { sub(/^\.\\" prints: /, ""); print > (f ".want") }' "$1"
}

mkdir -p src out incoming
printf '#!/bin/sh\nmkdir -p out\ndate +%%N >out/report\n' >generate
chmod +x generate
PATH=$(dirname "$W"):$PATH
blocks "$man" '.Ss Scripts'
scripts=$(ls block.*.want | wc -l)
plan $((scripts + 2 + 5 + 4))
for i in $(seq "$scripts"); do
  timeout 60 sh "block.$i" >out.$i 2>err.$i </dev/null &
  p=$!
  pids="$pids $p"
  while grep -q incoming "block.$i" && kill -0 $p 2>/dev/null; do
    # Files come until the script has what it wants, and once more, to show that it is gone.
    for f in one two; do echo x >"incoming/$f"; done
    pause 1
  done
  wait $p
  is "script $i of the manual" "$? $(sort out.$i | uniq | tr '\n' ' ')" "0 $(cat block.$i.want) "
  rm -rf out
  mkdir out
  rm -f incoming/*
done

blocks "$top/man/whendo.yaml.5" DESCRIPTION
is 'the rules of whendo.yaml(5)' "$("$W" rules --check block.1 2>&1)" 'whendo: block.1: 2 rules, no mistake'
blocks "$top/man/whendo.yaml.5" TRICKS
is 'the tricks of whendo.yaml(5)' "$("$W" rules --check block.1 2>&1)" 'whendo: block.1: 2 rules, no mistake'

# table PROGRAM: its rows, as text "THEIRS<Tab>OURS".
table() {
  sed -n "/^\.Ss $1\$/,/^\.El/p" "$man" | sed -n 's/^\.It //p' |
    sed 's/\(Ev\|Ql\|Cm\) //g; s/\\&//g; s/ , \([a-z0-9-]\)/ , -\1/g; s/Fl \([-A-Za-z0-9]*\)/-\1/g; s/ Ta /\t/'
}
has_all() { # has_all PROGRAM WORDS: each is on the left of its table
  program=$1
  missing=
  shift
  table "$program" | cut -f1 | tr ' ' '\n' | sed 's/^--*//' >left
  for word; do grep -Fqx -- "$word" left || missing="$missing $word"; done
  is "all options of $program have their place" "$missing" ''
}
has_all watchexec w watch W watch-non-recursive F watch-file e exts f filter filter-file j filter-prog i ignore ignore-file fs-events no-meta \
  no-vcs-ignore no-project-ignore no-global-ignore no-default-ignore no-discover-ignore ignore-nothing \
  project-origin no-follow-symlinks shell n E env workdir socket wrap-process stop-signal stop-timeout timeout \
  delay-run o on-busy-update r restart s signal map-signal d debounce poll p postpone stdin-quit I \
  interactive exit-on-error 1 emit-events-to only-emit-events c clear N notify bell color timings q quiet v verbose \
  log-file print-events manual completions Q quote no-process-group no-environment h help V version
has_all entr a c cc d dd h n p r s x xx z /_ space, PAGER SHELL EV_TRACE ENTR_STATUS_SCRIPT
has_all nodemon x exec w watch e ext i ignore d delay C on-change-only L legacy-watch P polling-interval s \
  signal I no-stdin exitcrash cwd V verbose q quiet no-colors no-colours dump rs config js spawn \
  no-update-notifier v version h help
has_all inotifywait m monitor r recursive t timeout e event exclude excludei include includei fromfile format timefmt \
  no-newline c csv o outfile q quiet P no-dereference I inotify F fanotify S filesystem d daemon s syslog h help qq access close moved_to \
  moved_from move_self delete_self unmount modify attrib create delete move open close_write close_nowrite %Xe
has_all fswatch 1 one-event 0 print0 r recursive L follow-links l latency m monitor M list-monitors monitor-property \
  event a access e exclude i include E extended I insensitive filter-from prune d directories x event-flags n numeric \
  event-flag-separator t timestamp u utc-time f format-time format o one-per-batch batch-marker b bubble-events \
  allow-overflow fire-idle-event fire-idle-events v verbose h help version filter-mode no-defer

known=$(for verb in run log wait diff; do "$W" $verb --help; done)
missing=
for program in $sections; do
  for word in $(table "$program" | cut -f2 | grep -oE '(^| )--[a-z0-9-]+'); do
    printf '%s\n' "$known" | grep -q -- " $word\b" || missing="$missing $program:$word"
  done
done
is 'what the tables name is there' "$missing" ''

missing=
for verb in $("$W" --help | sed -n 's/^  \([a-z-]*\)  .*/\1/p'); do
  grep -Eq "^\.It Cm .*\b$verb\b" "$man" || missing="$missing $verb"
done
is 'every verb is in the manual' "$missing" ''

# The README names no option or verb that is not there.
known=$(for verb in run log wait diff rules plan; do "$W" $verb --help; done; "$W" --help)
missing=
for word in $(sed -n 's/^    \(.*| \)*whendo //p' "$top/README.md" | sed 's/ -- .*//' | grep -oE '(^| )--[a-z0-9-]+'); do
  printf '%s\n' "$known" | grep -q -- " $word\b" || missing="$missing $word"
done
is 'what the README names is there' "$missing" ''

# Every option of run is a key of a rule, but those whendo.yaml(5) names.
excluded=$(sed -n '/as a whole:/,/^An option/p' "$top/man/whendo.yaml.5" | tr ' ,' '\n\n' | grep -E '^[a-z-]+$')
touch list
missing=
"$W" run --help | sed -nE 's/^  (-.,|   ) --([a-z0-9-]+)(\[=|[ ])?([^ ]*).*/\2 \4/p' >keys
while read -r key meta; do
  case $meta in
  '') value=true ;;
  TIME) value=1s ;; N) value=1 ;; SIG) value=TERM ;; K=V) value='A=b' ;;
  GLOB | EXT,...) value='c' ;; RE) value='x' ;; FILE) value=list ;; DIR) value=. ;;
  KIND,...) value=created ;; SHELL\]) value=/bin/sh ;;
  *) value=${meta%%[|\]]*} ;;
  esac
  printf 'rules:\n  - run: x\n    %s: %s\n' "$key" "$value" >one.yaml
  if printf '%s\n' $excluded no-keys | grep -qx -- "$key"; then want=2; else want=0; fi
  "$W" rules --check one.yaml >/dev/null 2>err
  [ $? = $want ] || missing="$missing $key:$value($(cat err))"
done <keys
is "every option of run is a key ($(wc -l <keys))" "$missing" ''
