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

# mpirun answers SIGINT and SIGTERM by killing the ranks after a second; SIGUSR1 it hands on, and
# they stop at a checkpoint. So it runs in a group of its own, and this script turns one into the
# other; the second signal is meant.
set -m
mpirun "${bind[@]}" -n "$ranks" "$wingspan" "$@" </dev/null &
job=$!
asked=0
stop() {
  [ $asked -eq 0 ] && kill -USR1 $job || kill -TERM $job
  asked=1
}
trap stop INT TERM USR1
while :; do
  code=0
  wait $job || code=$?
  kill -0 $job 2>/dev/null || break
done
exit $code
