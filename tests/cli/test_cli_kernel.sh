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

w="width --data d.h5 --optimizer gauss-newton --steps 15 --shift 0.5 --target 1e-2 --seeds 3 --pass 3 --bisect"
one=$("$WINGSPAN" $w --json) || fail "width"
many=$($MPIRUN -n 3 "$WINGSPAN" $w --json) || fail "width on 3 ranks"
[ "$one" = "$many" ] || fail "$one is not $many"
m=$(value "$one" width)
[ "$m" -ge 4 ] && [ "$m" -le 1024 ] || fail "width $m"
"$WINGSPAN" $w --from "$m" | grep -q "^smallest width   $m\$" || fail "$m is not enough by itself"
"$WINGSPAN" $w --to 3 | grep -q '^no width up to 3 succeeds' || fail "width 3"
"$WINGSPAN" width --data d.h5 --seeds 2 --pass 3 >/dev/null 2>err
[ $? -eq 2 ] && grep -q '^wingspan: --pass 3' err || fail "$(cat err)"
exit $failed
