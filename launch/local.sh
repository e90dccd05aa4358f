#!/usr/bin/env bash
# local.sh [--retry N] RANKS COMMAND... - wingspan on this machine: launch/local.sh 2 train --data data/digits.h5
#
# --retry N: when a run of train with --checkpoint ends by a crash (a rank or mpirun killed, no memory,
# a full disk), go on from its last checkpoint; give up after N attempts in a row without a new one.
. "$(dirname "$0")/lib.sh"

usage() { say "usage: launch/local.sh [--retry N] RANKS train|eval|predict ... (as in wingspan --help)" >&2; exit 2; }
is_number() { case "${1:-}" in '' | *[!0-9]*) return 1 ;; esac }
retries=0
if [ "${1:-}" = --retry ]; then
  is_number "${2:-}" || usage
  retries=$2
  shift 2
fi
is_number "${1:-}" || usage
ranks=$1
shift
wingspan=${WINGSPAN:-$top/build/wingspan}
[ -x "$wingspan" ] || die "$wingspan is not built: run launch/quickstart first"
# A rank a core while there are cores; more ranks than cores share them.
if [ "$ranks" -le "$(nproc)" ]; then bind=(--bind-to core); else bind=(--oversubscribe --bind-to none); fi

checkpoint=""
for ((i = 1; i <= $#; i++)); do
  next=$((i + 1))
  case "${!i}" in
    --checkpoint=*) checkpoint=${!i#--checkpoint=} ;;
    --checkpoint) checkpoint=${!next:-} ;;
  esac
done
if [ "$retries" -gt 0 ] && { [ "${1:-}" != train ] || [ -z "$checkpoint" ]; }; then
  say "local.sh: --retry goes with train and --checkpoint FILE" >&2
  exit 2
fi

# What Open MPI keeps in shared memory goes when this script ends; and that of scripts that were killed.
if [ -w /dev/shm ]; then
  for old in /dev/shm/wingspan-mpi.*; do [ -d "/proc/${old##*.}" ] || rm -rf "$old"; done
  shared=/dev/shm/wingspan-mpi.$$
  mkdir -p "$shared"
  trap 'rm -rf "$shared"' EXIT
  export OMPI_MCA_btl_vader_backing_directory=$shared
fi

# mpirun answers SIGINT and SIGTERM by killing the ranks after a second; SIGUSR1 it hands on, and
# they stop at a checkpoint. So it runs in a group of its own, and this script turns one into the
# other; the second signal is meant.
set -m
asked=0
job=
stop() {
  if [ -n "$job" ]; then
    [ $asked -eq 0 ] && kill -USR1 "$job" || kill -TERM "$job"
  fi
  asked=1
}
trap stop INT TERM USR1
run_once() {
  mpirun "${bind[@]}" -n "$ranks" "$wingspan" "$@" </dev/null &
  job=$!
  attend $job &
  attending=$!
  disown $attending # its end is not worth a message
  while :; do
    code=0
    wait $job || code=$?
    kill -0 $job 2>/dev/null || break
  done
  kill -- -$attending 2>/dev/null || true
}
stamp() { stat -c '%i %.9Y %.9Z' "$checkpoint" 2>/dev/null || true; }

resume=() tries=0
while :; do
  before=$(stamp)
  run_once "$@" "${resume[@]}"
  case $code in 0 | 2 | 3) break ;; esac # done, a mistake of the command line, stopped on request
  [ $asked -eq 0 ] || break
  if [ "$(stamp)" != "$before" ]; then
    resume=(--resume "$checkpoint") tries=0 # this very run has written it
  else
    [ $code -ne 1 ] || break # an error it tells of, and that comes again
    tries=$((tries + 1))
  fi
  [ $retries -gt 0 ] && [ $tries -lt "$retries" ] || break
  say "local.sh: the run ended with code $code; $([ ${#resume[@]} -gt 0 ] && echo "goes on from $checkpoint" || echo "starts again")" >&2
  sleep 1
done
exit $code
