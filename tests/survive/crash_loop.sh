# crash_loop.sh [KILLS [SEED]] - kill a run again and again, at random moments and in the middle of
# writing a checkpoint; go on each time with another number of ranks and another index. In the end
# the weights must be the bytes of a run that nobody disturbed.
#
# Killed with SIGKILL: the whole job at once, mpirun alone, or one rank. After every kill no process
# may be left, the checkpoint is there if it was there before, and the next run finds it undamaged.
set -u
. "$SOURCE/tests/survive/lib.sh"
kills=${1:-$((100 / ${WINGSPAN_TEST_PATIENCE:-1}))} # fewer where sanitizers make all of it slow
RANDOM=${2:-20011}
train="--data good.h5 --width 301 --batch 7 --shift 1 --optimizer adam --checkpoint run.h5 --quiet"
declare -A count=([job]=0 [mpirun]=0 [rank]=0)
written=0 slowest=0 stuck=0
exec 2>shell.txt # bash tells of every process that is killed

$MPIRUN -n 1 "$make" good good.h5 || exit 1

# start RANKS STEPS: a run in the background; $job is mpirun
start() {
  local kind=(scan dtree certified)
  $MPIRUN -n "$1" "$WINGSPAN" train $train --resume auto --steps "$2" --checkpoint-every 1 --keep $((1 + RANDOM % 3)) \
    --index "${kind[RANDOM % 3]}" >out.txt 2>err.txt </dev/null &
  job=$!
}

# The moment: any, or while a checkpoint is being written.
wait_for_moment() {
  local end=$((SECONDS + 20))
  if [ $((RANDOM % 2)) = 0 ]; then
    sleep "0.$((RANDOM % 9))$((RANDOM % 10))"
  else
    sleep 0.3
    while [ "$(stamp run.h5.tmp || echo "$stale")" = "$stale" ] && [ -d /proc/$job ] && [ $SECONDS -lt $end ]; do sleep 0.005; done
    sleep "0.0$((RANDOM % 10))$((RANDOM % 10))"
  fi
}

for ((k = 1; k <= kills; k++)); do
  had=0
  [ -e run.h5 ] && had=1
  ranks=$((1 + RANDOM % 4))
  stale=$(stamp run.h5.tmp) # left by the kill before
  start $ranks 1000000
  wait_for_moment
  [ -e run.h5 ] && had=1
  list=($(children $job))
  case $((RANDOM % 5)) in
    0) how=mpirun victims=($job) ;;
    1) how=rank victims=("${list[@]:$((RANDOM % ranks)):1}") ;;
    *) how=job victims=($job "${list[@]}") ;;
  esac
  [ ${#victims[@]} -gt 0 ] || { how=job victims=($job); }
  kill -KILL "${victims[@]}" 2>/dev/null || say "kill $k: the run had ended by itself: $(tail -n 3 err.txt)"
  [ -e run.h5.tmp ] && written=$((written + 1))
  count[$how]=$((${count[$how]} + 1))
  began=$(date +%s%N)
  # Open MPI can lock itself up when a rank dies while it connects: launch/local.sh ends it as this does.
  if ! gone 60 $job; then
    stuck=$((stuck + 1)) began=$(date +%s%N)
    gone 0 "${list[@]}" || say "kill $k ($how): ranks live on after 60 s"
    kill -KILL $job
  fi
  wait $job 2>/dev/null
  gone 10 "${list[@]}" || say "kill $k ($how): ranks live on after 10 s"
  took=$((($(date +%s%N) - began) / 1000000))
  [ $took -gt $slowest ] && slowest=$took
  # Open MPI cannot name a rank that dies before MPI_Init has returned.
  if [ $how = rank ] && ! grep -q 'process rank [0-3] \|non-zero exit code' err.txt; then
    say "kill $k: nobody is told which rank was lost: $(cat err.txt)"
  fi
  [ $had = 1 ] && [ ! -e run.h5 ] && say "kill $k ($how): run.h5 is gone"
  grep -q 'is used instead\|damaged' err.txt && say "kill $k: the one before left damage: $(cat err.txt)"
  [ $failed = 0 ] || exit 1
done

# Go on for a little while, and compare with a run from the beginning.
step=$("$WINGSPAN" info run.h5 --json | sed -n 's/.*"step":[[:space:]]*\([0-9]*\).*/\1/p')
[ "${step:-0}" -gt $((kills / 10)) ] || say "$kills kills let pass only ${step:-0} steps"
last=$((step + 5))
$MPIRUN -n 3 "$WINGSPAN" train $train --resume auto --steps $last >/dev/null || say "the last resume fails"
$MPIRUN -n 2 "$WINGSPAN" train $train --checkpoint whole.h5 --steps $last >/dev/null || say "the undisturbed run fails"
for f in run whole; do "$WINGSPAN" export $f.h5 --out $f.weights.h5 >/dev/null || say "export of $f.h5 fails"; done
cmp run.weights.h5 whole.weights.h5 || say "other weights after $kills kills"
[ -e run.h5.tmp ] && say "run.h5.tmp is left"
nothing_shared_is_left
[ $stuck -le $((1 + kills / 200)) ] || say "$stuck times mpirun did not end though its ranks had"
echo "$kills kills (job ${count[job]}, mpirun ${count[mpirun]}, rank ${count[rank]}), $written while a checkpoint was" \
  "written; $step steps; all processes gone within $slowest ms, but for mpirun itself $stuck times"
exit $failed
