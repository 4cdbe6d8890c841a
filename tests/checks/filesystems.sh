#!/bin/sh
# File systems differ: in when what was made is listed, in what an inode number tells, in whether a
# directory below is of the same device. Random changes (test_replay) on those that can be made here,
# each in an image of its own; a few rounds each, or FILESYSTEM_ROUNDS=n.
: "${BUILD:=build}" "${FILESYSTEM_ROUNDS:=2}"
if [ "$1" != inside ]; then
  if [ "$(uname)" = Linux ] && unshare -m true 2>/dev/null; then
    exec unshare -m sh "$0" inside # no mount outlives it, whatever ends it
  fi
  echo 1..1
  echo "ok 1 # SKIP nothing can be mounted here"
  exit 0
fi
mount --make-rprivate /
tmp=$(mktemp -d) && trap 'umount -l "$tmp"/on 2>/dev/null; rm -rf "$tmp"' EXIT
mkdir "$tmp/on"

make_fs() { # make_fs NAME: mounts a new one
  case $1 in
  tmpfs) mount -t tmpfs -o size=64m none "$tmp/on" ;;
  overlay)
    mkdir "$tmp/memory" && mount -t tmpfs -o size=64m none "$tmp/memory" &&
      mkdir "$tmp/memory/lower" "$tmp/memory/upper" "$tmp/memory/work" &&
      mount -t overlay -o "lowerdir=$tmp/memory/lower,upperdir=$tmp/memory/upper,workdir=$tmp/memory/work" \
        none "$tmp/on"
    ;;
  *)
    command -v "mkfs.$1" >/dev/null && truncate -s 320M "$tmp/image" &&
      "mkfs.$1" -q "$tmp/image" && mount -o loop "$tmp/image" "$tmp/on"
    ;;
  esac
}

end_fs() {
  umount "$tmp/on" && { ! [ -d "$tmp/memory" ] || umount "$tmp/memory"; }
  rm -rf "$tmp/memory" "$tmp/image"
}

replay() { # replay BACKEND MODE
  said=$(REPLAY_DIR=$tmp/on REPLAY_BACKEND=$1 REPLAY_MODE=$2 REPLAY_ROUNDS=$FILESYSTEM_ROUNDS \
    "$BUILD/tests/test_replay" 2>&1)
}

rounds='inotify:plain inotify:late inotify:faults inotify:limit fanotify:plain fsevent:plain poll:plain'
systems='tmpfs overlay ext4 xfs btrfs'
echo 1..$(($(echo $rounds | wc -w) * $(echo $systems | wc -w)))
n=0
for fs in $systems; do
  make_fs "$fs" >/dev/null 2>&1
  made=$?
  for round in $rounds; do
    n=$((n + 1))
    if [ $made -ne 0 ]; then
      echo "ok $n - $fs, $round # SKIP it cannot be made here"
    elif replay "${round%%:*}" "${round##*:}"; then
      echo "ok $n - $fs, $round"
    else
      echo "not ok $n - $fs, $round"
      printf '%s\n' "$said" | grep -v SKIP | sed 's/^/# /'
    fi
  done
  [ $made -ne 0 ] || end_fs
done
