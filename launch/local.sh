#!/usr/bin/env bash
# local.sh RANKS COMMAND... - wingspan on this machine: launch/local.sh 2 train --data data/digits.h5
. "$(dirname "$0")/lib.sh"

case "${1:-}" in
  '' | *[!0-9]*) say "usage: launch/local.sh RANKS train|eval|predict ... (as in wingspan --help)" >&2; exit 2 ;;
esac
ranks=$1
shift
wingspan=${WINGSPAN:-$top/build/wingspan}
[ -x "$wingspan" ] || die "$wingspan is not built: run launch/quickstart first"
# A rank a core while there are cores; more ranks than cores share them.
if [ "$ranks" -le "$(nproc)" ]; then bind=(--bind-to core); else bind=(--oversubscribe --bind-to none); fi
exec mpirun "${bind[@]}" -n "$ranks" "$wingspan" "$@"
