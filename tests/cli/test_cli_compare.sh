# launch/compare at a small width, without PyTorch: a table, a curve for each, a picture, and mistakes refused.
set -u
failed=0
say() { echo "FAIL: $*"; failed=1; }
compare=$SOURCE/launch/compare

WINGSPAN=$WINGSPAN "$compare" --no-torch --width 2^9 --shift 1 --batch 100,0 --rate 2,auto --ranks 2 --steps 2 --target 0.5 \
  --out here >out.txt 2>err.txt || say "compare fails: $(cat err.txt)"
[ "$(grep -cE '^ +(100|1437) +[0-9.]+ +[0-9.]+ +[0-9]+ +[0-9.]+ +[0-9]+!? +[0-9.]+ +- +-$' here/compare.txt)" = 2 ] ||
  say "no row a batch: $(cat here/compare.txt)"
grep -q '^batch 100: test accuracy 0.5 after [2-6] epochs: wingspan [0-9.]* s' here/compare.txt || say "the target is not told"
grep -q '"kind":"wingspan","rows":\[{"batch":100,"seconds_per_step":[0-9.e-]*,.*{"batch":1437,' here/compare.json || say "no curve of wingspan"
grep -q '"others":\[{"kind":"dense","rows":\[{"batch":100,' here/compare.json || say "no curve of dense"
if command -v gnuplot >/dev/null; then head -c 4 here/compare.png | grep -q PNG || say "no picture"; fi
for words in "--nothing 3" "--width"; do
  "$compare" $words >out.txt 2>err.txt && say "$words is taken"
done
"$compare" --data missing.h5 2>&1 | grep -q 'missing.h5 is not there' || say "a missing file is not named"
"$compare" --batch 1,2 --rate 1,2,3 2>&1 | grep -q '3 rates for 2 batches' || say "rates that do not match are taken"
exit $failed
