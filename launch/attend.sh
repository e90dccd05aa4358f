# attend.sh - for scripts that start mpirun: local.sh by way of lib.sh, and slurm.sbatch, which runs as a copy.

# attend PID: end an mpirun that outlives its ranks by a minute. Open MPI 4.1 over PMIx 4.2 can wait for a
# lock of its own for ever when a rank is lost while it connects; one kill in some thousand does that. One
# that has no ranks yet is only slow.
attend() {
  local lonely=0 begun=0 child living
  while sleep $begun.2 && [ -r "/proc/$1/task/$1/children" ]; do
    living=0
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
      begun=1
      case "$(sed -n 's/^State:[[:space:]]*//p' "/proc/$child/status" 2>/dev/null)" in [!Z]*) living=1 ;; esac
    done
    lonely=$((living || !begun ? 0 : lonely + 1))
    [ $lonely -ge "${WINGSPAN_LONELY_SECONDS:-60}" ] || continue
    echo "$(basename "$0"): mpirun does not end though all its ranks have: killed" >&2
    kill -KILL "$1" 2>/dev/null || true
    return 0
  done
}
