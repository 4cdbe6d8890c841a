#!/bin/sh
# the event stream of whendo(1) beside the peers that are installed: see peers.py.
exec python3 "$(dirname "$0")/peers.py"
