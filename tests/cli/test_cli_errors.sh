# Every bad input gives one clear line a mistake, the right exit code, soon, on 1 and on 4 ranks,
# and leaves no file behind.
set -u
make="$BUILD/tests/cli/make_data"
failed=0

# The inputs are made once; then both numbers of ranks at the same time, each in a folder of its own.
if [ -z "${RANKS:-}" ]; then
  mkdir in && cd in || exit 1
  for kind in good nan inf negative zero one empty vector short width nolabels real other; do
    $MPIRUN -n 1 "$make" $kind $kind.h5 || exit 1
  done
  head -c 3000 good.h5 >cut.h5
  echo "this is text" >text.h5
  mkdir folder.h5
  "$WINGSPAN" train --data good.h5 --width 64 --steps 3 --checkpoint run.h5 --quiet >/dev/null || exit 1
  head -c 70000 run.h5 >cutrun.h5
  cp run.h5 badrun.h5
  printf 'X' | dd of=badrun.h5 bs=1 seek=66000 conv=notrunc 2>/dev/null
  cd ..
  for n in 1 4; do
    cp -r in on$n
    (cd on$n && RANKS=$n exec bash "$0") &
  done
  for job in $(jobs -p); do wait "$job" || failed=1; done
  exit $failed
fi
n=$RANKS

# expect CODE LINES PATTERN words...: run on so many ranks
expect() {
  local code=$1 lines=$2 pattern=$3 got before after
  shift 3
  before=$(ls -A | grep -v '^err$')
  timeout $((20 * ${WINGSPAN_TEST_PATIENCE:-1})) $MPIRUN -n $n "$WINGSPAN" "$@" >out.txt 2>err </dev/null
  got=$?
  rm -f out.txt
  after=$(ls -A | grep -v '^err$')
  if [ $got -ne "$code" ]; then
    echo "FAIL: exit $got, not $code, on $n ranks: $*"; cat err; failed=1
  fi
  if [ "$(grep -c '^wingspan: ' err)" -ne "$lines" ]; then
    echo "FAIL: not $lines line(s) on $n ranks: $*"; cat err; failed=1
  fi
  if ! grep -q "^wingspan: .*$pattern" err; then
    echo "FAIL: '$pattern' is not said on $n ranks: $*"; cat err; failed=1
  fi
  if grep -q 'HDF5-DIAG\|MPI_ABORT\|Segmentation' err; then
    echo "FAIL: noise on $n ranks: $*"; cat err; failed=1
  fi
  if [ "$before" != "$after" ]; then
    echo "FAIL: files left on $n ranks: $*"; echo "$after"; failed=1
  fi
}

t="train --width 64 --steps 3 --checkpoint new.h5 --metrics new.jsonl --quiet"
expect 2 1 "a command is missing"
expect 2 1 "did you mean train" trian
expect 2 3 "did you mean --width" train --widht 3 --rate -1 --index treee
expect 2 1 "data is missing" train
expect 2 1 "momentum goes with" $t --data good.h5 --optimizer adam --momentum 0.5
expect 2 1 "does not go with --optimizer gd" $t --data good.h5 --optimizer gd --batch 5
expect 2 1 "gauss-newton does not go with --batch" $t --data good.h5 --optimizer gauss-newton --batch 5
expect 2 1 "gauss-newton does not go with --rate" $t --data good.h5 --optimizer gauss-newton --rate 1
expect 2 1 "rate thory is not valid: it must be auto|lambda-max|theory or a number" $t --data good.h5 --rate thory
expect 2 1 "rate lambda-max goes with --optimizer gd or sgd" $t --data good.h5 --optimizer adam --rate lambda-max
expect 2 1 "gauss-newton does not go with --rate" $t --data good.h5 --optimizer gauss-newton --rate theory
expect 2 1 "rate theory is that of gradient descent" $t --data good.h5 --optimizer sgd --rate theory
expect 2 1 "rate theory goes with --activation relu" $t --data good.h5 --optimizer gd --rate theory --activation tanh
expect 2 1 "rate theory goes with --loss squared" $t --data good.h5 --optimizer gd --rate theory --loss softmax
expect 2 1 "rate theory goes with --loss squared, not softmax" $t --data good.h5 --optimizer gd --rate theory
expect 2 1 "rate theory goes with --output-weights fixed" $t --data good.h5 --optimizer gd --rate theory --output-weights trained
expect 2 1 "rate theory is that of a run without --ridge" $t --data good.h5 --optimizer gd --rate theory --loss squared --ridge 1
expect 2 1 "target-accuracy needs classes" $t --data real.h5 --target-accuracy 1
expect 2 1 "gauss-newton does not go with a smooth" $t --data good.h5 --optimizer gauss-newton --activation tanh
expect 2 1 "gauss-newton does not go with a --loss" $t --data good.h5 --optimizer gauss-newton --loss softmax
expect 2 1 "samples 999 is more than" $t --data good.h5 --samples 999
expect 2 1 "checkpoint-every" $t --data good.h5 --checkpoint-every often
expect 2 1 "output-scale" $t --data good.h5 --output-scale large
expect 2 1 "none.ini" $t --data good.h5 --config none.ini
expect 2 1 "resume auto" train --data good.h5 --width 64 --resume auto
expect 1 1 "none.h5 cannot be read" $t --data none.h5
expect 1 1 "folder.h5 is a folder" $t --data folder.h5
expect 1 1 "cut.h5 is .*cut short" $t --data cut.h5
expect 1 1 "text.h5 is not an HDF5 file" $t --data text.h5
expect 1 1 "row 17, column 4" $t --data nan.h5
expect 1 1 "x_test .*row 3, column 2" $t --data inf.h5
expect 1 1 "label -7 in row 9" $t --data negative.h5
expect 1 1 "row 11 of x .*norm zero" $t --data zero.h5 --prepare unit
expect 1 1 "nothing to learn" $t --data one.h5
expect 1 1 "x is empty" $t --data empty.h5
expect 1 1 "has 1 dimension" $t --data vector.h5
expect 1 1 "must have 60 rows" $t --data short.h5
expect 1 1 "x_test has 5" $t --data width.h5
expect 1 1 "has no y" $t --data nolabels.h5
expect 2 1 "needs classes" $t --data real.h5 --loss softmax
expect 2 1 "real targets" $t --data real.h5 --loss logistic
expect 1 1 "no neuron" $t --data good.h5 --shift 30
expect 1 1 "diverged" train --width 64 --steps 3 --quiet --data good.h5 --rate 1e30 --loss squared
expect 1 1 "no/such/new.h5" train --data good.h5 --width 64 --steps 3 --checkpoint no/such/new.h5 --quiet
expect 1 1 "no/such/m.jsonl" train --data good.h5 --width 64 --steps 3 --metrics no/such/m.jsonl --quiet
expect 1 1 "none.h5 cannot be read" train --resume none.h5
expect 1 1 "damaged (it has 70000 bytes" train --resume cutrun.h5
expect 1 1 "badrun.h5 is damaged (between byte 65536" train --resume badrun.h5
expect 1 1 "good.h5 is not a wingspan checkpoint" train --resume good.h5
expect 2 1 "precision double is not valid" $t --data good.h5 --precision double
expect 2 1 "precision float64 .*precision float32" train --resume run.h5 --precision float64 --steps 9
expect 2 1 "width 128 .*width 64" train --resume run.h5 --width 128 --steps 9
expect 2 1 "is not the data" train --resume run.h5 --data other.h5 --steps 9
expect 1 1 "none.h5 cannot be read" eval none.h5 --data good.h5
expect 2 1 "data is missing" eval run.h5
expect 2 1 "needs a checkpoint" eval --data good.h5
expect 1 1 "no/such/p.h5" predict run.h5 --data good.h5 --out no/such/p.h5
expect 1 1 "text.h5 is not a wingspan" info text.h5
expect 1 1 "holds no steps" plot text.h5
expect 1 1 "none.csv cannot be read" convert --input none.csv --out c.h5
expect 2 1 "there is no bench tree" bench tree
expect 2 1 "kind tree: there is no such index; choose scan" bench index --kind scan,tree
expect 2 1 "range is empty" bench work --width 2^9..2^8
exit $failed
