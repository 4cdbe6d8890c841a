#!/bin/sh
# the watcher beside other watchers that are installed, and beside bare inotify and fanotify:
# see watch_peers.py.
exec python3 "$(dirname "$0")/watch_peers.py"
