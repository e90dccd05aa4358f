#!/usr/bin/env bash
# in_scratch.sh FOLDER COMMAND... - run a command in a folder that is empty at the start.
set -eu
folder=$1
shift
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
exec "$@"
