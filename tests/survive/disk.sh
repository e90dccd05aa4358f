# disk.sh - a disk that is full, from the start or in the middle of a run; a limit on file sizes met while
# writing; a folder that cannot be written any more. The run ends with one sentence and code 1, the last
# checkpoint is as it was, no part of a new one is left, and the run goes on from it when there is room.
set -u
. "$SOURCE/tests/survive/lib.sh"
exec 2>shell.txt # bash tells of every process that is killed
$MPIRUN -n 1 "$make" good good.h5 || exit 1
here=$PWD
train="--data $here/good.h5 --width 301 --batch 7 --shift 1 --quiet"

# ends CODE WORDS FILE: $job ends within 20 s, says so, and leaves nothing beside FILE
ends() {
  gone 20 $job || say "$what: the job runs on"
  wait $job
  code=$?
  [ $code = "$1" ] || say "$what: exit $code: $(cat err.txt)"
  [ "$(grep -c '^wingspan: ' err.txt)" = 1 ] && grep -q "^wingspan: .*$2" err.txt || say "$what: $(cat err.txt)"
  [ -e $3.tmp ] && say "$what: $3.tmp is left"
  "$WINGSPAN" info $3 >info.txt 2>&1 || say "$what: $(cat info.txt)"
}

# same FILE: go on with it for a little on other ranks, and compare with a run from the beginning
same() {
  local step
  step=$("$WINGSPAN" info $1 --json | sed -n 's/.*"step":[[:space:]]*\([0-9]*\).*/\1/p')
  $MPIRUN -n 3 "$WINGSPAN" train --resume $1 --steps $((step + 5)) --quiet >out.txt 2>err.txt || say "$what: $(cat err.txt)"
  "$WINGSPAN" train $train --checkpoint $here/whole.h5 --steps $((step + 5)) >/dev/null
  "$WINGSPAN" export $1 --out $here/a.weights >/dev/null && "$WINGSPAN" export $here/whole.h5 --out $here/b.weights >/dev/null
  cmp $here/a.weights $here/b.weights || say "$what: other weights"
}

# start FILE RANKS OPTIONS: a long run in the background once it has two checkpoints
start() {
  local file=$1 n=$2 end=$((SECONDS + 30 * patience))
  shift 2
  $MPIRUN -n "$n" "$WINGSPAN" train $train --checkpoint $file --steps 100000000 "$@" >out.txt 2>err.txt </dev/null &
  job=$!
  while [ ! -e $file.1 ] && [ -d /proc/$job ] && [ $SECONDS -lt $end ]; do sleep 0.02; done
}

# every stage of writing, on the first and on the last rank, in the program itself
"$WINGSPAN" train $train --checkpoint stage.h5 --steps 10 >/dev/null
cp stage.h5 stage.good
for stage in reserve:0 write:0 write:2 close:0 close:2 hash:0 hash:2 sync:0 sync:2 verify:0 verify:2 rename:0 link:0,rename:0; do
  what="WINGSPAN_FAIL_IO=$stage"
  WINGSPAN_FAIL_IO=$stage $MPIRUN -n 3 "$WINGSPAN" train --resume stage.h5 --steps 20 --quiet >out.txt 2>err.txt </dev/null
  [ $? = 1 ] || say "$what: no failure"
  [ "$(grep -c '^wingspan: .*stage.h5' err.txt)" = 1 ] || say "$what: $(cat err.txt)"
  cmp stage.h5 stage.good || say "$what: the checkpoint is another"
  [ -e stage.h5.tmp ] && say "$what: a part is left"
done
# the calls of the system themselves fail, or write less than they were given
for call in fsync rename pwrite short; do
  what="a disk on which $call fails"
  cp stage.good stage.h5
  WINGSPAN_TEST_FAIL=$call LD_PRELOAD=$BUILD/tests/survive/libfail.so $MPIRUN -n 2 "$WINGSPAN" train --resume stage.h5 \
    --steps 20 --quiet >out.txt 2>err.txt </dev/null
  code=$?
  [ -e stage.h5.tmp ] && say "$what: a part is left"
  if [ $call = short ]; then
    [ $code = 0 ] && grep -q '^step 20$' out.txt || say "$what: exit $code: $(cat err.txt)"
    continue
  fi
  [ $code = 1 ] || say "$what: no failure"
  [ "$(grep -c '^wingspan: .*stage.h5' err.txt)" = 1 ] || say "$what: $(cat err.txt)"
  cmp stage.h5 stage.good || say "$what: the checkpoint is another"
done
what="all stages"
same stage.h5

# a limit on file sizes, met while the file grows: short writes and EFBIG
for kb in 1 60 66 70 80 90; do
  what="a limit of $kb KB"
  rm -f limit.h5*
  start limit.h5 2 --checkpoint-every 20
  for rank in $(children $job); do prlimit --pid "$rank" --fsize=$((kb * 1024)); done
  ends 1 "limit.h5" limit.h5
  same limit.h5
done

# a disk of 1 MB that fills up, and one that can only be read
disk=$own/disk
mkdir "$disk"
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=1m none "$disk" 2>/dev/null; then
  trap 'umount "$disk"; rm -rf "$own"' EXIT
  what="a disk that fills up"
  start $disk/run.h5 2 --checkpoint-every 20
  cat /dev/zero >$disk/filler 2>/dev/null
  ends 1 "run.h5" $disk/run.h5
  what="a disk that fills up under a file of moved rows"
  rm -f $disk/filler $disk/run.h5*
  start $disk/run.h5 2 --checkpoint-every 20 --checkpoint-dense 0
  cat /dev/zero >$disk/filler 2>/dev/null
  ends 1 "run.h5" $disk/run.h5
  what="a disk that is full from the start"
  cat /dev/zero >>$disk/filler 2>/dev/null
  $MPIRUN -n 3 "$WINGSPAN" train --resume $disk/run.h5 --steps 1000000 --checkpoint-every 1 --quiet >out.txt 2>err.txt </dev/null &
  job=$!
  ends 1 "run.h5" $disk/run.h5
  rm $disk/filler
  same $disk/run.h5
  what="a disk that can no longer be written"
  rm -f $disk/run.h5*
  start $disk/run.h5 2 --checkpoint-every 20
  mount -o remount,ro "$disk" 2>/dev/null || { kill -STOP $(children $job); mount -o remount,ro "$disk"; kill -CONT $(children $job); }
  if grep -q " $disk tmpfs ro" /proc/mounts; then
    ends 1 "run.h5 cannot be written" $disk/run.h5
    mount -o remount,rw "$disk"
    rm -f $disk/run.h5.tmp
    same $disk/run.h5
  else # it was being written at that moment, and the system does not take it away
    kill -USR1 $job
    wait $job
  fi
else
  echo "a tmpfs cannot be mounted here: the full disk is left out"
fi
exit $failed
