# faults.sh [SECONDS] - ranks that stop, die, or find no memory; signals to one and to all; shared memory
# that is too small or was left behind. The job goes on or ends soon, says which rank it was, leaves no
# process, and the weights in the end are those of an undisturbed run. SECONDS: how long a rank stands still.
set -u
. "$SOURCE/tests/survive/lib.sh"
still=${1:-3}
exec 2>shell.txt # bash tells of every process that is killed
$MPIRUN -n 1 "$make" good good.h5 || exit 1
train="--data good.h5 --width 301 --batch 7 --shift 1 --quiet"

# start FILE RANKS OPTIONS...: a long run in the background: $job, ${list[@]}, once it has a checkpoint
start() {
  local file=$1 n=$2 end=$((SECONDS + 30 * patience))
  shift 2
  rm -f $file
  $MPIRUN -n "$n" "$WINGSPAN" train $train --checkpoint $file --checkpoint-every 200 "$@" >out.txt 2>err.txt </dev/null &
  job=$!
  while [ ! -e $file ] && [ -d /proc/$job ] && [ $SECONDS -lt $end ]; do sleep 0.02; done
  list=($(children $job))
  [ ${#list[@]} -eq "$n" ] || say "$n ranks do not run: $(cat err.txt)"
}

# ended SECONDS: $job ends by then and leaves no rank; its code in $code
ended() {
  gone "$1" $job || say "$what: the job runs on"
  wait $job
  code=$?
  gone 5 "${list[@]}" || say "$what: ranks are left"
}

# same FILE: go on with it for a little, and compare with a run from the beginning
same() {
  local step
  step=$("$WINGSPAN" info $1 --json | sed -n 's/.*"step":[[:space:]]*\([0-9]*\).*/\1/p')
  $MPIRUN -n 3 "$WINGSPAN" train --resume $1 --steps $((step + 5)) --quiet >/dev/null || say "$what: no resume"
  "$WINGSPAN" train $train --checkpoint whole.h5 --steps $((step + 5)) >/dev/null
  for f in $1 whole.h5; do "$WINGSPAN" export $f --out $f.weights >/dev/null; done
  cmp $1.weights whole.h5.weights || say "$what: other weights"
}

what="a rank that stands still"
start stop.h5 2 --steps 100000000
kill -STOP "${list[1]}"
sleep "$still"
[ -d /proc/$job ] || say "$what: the job has ended"
kill -CONT "${list[1]}"
renewed 120 stop.h5 "$(stamp stop.h5)" || say "$what: the job does not go on: $(states $job "${list[@]}")"
kill -USR1 $job
ended 20
[ $code = 3 ] || say "$what: exit $code"
same stop.h5

for signal in USR1 TERM INT; do
  what="$signal to one rank"
  start one.h5 3 --steps 100000000
  kill -$signal "${list[1]}"
  ended 20
  grep -q 'stopped on request' err.txt || say "$what: $(cat err.txt)"
  [ $code = 3 ] || say "$what: exit $code"
  what="$signal to all ranks"
  start one.h5 3 --steps 100000000
  kill -$signal "${list[@]}"
  ended 20
  grep -q 'stopped on request' err.txt || say "$what: $(cat err.txt)"
done
same one.h5
for signal in TERM INT; do
  what="$signal to mpirun"
  start m.h5 3 --steps 100000000
  kill -$signal $job
  ended 20
  [ $code = 1 ] || say "$what: exit $code"
done
same m.h5
what="a second signal"
start two.h5 1 --steps 100000000 --checkpoint-every 1
kill -STOP "${list[0]}"
kill -USR1 "${list[0]}"
kill -TERM "${list[0]}"
kill -CONT "${list[0]}"
ended 10
same two.h5

# launch/local.sh goes on by itself after a crash, and ends as asked
what="local.sh --retry"
rm -f retry.h5
"$SOURCE/launch/local.sh" --retry 3 2 train $train --checkpoint retry.h5 --checkpoint-every 100 --steps 6000 \
  >out.txt 2>err.txt </dev/null &
script=$!
for i in 1 2; do
  before=$(stamp retry.h5)
  for k in $(seq 400); do
    mpirun_is=$(children $script | tr ' ' '\n' | head -n 1)
    [ -n "$mpirun_is" ] && [ -e retry.h5 ] && [ "$(stamp retry.h5)" != "$before" ] && [ -n "$(children $mpirun_is)" ] && break
    [ -d /proc/$script ] || break
    sleep 0.02
  done
  ranks=($(children "$mpirun_is"))
  [ ${#ranks[@]} -gt 0 ] && kill -KILL "${ranks[$((i - 1))]}"
  gone 10 "$mpirun_is"
done
gone 150 $script || say "$what does not end"
wait $script
code=$?
[ $code = 0 ] || say "$what: exit $code: $(cat err.txt)"
[ "$(grep -c 'goes on from retry.h5' err.txt)" = 2 ] || say "$what does not tell of two crashes: $(cat err.txt)"
same retry.h5
"$SOURCE/launch/local.sh" --retry 3 1 train --data none.h5 --checkpoint r.h5 >out.txt 2>err.txt
[ $? = 1 ] && [ "$(grep -c 'none.h5 cannot' err.txt)" = 1 ] || say "$what repeats an error that comes again"

# an mpirun that begins late, and one that never ends though its ranks have, as a lock of its own can make it
what="local.sh and an mpirun that outlives its ranks"
real=$(command -v mpirun)
mkdir -p lonely
mkfifo silent
printf '#!/bin/bash\nexec 3<>silent\nread -t 4 -u 3\n[ -e hung ] && exec %q "$@"\ntouch hung\n%q "$@"\nexec tail -f /dev/null\n' \
  "$real" "$real" >lonely/mpirun
chmod +x lonely/mpirun
PATH=$PWD/lonely:$PATH WINGSPAN_LONELY_SECONDS=2 timeout $((60 * patience)) "$SOURCE/launch/local.sh" --retry 3 2 train $train \
  --checkpoint lonely.h5 --steps 300 >out.txt 2>err.txt </dev/null || say "$what: $(cat err.txt)"
[ "$(grep -c 'does not end though all its ranks have' err.txt)" = 1 ] || say "$what: nobody is told: $(cat err.txt)"
same lonely.h5
# and where Slurm has no PMIx, so that slurm.sbatch starts mpirun
what="slurm.sbatch and an mpirun that outlives its ranks"
rm hung
printf '#!/bin/bash\necho none\n' >lonely/srun
printf '#!/bin/bash\necho "   Command=%s --data good.h5"\n' "$SOURCE/launch/slurm.sbatch" >lonely/scontrol
chmod +x lonely/*
cp "$SOURCE/launch/slurm.sbatch" slurm_script
PATH=$PWD/lonely:$PATH WINGSPAN_LONELY_SECONDS=2 SLURM_JOB_ID=1 timeout $((60 * patience)) bash slurm_script $train \
  --checkpoint slurm.h5 --steps 300 >out.txt 2>err.txt </dev/null
code=$?
[ $code = 137 ] || say "$what: exit $code: $(cat err.txt)"
grep -q 'does not end though all its ranks have' err.txt || say "$what: nobody is told: $(cat err.txt)"
same slurm.h5

# no memory on one rank: the same sentence from the job, with the rank in it
for k in 1 5 20 60 150; do
  what="allocation $k of rank 1 fails"
  WINGSPAN_FAIL_ALLOC=1:$k timeout $((30 * patience)) $MPIRUN -n 3 "$WINGSPAN" train $train --steps 50 >out.txt 2>err.txt </dev/null
  code=$?
  [ $code = 1 ] || [ $code = 0 ] || say "$what: exit $code"
  [ $code = 0 ] || grep -q '^wingspan: out of memory: .* on rank 1' err.txt || say "$what: $(cat err.txt)"
done
what="ulimit -v on rank 1"
big="train --data good.h5 --width 2^27 --quiet --steps 1"
if bash -c "ulimit -v 1500000; '$WINGSPAN' --version" >/dev/null 2>&1; then # not with the address sanitizer
  timeout $((60 * patience)) $MPIRUN -n 1 "$WINGSPAN" $big : -n 1 bash -c "ulimit -v 1500000; exec '$WINGSPAN' $big" >out.txt 2>err.txt </dev/null
  [ $? = 1 ] && grep -q '^wingspan: out of memory: .* on rank 1' err.txt || say "$what: $(cat err.txt)"
fi

# shared memory: too small for the data; a segment of a run that is no more
what="small shared memory"
WINGSPAN_SHM_LIMIT=1000 $MPIRUN -n 3 "$WINGSPAN" train --data good.h5 --width 301 --batch 7 --shift 1 --steps 100 \
  --checkpoint shm.h5 >out.txt 2>err.txt || say "$what: $(cat err.txt)"
grep -q 'every rank keeps a copy' err.txt || say "$what: nobody is told"
same shm.h5
# A real one of 64 MB, as in many containers, with Open MPI's own files in it, and 80 MB of data.
if [ "$(id -u)" = 0 ] && unshare -m mount -t tmpfs -o size=64m none /dev/shm; then
  what="64 MB of shared memory"
  "$make" large large.h5 || exit 1
  large="--data large.h5 --width 301 --batch 64 --steps 3"
  TMPDIR=/tmp unshare -m bash -c "mount -t tmpfs -o size=64m none /dev/shm; unset OMPI_MCA_btl_vader_backing_directory;
    $MPIRUN -n 3 '$WINGSPAN' train $large --checkpoint small.h5; ls /dev/shm >left.txt" >out.txt 2>err.txt </dev/null || say "$what: $(cat err.txt)"
  grep -q 'every rank keeps a copy' err.txt || say "$what: nobody is told"
  [ -s left.txt ] && say "$what: this is left: $(cat left.txt)"
  $MPIRUN -n 2 "$WINGSPAN" train $large --quiet --checkpoint large.ckpt >/dev/null
  for f in small.h5 large.ckpt; do "$WINGSPAN" export $f --out $f.weights >/dev/null; done
  cmp small.h5.weights large.ckpt.weights || say "$what: other weights"
  rm -f large.h5
fi
what="shared memory of a dead run"
bash -c 'exit 0' &
dead=$!
wait $dead
echo x >/dev/shm/wingspan.$dead.0
$MPIRUN -n 2 "$WINGSPAN" train $train --steps 3 >/dev/null || say "$what stops a run"
[ -e /dev/shm/wingspan.$dead.0 ] && say "$what is not taken away"

# A clock that somebody sets, a year ahead, twenty back, at every look at it: nothing depends on the date.
what="a clock that jumps"
LD_PRELOAD=$BUILD/tests/survive/libclock.so $MPIRUN -n 2 "$WINGSPAN" train $train --steps 4000 --checkpoint clock.h5 \
  --checkpoint-every 1s --metrics clock.jsonl >out.txt 2>err.txt || say "$what: $(cat err.txt)"
LD_PRELOAD=$BUILD/tests/survive/libclock.so date +%Y >year1.txt
grep -q "$(date +%Y)" year1.txt && say "$what: it does not jump"
grep -o '"seconds":[^,]*' clock.jsonl | cut -d: -f2 | awk '$1 < last { exit 1 } { last = $1 }' || say "$what: time runs backwards"
same clock.h5
nothing_shared_is_left
exit $failed
