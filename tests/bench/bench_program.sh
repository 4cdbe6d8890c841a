#!/bin/sh
# whendo(1) as its user feels it, beside the peers that are installed: see program.py.
exec python3 "$(dirname "$0")/program.py"
