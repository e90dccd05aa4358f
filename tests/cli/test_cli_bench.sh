# The benches: every exact kind is compared with scan, counts are the same on any number of ranks, the
# exponents are those of the method, and the JSON has the keys that programs read.
set -u
failed=0
say() { echo "FAIL: $*"; failed=1; }

# the value of the first "key" in a file of JSON
value() { sed "s/.*\"exponents\":{//; s/.*\"$1\":\([^,}]*\).*/\1/" "$2"; }
# within LOW HIGH of what value() finds
between() { awk -v v="$(value "$1" "$2")" -v a="$3" -v b="$4" 'BEGIN { exit !(v >= a && v <= b) }' ||
  say "$2: exponent of $1 is $(value "$1" "$2"), not in $3..$4"; }

# every kind there is, as the program itself names them
kinds=$("$WINGSPAN" bench index --kind none 2>&1 | sed 's/.*choose //; s/, /,/g')
case $kinds in *scan*dtree*certified*) ;; *) say "the kinds are not named: $kinds" ;; esac

for n in 1 3; do
  $MPIRUN -n $n "$WINGSPAN" bench index --kind "$kinds" --width 2^9..2^11 --dim 10 --samples 30 --batch 7 --json \
    >all.$n.json || say "bench index on $n ranks fails"
  grep -o '"exact":true,"rows":\[[^]]*\]' all.$n.json >exact.txt
  [ "$(grep -c '"same":true' exact.txt)" -ge 3 ] || say "fewer than three exact kinds on $n ranks"
  grep -q '"same":false' exact.txt && say "not the same as scan on $n ranks"
done
for key in width active work build_seconds query_seconds update_seconds bytes same candidates leaf_writes relisted; do
  grep -q "\"rows\":\[{[^]]*\"$key\":" all.1.json || say "rows have no $key"
done
for key in active work query_seconds; do
  grep -q "\"exponents\":{[^}]*\"$key\":" all.1.json || say "exponents have no $key"
done
for n in 1 3; do
  grep -o '"kind":"scan","exact":true,"rows":\[[^]]*\]' all.$n.json | grep -o '"active":[0-9.]*' >active.$n.txt
done
cmp -s active.1.txt active.3.txt || say "what fires depends on the ranks"
[ -s active.1.txt ] || say "no active neurons"

# a table a kind, with its verdict against scan
$MPIRUN -n 2 "$WINGSPAN" bench index --kind dtree,scan --width 2^8..2^9 --dim 6 --samples 9 --batch 1 --updates 40 \
  >table.txt || say "bench index prints no table"
[ "$(grep -c 'same as scan, to the bit of z.*yes' table.txt)" = 2 ] || say "the table does not say same"
grep -q '^dtree beats scan from width\|^dtree does not beat scan' table.txt || say "no verdict against scan"
[ "$(grep -c '^exponent' table.txt)" = 4 ] || say "no exponents"

# m^0.76 neurons fire; a scan does m products; a tree far fewer
"$WINGSPAN" bench index --kind dtree --width 2^10..2^15 --dim 16 --samples 16 --json >dtree.json || say "dtree fails"
between active dtree.json 0.70 0.82
between work dtree.json 0.70 0.87
"$WINGSPAN" bench index --kind scan --width 2^10..2^13 --dim 16 --samples 16 --json >scan.json || say "scan fails"
between work scan.json 0.97 1.02

# full training steps
for k in dtree certified; do
  "$WINGSPAN" bench work --kind $k --width 2^12..2^16 --json >work.json || say "bench work with $k fails"
  between work work.json 0.70 0.90
done
$MPIRUN -n 2 "$WINGSPAN" bench work --kind scan,dtree --width 2^12..2^14 --steps 3 >work.txt || say "bench work fails"
grep -q 'union %' work.txt || say "bench work says no union"
[ "$(ls wingspan-bench-* 2>/dev/null)" = "" ] || say "bench work leaves files"

$MPIRUN -n 1 "$BUILD/tests/cli/make_data" good classes.h5 || exit 1
# a gauss-newton step, dense and not: the same network, the same iterations, the same loss
for n in 1 3; do
  $MPIRUN -n $n "$WINGSPAN" bench newton --data classes.h5 --prepare unit --width 2^9 --shift 0.5 --whole --json \
    >newton.$n.json || say "bench newton fails on $n ranks"
  for key in index forward gram pack factor cg update; do
    grep -q "\"seconds_$key\":[0-9.e-]*" newton.$n.json || say "bench newton has no seconds_$key"
  done
  awk -v a="$(sed 's/.*"first_loss":\([^,]*\),"dense.*/\1/' newton.$n.json)" \
    -v b="$(sed 's/.*"dense_first_loss":\([^,]*\).*/\1/' newton.$n.json)" \
    'BEGIN { exit !(a > 0 && b > 0.999 * a && b < 1.001 * a) }' || say "the dense step leads elsewhere on $n ranks"
done
$MPIRUN -n 2 "$WINGSPAN" bench newton --data classes.h5 --prepare unit --width 2^9..2^10 --shift 0.5 >newton.txt || say "bench newton prints nothing"
grep -q 'one product timed' newton.txt || say "bench newton does not say that it multiplies"
"$WINGSPAN" bench index --whole >/dev/null 2>&1 && say "bench index takes --whole"

# a structured start: the same lists on any ranks, with shards that end inside of blocks
for n in 1 3; do
  $MPIRUN -n $n "$WINGSPAN" bench start --width 2^12 --dim 40 --samples 50 --shift 2 --json >start.$n.json || say "bench start fails on $n ranks"
  $MPIRUN -n $n "$WINGSPAN" bench overlap --width 2^10..2^11 --dim 40 --samples 20 --shift 1 --seeds 2 --json >overlap.$n.json ||
    say "bench overlap fails on $n ranks"
  sed -i 's/.*\("entries":[0-9]*\).*/\1/' start.$n.json
done
grep -q 'entries":[1-9]' start.1.json || say "bench start lists nothing"
cmp -s start.1.json start.3.json || say "the lists of a start depend on the ranks"
cmp -s overlap.1.json overlap.3.json || say "overlaps depend on the ranks"
awk -v r="$(sed 's/.*"ratio":\([^}]*\)}.*/\1/' overlap.1.json)" 'BEGIN { exit !(r > 0.5 && r < 2) }' || say "overlaps are far apart"
"$WINGSPAN" bench start --kind scan >/dev/null 2>&1 && say "bench start takes --kind"

if command -v gnuplot >/dev/null; then
  "$WINGSPAN" plot all.1.json scan.json --out bench.png >/dev/null || say "plot fails"
  head -c 4 bench.png | grep -q PNG || say "bench.png is no picture"
  "$WINGSPAN" plot work.json --out work.svg >/dev/null || say "plot of bench work fails"
  grep -q 'dtree\|certified' work.svg || say "work.svg names no kind"
fi
exit $failed
