#!/bin/sh
# Checks the systemd unit with systemd-analyze.
# usage: unit_file.sh UNIT BINARY
#
# verify wants the program that ExecStart names to exist, so a copy of the unit names BINARY; by its
# absolute path, as systemd demands.
set -eu
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
sed "s|^ExecStart=[^ ]*|ExecStart=$(realpath "$2")|" "$1" >"$directory/holdfastd.service"
# An error may leave the exit status at 0; what it printed about our unit does not lie.
SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$directory/holdfastd.service" \
  >"$directory/output" 2>&1 && status=0 || status=$?
cat "$directory/output"
if grep -q "holdfastd.service" "$directory/output"; then exit 1; fi
exit "$status"
