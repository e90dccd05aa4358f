# long_run.sh [STEPS] - a small network for very many steps: memory and files do not grow, the history of
# the loss stays bounded, and the weights are those of the same steps in two runs.
set -u
. "$SOURCE/tests/survive/lib.sh"
steps=${1:-1000000}
$MPIRUN -n 1 "$make" good good.h5 || exit 1
train="--data good.h5 --width 31 --batch 7 --shift 1 --quiet --keep 2 --checkpoint-every $((steps / 10)) --log-every $((steps / 100))"

"$WINGSPAN" train $train --steps "$steps" --checkpoint run.h5 --metrics run.jsonl >out.txt &
job=$!
first=0 last=0 least=0 most=0
while [ -d /proc/$job ]; do
  rss=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' /proc/$job/status 2>/dev/null)
  fds=$(ls /proc/$job/fd 2>/dev/null | wc -l)
  if [ -n "$rss" ] && [ -e run.h5 ]; then # after the first checkpoint nothing is new
    [ $first = 0 ] && first=$rss least=$fds
    last=$rss most=$fds
  fi
  sleep 0.5
done
wait $job || say "the run fails"
[ $first -gt 0 ] || say "the run was too short to watch"
[ $((last - first)) -lt 4096 ] || say "memory grew from $first to $last KB"
[ $((most - least)) -lt 4 ] || say "open files grew from $least to $most"
grep -q "^step $steps$" out.txt || say "the run ends elsewhere: $(cat out.txt)"
# What is held at a tenth of the way and at the end: neurons that are listed again lie in a few small lists.
held=($(grep '"type":"step"' run.jsonl | sed -n 's/.*"step":\([0-9]*\),.*"memory_bytes":\([0-9]*\).*/\1 \2/p' |
  awk -v tenth=$((steps / 10)) '$1 <= tenth { first = $2 } { last = $2 } END { print first, last }'))
[ $((held[1] - held[0])) -lt 16384 ] || say "memory_bytes grew from ${held[0]} to ${held[1]}"
size=$(stat -c %s run.h5)
[ "$size" -lt 2000000 ] || say "the checkpoint has $size bytes: the history of the loss has no bound"
$MPIRUN -n 2 "$WINGSPAN" train --resume run.h5.1 --steps "$steps" --checkpoint half.h5 --quiet >/dev/null || say "no resume"
for f in run half; do "$WINGSPAN" export $f.h5 --out $f.weights >/dev/null; done
cmp run.weights half.weights || say "other weights"
echo "$steps steps, $(sed -n 's/^seconds //p' out.txt) s, memory $first KB at the first checkpoint and $last KB at the end," \
  "$least and $most open files, checkpoint $size bytes," \
  "${held[0]} and ${held[1]} bytes of its own"
exit $failed
