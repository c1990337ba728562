#!/usr/bin/env bash
# Runs seeds that follow from the commit: new ones for each, the same for everybody who tests it.
set -euo pipefail
simulator=$1 count=$2
here="$(dirname "${BASH_SOURCE[0]}")"
base="$(git -C "$here" rev-parse HEAD 2>/dev/null || echo 'a tree without git')"
exec "$simulator" --seeds "$count" --base "$base"
