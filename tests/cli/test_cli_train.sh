# The program from end to end: train, stop, resume, evaluate, predict, export, draw.
set -u
make="$BUILD/tests/cli/make_data"
failed=0
say() { echo "FAIL: $*"; failed=1; }

$MPIRUN -n 1 "$make" good good.h5 || exit 1
$MPIRUN -n 1 "$make" real real.h5 || exit 1

# help and version
"$WINGSPAN" --help | grep -q 'mpirun -n RANKS wingspan' || say "no help"
"$WINGSPAN" --version | grep -q '^wingspan [0-9]' || say "no version"
for c in train eval predict info convert export plot bench; do
  "$WINGSPAN" $c --help >help.txt || say "$c --help fails"
  grep -q "usage: wingspan $c" help.txt || say "$c --help says no usage"
  "$WINGSPAN" help $c | cmp -s - help.txt || say "help $c is not $c --help"
done

# a run and its metrics
$MPIRUN -n 3 "$WINGSPAN" train --data good.h5 --width 301 --batch 7 --epochs 6 --shift 1 --checkpoint run.h5 \
  --checkpoint-every 5 --keep 3 --metrics run.jsonl >out.txt 2>err.txt || say "train fails"
grep -q '^test accuracy 0\.[0-9]\{4\}$\|^test accuracy 1.0000$' out.txt || say "no test accuracy"
for f in run.h5 run.h5.1 run.h5.2; do [ -f $f ] || say "$f is not kept"; done
[ -f run.h5.3 ] && say "run.h5.3 is one too many"
for key in type step epoch loss accuracy seconds active_mean union_fraction flips candidates_mean recall inner_products \
  node_visits leaf_writes bytes_reduced collectives memory_bytes seconds_query seconds_forward seconds_reduce \
  seconds_update seconds_solve seconds_index seconds_checkpoint; do
  [ "$(grep '"type":"step"' run.jsonl | grep -vc "\"$key\":")" = 0 ] || say "metrics without $key"
done
head -n 1 run.jsonl | grep -q '^{"type":"run",.*"width":301,' || say "the first line is not the run"
tail -n 1 run.jsonl | grep -q '^{"type":"end","status":"finished",.*"test_accuracy":' || say "no end line"

# queries checked on the way
$MPIRUN -n 2 "$WINGSPAN" train --data good.h5 --width 301 --batch 7 --epochs 2 --shift 1 --verify-index 5 \
  --metrics verify.jsonl --quiet >out3.txt || say "--verify-index fails"
grep -q '^verified 10 queries, 0 neurons missed$' out3.txt || say "--verify-index checks something else"
[ "$(grep '"type":"step"' verify.jsonl | tail -n 1 | grep -c '"verified":10,"missed":0,')" = 1 ] || say "metrics without verified"
grep -q '"verified"' run.jsonl && say "verified without verification"

# the same options from an ini file
printf 'width = 301\nbatch = 7\nepochs = 6\nshift = 1\ndata = good.h5\n' >run.ini
$MPIRUN -n 2 "$WINGSPAN" train --config run.ini --quiet >out2.txt || say "--config fails"
[ "$(grep accuracy out.txt)" = "$(grep accuracy out2.txt)" ] || say "--config trains something else"

# a signal in the middle, exit code 3, and on with another number of ranks
$MPIRUN -n 4 "$WINGSPAN" train --data good.h5 --width 2001 --batch 1 --steps 1000000 --shift 1 \
  --checkpoint sig.h5 --metrics sig.jsonl --log-every 1000 >sig.txt 2>&1 &
pid=$!
for i in $(seq 100); do grep -q 'step 1000 ' sig.txt 2>/dev/null && break; sleep 0.1; done
kill -USR1 $pid
wait $pid
code=$?
[ $code = 3 ] || say "SIGUSR1 gives exit $code"
grep -q '^wingspan: stopped on request after step' sig.txt || say "the stop is not told"
tail -n 1 sig.jsonl | grep -q '"status":"stopped"' || say "the metrics do not say stopped"
step=$(sed -n 's/.*stopped on request after step \([0-9]*\).*/\1/p' sig.txt)
$MPIRUN -n 2 "$WINGSPAN" train --resume sig.h5 --steps $((step + 50)) --quiet >out.txt || say "resume fails"
grep -q "^step $((step + 50))$" out.txt || say "resume ends at the wrong step"
$MPIRUN -n 2 "$WINGSPAN" train --resume auto --checkpoint sig.h5 --steps $((step + 60)) --quiet >out.txt ||
  say "--resume auto fails"
grep -q "^step $((step + 60))$" out.txt || say "--resume auto ends at the wrong step"
[ "$(grep -c '"type":"run"' sig.jsonl)" = 3 ] || say "each run has its line in the metrics"

# the same bits on 1 and 4 ranks, with every index, through the program
for n in 1 4; do
  for index in scan dtree wtree halfspace certified quantized; do
    $MPIRUN -n $n "$WINGSPAN" train --data good.h5 --width 301 --batch 7 --steps 40 --shift 1 --index $index \
      --checkpoint bits.h5 --keep 1 --quiet >/dev/null || say "train on $n ranks with $index fails"
    $MPIRUN -n $n "$WINGSPAN" export bits.h5 --out bits.$n.$index.h5 >/dev/null || say "export fails"
  done
done
for f in bits.1.dtree bits.1.wtree bits.1.halfspace bits.1.certified bits.1.quantized bits.4.scan bits.4.dtree bits.4.wtree \
  bits.4.halfspace bits.4.certified bits.4.quantized; do
  cmp -s bits.1.scan.h5 $f.h5 || say "$f has other weights"
done

# float64 weights: the same bits on 1 and 4 ranks, in a form that says what they are
for n in 1 4; do
  $MPIRUN -n $n "$WINGSPAN" train --data good.h5 --width 301 --batch 7 --steps 40 --shift 1 --precision float64 \
    --checkpoint wide.h5 --keep 1 --quiet >/dev/null || say "train in float64 on $n ranks fails"
  $MPIRUN -n $n "$WINGSPAN" export wide.h5 --out wide.$n.h5 >/dev/null || say "export of float64 fails"
done
cmp -s wide.1.h5 wide.4.h5 || say "float64 on 4 ranks has other weights"
cmp -s wide.1.h5 bits.1.scan.h5 && say "float64 weights are float32 weights"
"$WINGSPAN" info wide.h5 | grep -q 'precision  *float64' || say "info says no precision"
"$WINGSPAN" info bits.h5 | grep -q 'precision  *float32' || say "info says no precision"
if command -v h5dump >/dev/null; then
  h5dump -H -d /model/w wide.h5 | grep -q 'H5T_IEEE_F64LE' || say "/model/w is not float64"
fi
$MPIRUN -n 3 "$WINGSPAN" train --resume wide.h5 --steps 60 --quiet | grep '^test accuracy' >w1.txt || say "float64 resume fails"
$MPIRUN -n 2 "$WINGSPAN" eval wide.h5 --data good.h5 | grep '^test accuracy' | cmp -s - w1.txt || say "float64 evaluates otherwise"
# weights line of the plan: float64 beside float32 rows
plan() { "$WINGSPAN" train --data good.h5 --width 100000 --dry-run --precision $1 | sed -n 's/^  weights  *\([0-9.]*\) MB/\1/p'; }
awk "BEGIN { exit !($(plan float64) > 2.8 * $(plan float32)) }" || say "--dry-run does not count float64 weights"

# an approximate index says so, and what it finds; an exact one has no recall
$MPIRUN -n 2 "$WINGSPAN" train --data good.h5 --width 3001 --optimizer gd --steps 5 --index lsh --lsh-tables 9 \
  --metrics lsh.jsonl >/dev/null 2>lsh.txt || say "train with lsh fails"
grep -q 'index lsh (approximate)' lsh.txt || say "lsh does not say that it is approximate"
grep -q '"index_kind":"lsh (approximate)"' lsh.jsonl || say "nor do the metrics"
[ "$(grep -c '"recall":0\.[1-9]' lsh.jsonl)" = 5 ] || say "lsh has no recall in each step"
grep -q '"recall":null' sig.jsonl || say "certified has a recall"

# what comes after training
$MPIRUN -n 2 "$WINGSPAN" eval run.h5 --data good.h5 >e1.txt || say "eval fails"
grep -q '^test accuracy' e1.txt || say "eval says no accuracy"
$MPIRUN -n 3 "$WINGSPAN" eval run.h5 --data good.h5 --json >e2.txt || say "eval --json fails"
grep -q '^{"samples":20,"loss":.*}$' e2.txt || say "eval --json is not JSON"
$MPIRUN -n 2 "$WINGSPAN" predict run.h5 --data good.h5 --out pred.h5 >/dev/null || say "predict fails"
if command -v h5dump >/dev/null; then
  h5dump -H pred.h5 | grep -q '( 60, 3 )' || say "pred.h5 has another shape"
fi
"$WINGSPAN" info run.h5 | grep -q 'width  *301' || say "info says no width"
"$WINGSPAN" info run.h5 --json | grep -q '"epoch":' || say "info --json says no epoch"
"$WINGSPAN" train --data real.h5 --width 301 --optimizer gd --steps 20 --quiet | grep -q '^test rmse' ||
  say "no rmse for real targets"
$MPIRUN -n 2 "$WINGSPAN" train --data good.h5 --width 301 --dry-run --checkpoint dry.h5 >dry.txt || say "--dry-run fails"
grep -q 'memory of all ranks' dry.txt || say "--dry-run says no memory"
[ -e dry.h5 ] && say "--dry-run writes"
if command -v gnuplot >/dev/null; then
  "$WINGSPAN" plot run.jsonl sig.jsonl --out run.png >/dev/null || say "plot fails"
  head -c 4 run.png | grep -q PNG || say "run.png is no picture"
fi
$MPIRUN -n 2 "$WINGSPAN" bench index --kind certified --width 2^8..2^10 --dim 20 --samples 50 --updates 300 --json \
  >bench.json || say "bench fails"
grep -q '"exponents":{"active":' bench.json || say "the bench has no exponents"

# a checkpoint of moved rows only predicts the same
$MPIRUN -n 2 "$WINGSPAN" train --data good.h5 --width 301 --batch 7 --epochs 6 --shift 1 --checkpoint few.h5 \
  --checkpoint-dense 0 --quiet >/dev/null || say "--checkpoint-dense 0 fails"
$MPIRUN -n 3 "$WINGSPAN" eval few.h5 --data good.h5 | cmp -s - e1.txt || say "moved rows evaluate otherwise"
exit $failed
