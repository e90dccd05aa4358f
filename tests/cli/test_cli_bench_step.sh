# bench step and bench dense: the shape of what they print, counts that hold on any number of ranks, the same
# training as train, floors above zero, and options that have no effect refused. No timings.
set -u
failed=0
say() { echo "FAIL: $*"; failed=1; }
digits=$SOURCE/data/digits.h5

# the value of "key" at the top of the object in a file
value() { sed 's/"rows":\[[^]]*\]//; s/"exponents":{[^}]*}//' "$2" | grep -o "\"$1\":[^,}]*" | head -n 1 | cut -d: -f2; }
# number FILE KEY TEST: TEST is a condition for awk on v
number() { awk -v v="$(value "$2" "$1")" "BEGIN { exit !($3) }" || say "$1: $2 is $(value "$2" "$1"), not $3"; }

step="--data $digits --width 2001 --shift 1.5 --batch 100 --rate 3 --schedule cosine"
for n in 1 3; do
  $MPIRUN -n $n "$WINGSPAN" bench step $step --finish --json >step.$n.json || say "bench step fails on $n ranks"
  for key in seconds_per_step seconds_per_epoch floor_seconds best_floor_seconds reach_seconds times_floor seconds_start seconds_query seconds_update \
    active rows_fired bytes_moved flops bytes_reduced copy_bytes_per_second dot_flops_per_second update_flops_per_second; do
    number step.$n.json $key 'v > 0'
  done
  for key in seconds_forward seconds_reduce seconds_index seconds_other relisted_per_epoch candidates_per_fired; do
    number step.$n.json $key 'v >= 0'
  done
  number step.$n.json best_floor_seconds "v <= 1.0001 * $(value floor_seconds step.$n.json)"
  number step.$n.json batch 'v == 100'
  number step.$n.json collectives 'v == 1'
  number step.$n.json busy 'v > 0 && v < 1.2'
  [ "$(grep -o '"accuracy"' step.$n.json | wc -l)" = 5 ] || say "not a test after each of epochs 2 to 6"
done
for key in active rows_fired flops bytes_moved bytes_reduced loss rate; do
  [ "$(value $key step.1.json)" = "$(value $key step.3.json)" ] || say "$key depends on the ranks"
done

# no key twice at the top
sed 's/"rows":\[[^]]*\]/"rows":0/; s/"exponents":{[^}]*}/"exponents":0/; s/"tests":\[.*\]/"tests":0/' step.1.json | grep -o '"[a-z_]*":' |
  sort | uniq -d >twice.txt
[ ! -s twice.txt ] || say "twice: $(cat twice.txt)"

# the accuracy at the end is that of train
"$WINGSPAN" train --prepare center-unit --epochs 6 --quiet ${step} >train.txt || say "train fails"
accuracy=$(grep -o '"accuracy":[0-9.]*' step.3.json | tail -n 1 | cut -d: -f2)
grep -q "^test accuracy $(printf %.4f "$accuracy")" train.txt || say "accuracy $accuracy, but $(grep test train.txt)"

# messages and bytes do not grow with the width, rows do; random samples, all of them in a step
$MPIRUN -n 2 "$WINGSPAN" bench step --width 2^9..2^12 --dim 9 --samples 12 --batch 0 --kind dtree --steps 3 --json >wide.json ||
  say "bench step on random samples fails"
[ "$(grep -o '"rows":\[.*\]' wide.json | grep -o '"bytes_reduced":[0-9]*' | sort -u | wc -l)" = 1 ] || say "bytes grow with the width"
[ "$(grep -o '"rows":\[.*\]' wide.json | grep -o '"collectives":[0-9]*' | sort -u | wc -l)" = 1 ] || say "messages grow with the width"
grep -q '"kind":"dtree"' wide.json || say "--kind is not taken"
grep -q '"exponents":{"seconds_per_step":[-0-9.]' wide.json || say "no exponent of a step"
$MPIRUN -n 2 "$WINGSPAN" bench step $step --with momentum=0.5,index=scan --steps 2 >table.txt || say "--with fails"
grep -q 'index scan' table.txt || say "--with is not taken"
grep -q '^machine, between these steps: copy .* GB/s' table.txt || say "the machine's rates are not told"
[ "$(ls wingspan-bench-* 2>/dev/null)" = "" ] || say "bench step leaves files"

# dense: the loss of train's step after two untimed and three timed ones, whatever the ranks
dense="--data $digits --width 2001 --shift 1.5 --batch 100 --rate 3"
"$WINGSPAN" train --prepare center-unit --steps 5 --quiet ${dense} >train.txt || say "train fails"
loss=$(sed -n 's/^loss //p' train.txt)
for n in 1 3; do
  $MPIRUN -n $n "$WINGSPAN" bench dense $dense --steps 3 --json >dense.$n.json || say "bench dense fails on $n ranks"
  for key in seconds_per_step seconds_per_epoch floor_seconds flops_per_second sgemm_flops_per_second share_of_sgemm; do
    number dense.$n.json $key 'v > 0'
  done
  number dense.$n.json loss "v > $loss * 0.9999 && v < $loss * 1.0001"
done
"$WINGSPAN" bench dense --samples 20 --dim 5 --batch 0 --width 2^6..2^7 --steps 2 >dense.txt || say "bench dense on random samples fails"
grep -q 'share %' dense.txt || say "dense tells no share of sgemm"

# what has no effect is refused
for words in "step --updates 3" "index --data $digits" "dense --kind scan" "dense --schedule cosine" "work --batch 3" "step --data $digits --dim 3" \
  "step --with nothing=3" "step --with momentum" "step --with metrics=x.jsonl" "step --finish --width 2^4..2^5" "work --steps 1" "step --samples 0" "dense --loss softmax"; do
  "$WINGSPAN" bench $words >/dev/null 2>err.txt
  [ $? = 2 ] || say "bench $words is not refused"
  [ "$(wc -l <err.txt)" = 1 ] || say "bench $words: more than a sentence"
done

if command -v gnuplot >/dev/null; then
  "$WINGSPAN" plot wide.json --out wide.svg >/dev/null || say "plot of bench step fails"
  grep -q 'dtree:' wide.svg || say "wide.svg names no kind"
fi
exit $failed
