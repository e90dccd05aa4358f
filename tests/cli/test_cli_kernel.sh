# wingspan kernel and wingspan width: the same answer on 1 and 3 ranks, clear refusals.
set -u
failed=0
fail() { echo "FAIL: $*"; failed=1; }
awk -v OFS=, 'BEGIN { for (i = 0; i < 12; i++) print cos(i), sin(2 * i), cos(3 * i + 1), sin(i + 0.5) + cos(2 * i) / 4 }' >d.csv
"$WINGSPAN" convert --input d.csv --out d.h5 --header no >/dev/null || exit 1

value() { sed "s/.*\"$2\":\([^,}]*\).*/\1/" <<<"$1"; }
for kind in ntk bias-ntk; do
  one=$("$WINGSPAN" kernel --kind $kind --data d.h5 --shift 1 --json) || fail "kernel $kind"
  many=$($MPIRUN -n 3 "$WINGSPAN" kernel --kind $kind --data d.h5 --shift 1 --json) || fail "kernel on 3 ranks"
  [ "$one" = "$many" ] || fail "$one is not $many"
  # Eigenvalues lie between the discs' bound and the trace.
  awk "BEGIN { exit !($(value "$one" disc) <= $(value "$one" least) && $(value "$one" least) <= $(value "$one" largest) &&
    $(value "$one" largest) <= 12 * 2 * $(value "$one" active)) }" || fail "$one"
done
"$WINGSPAN" kernel --data d.h5 --samples 13 >/dev/null 2>err && fail "13 of 12 samples"
grep -q '^wingspan: .*13 is more than' err || fail "$(cat err)"

# A layer beside its limit: whole counts, so the same on any number of ranks; the neurons of training.
for init in gaussian coupled; do
  k="kernel --data d.h5 --shift 0.7 --width 333 --init $init --seed 7 --json"
  one=$("$WINGSPAN" $k) || fail "kernel --width"
  for n in 2 3 4; do
    many=$($MPIRUN -n $n "$WINGSPAN" $k) || fail "kernel --width on $n ranks"
    [ "$one" = "$many" ] || fail "$n ranks: $one is not $many"
  done
  "$WINGSPAN" train --data d.h5 --shift 0.7 --width 333 --init $init --seed 7 --loss squared --optimizer gd --steps 1 \
    --quiet --metrics m.jsonl >/dev/null || fail "train"
  active=$(grep '"type":"step"' m.jsonl | sed 's/.*"active_mean":\([^,]*\).*/\1/')
  # an odd last neuron of a coupled start fires in training, but says nothing
  awk "BEGIN { d = $active - 333 * $(value "$one" layer_active); exit !(d > -1e-9 && d < ($(($(echo $init | wc -c) == 8)) ? 1 : 1e-9)) }" ||
    fail "$init: $active fire in training, $(value "$one" layer_active) of 333 here"
done
one=$("$WINGSPAN" kernel --data d.h5 --shift 1 --width 2^16 --json)
awk "BEGIN { d = $(value "$one" layer_least) / $(value "$one" least); e = $(value "$one" layer_largest) / $(value "$one" largest)
  exit !(d > 0.8 && d < 1.2 && e > 0.95 && e < 1.05 && $(value "$one" layer_entry) <= 4 / 256 && $(value "$one" layer_entry) > 0 &&
    $(value "$one" layer_distance) >= $(value "$one" layer_entry) && $(value "$one" least_fixed) < $(value "$one" least) &&
    $(value "$one" condition_unshifted) > $(value "$one" condition) && $(value "$one" bound_sharp) >= $(value "$one" bound_nearest) &&
    $(value "$one" bound_worst) > 0 && $(value "$one" bound_worst) < $(value "$one" least)) }" || fail "$one"
"$WINGSPAN" kernel --data d.h5 --seed 3 >/dev/null 2>err
[ $? -eq 2 ] && grep -q '^wingspan: --seed goes with --width' err || fail "$(cat err)"

w="width --data d.h5 --optimizer gauss-newton --steps 15 --shift 0.5 --target 1e-2 --seeds 3 --pass 3 --bisect"
found() { sed 's/^{"type":"width","width":\([^,]*\).*/\1/' <<<"$1"; }
one=$("$WINGSPAN" $w --json) || fail "width"
many=$($MPIRUN -n 3 "$WINGSPAN" $w --json) || fail "width on 3 ranks"
[ "$one" = "$many" ] || fail "$one is not $many"
m=$(found "$one")
[ "$m" -ge 4 ] && [ "$m" -le 1024 ] || fail "width $m"
"$WINGSPAN" $w --from "$m" | grep -q "^smallest width   $m\$" || fail "$m is not enough by itself"
"$WINGSPAN" $w --to 3 | grep -q '^no width up to 3 succeeds' || fail "width 3"
"$WINGSPAN" width --data d.h5 --seeds 2 --pass 3 >/dev/null 2>err
[ $? -eq 2 ] && grep -q '^wingspan: --pass 3' err || fail "$(cat err)"

# Points on a half circle, labels alternate: width 4 < n - 2 cannot tell them apart, whatever is done.
awk 'BEGIN { for (i = 0; i < 8; i++) { t = 3.14159265358979 * i / 8; printf "%.9f,%.9f,%d\n", cos(t), sin(t), i % 2 ? 1 : -1 } }' >half.csv
"$WINGSPAN" convert --input half.csv --out half.h5 --header no >/dev/null || exit 1
for o in "gd --init gaussian" "adam" "gauss-newton" "gd --loss logistic"; do
  "$WINGSPAN" width --data half.h5 --until sign --optimizer $o --steps 500 --from 4 --to 5 | grep -q '^no width' || fail "4 neurons, $o"
done
"$WINGSPAN" width --data half.h5 --until sign --steps 2000 --from 64 --to 64 | grep -q '^smallest width   64' || fail "64 neurons"
"$WINGSPAN" width --data half.h5 --until sign --target 1 >/dev/null 2>err
[ $? -eq 2 ] && grep -q '^wingspan: --until sign has no --target' err || fail "$(cat err)"
k=$("$WINGSPAN" kernel --kind ntk --data half.h5 --json)
awk "BEGIN { y = $(value "$k" fit) * 8 / 0.5; exit !(y > 213 && y < 215 && $(value "$k" least) > 0.0335 && $(value "$k" least) < 0.0345) }" || fail "$k"
grep -q '"bound_worst":null,"bound_nearest":null,"bound_sharp":null' <<<"$k" || fail "bounds of bias-ntk for ntk"

# The certificate, with data of each seed's own; coupled outputs are 0 exactly, and the same on 1 to 4 ranks.
for s in 1 2 3; do
  awk -v s=$s 'BEGIN { for (i = 0; i < 8; i++) { for (j = 0; j < 4; j++) printf "%.6f,", sin(s * 3 + i * i * 1.7 + 2.3 * j * (i + 1)); print i % 3 ? 1 : -1 } }' >c.csv
  "$WINGSPAN" convert --input c.csv --out c$s.h5 --header no >/dev/null || exit 1
done
w="width --data c{}.h5 --until certificate --target 1e-3 --seeds 3 --pass 2 --from 16 --init-scale 3 --output-scale theory"
for init in coupled gaussian; do
  one=$("$WINGSPAN" $w --init $init --json) || fail "width --until certificate"
  for n in 2 3 4; do
    many=$($MPIRUN -n $n "$WINGSPAN" $w --init $init --json) || fail "certificate on $n ranks"
    [ "$one" = "$many" ] || fail "$n ranks: $one is not $many"
  done
  [ "$(found "$one")" -gt 16 ] || fail "$one"
  awk "BEGIN { exit !($(value "$one" drift | tr -d ']}') <= 0.6 && $(value "$one" least) >= 0.75) }" || fail "$one"
  case $init in
    coupled) grep -q '"output":0,"loss_start":0.5,' <<<"$one" || fail "not 0 at the start: $one" ;;
    *) ! grep -q '"output":0,' <<<"$one" || fail "0 at the start: $one" ;;
  esac
done
cp c1.h5 c2.h5
[ "$("$WINGSPAN" width --data c1.h5 --until certificate --seed 2 --seeds 1 --pass 1 --json)" = \
  "$("$WINGSPAN" width --data c{}.h5 --until certificate --seed 2 --seeds 1 --pass 1 --json)" ] || fail "{} is not the seed"
awk 'BEGIN { for (i = 0; i < 8; i++) { t = 6.28318530717959 * i / 8; printf "%.9f,%.9f,%d\n", cos(t), sin(t), i % 2 ? 1 : -1 } }' >full.csv
"$WINGSPAN" convert --input full.csv --out full.h5 --header no >/dev/null || exit 1
"$WINGSPAN" width --data full.h5 --until certificate >/dev/null 2>err
[ $? -eq 1 ] && grep -q '^wingspan: the limiting kernel of full.h5 is singular' err || fail "$(cat err)"
"$WINGSPAN" train --data full.h5 --optimizer gd --loss squared --shift 0 --rate theory --width 64 --quiet >/dev/null 2>err
[ $? -eq 1 ] && grep -q '^wingspan: --rate theory: .*singular' err || fail "$(cat err)"
exit $failed
