# launch/reproduce: its help names every letter, PASS and FAIL are counted, a command that fails is no PASS.
set -u
failed=0
fail() { echo "FAIL: $*"; failed=1; }
mkdir tree && cp -r "$SOURCE/launch" tree/ || exit 1
r=tree/launch/reproduce
for f in "$SOURCE"/launch/reproduce.d/*.sh; do
  letter=$(basename "$f" .sh)
  grep -q "^letter_$letter() {" "$f" || fail "$f has no letter_$letter"
  $r --help | grep -q "^  $letter  [a-zA-Z]" || fail "--help does not name $letter"
  bash -n "$f" || fail "$f"
done
for words in "" "Q" "b" "B Q" "../B" "--program" "--programme x B"; do
  $r $words >out 2>err
  [ $? -eq 2 ] && grep -q '^usage:' err && [ ! -s out ] || fail "'$words': $(cat out err)"
done
$r --program none B >out 2>err && fail "a program that is not there"
grep -q -- '--program none is no program' err || fail "$(cat err)"

# Letters of our own: one good, one bad, one that breaks off.
rm tree/launch/reproduce.d/*
cat >tree/launch/reproduce.d/X.sh <<'END'
# X  a good one
letter_X() {
  local m
  sphere 8 4 3 x.h5 sign
  train x.h5 --width 64 --optimizer gd --steps 4 --loss squared
  report "steps" "4" "$(values x.h5 step | tail -n 1)" "$(values x.h5 step | tail -n 1) == 4"
  for m in 1 2 4 8; do echo "$m $((3 * m * m))"; done >e.txt
  report "exponent" "2" "$(exponent <e.txt)" "$(exponent <e.txt) == 2"
  report "middle" "5" "$(printf '9\n5\n-1\n' | middle)" "$(printf '9\n5\n-1\n' | middle) == 5"
  report "key" "0.5" "$(key '{"a":1,"b":[{"a":0.5}]}' a)" "$(key '{"a":1,"b":[{"a":0.5}]}' a) == 0.5"
  for m in 1 2 3 4 5; do later touch "later.$m"; done
  wait
  report "later" "5" "$(ls later.* | wc -l)" "$(ls later.* | wc -l) == 5"
}
END
cat >tree/launch/reproduce.d/Y.sh <<'END'
# Y  a bad one
letter_Y() {
  report "one" "1" "1" "1 == 1"
  report "two" "1" "2" "2 == 1"
  report "nothing measured" "1" "" " == 1" 2>/dev/null
  report_time "late" "1" "2" "2 == 1"
}
END
cat >tree/launch/reproduce.d/Z.sh <<'END'
# Z  one that breaks off
letter_Z() {
  "$wingspan" train --data none.h5 --quiet 2>/dev/null
  report "one" "1" "1" "1 == 1"
}
END
$r --program "$WINGSPAN" X >out 2>err || fail "X: $(cat out err)"
[ "$(grep -c ' PASS$' out)" -eq 5 ] && grep -q '^5 PASS, 0 FAIL$' out || fail "X: $(cat out)"
$r --program "$WINGSPAN" X Y >out 2>err
[ $? -eq 1 ] && [ "$(grep -c ' FAIL$' out)" -eq 4 ] && grep -q '^6 PASS, 3 FAIL$' out || fail "X Y: $(cat out)"
$r --program "$WINGSPAN" --untimed X Y >out 2>err
[ $? -eq 1 ] && grep -q '^late .* untimed$' out && grep -q '^6 PASS, 2 FAIL$' out || fail "--untimed: $(cat out)"
$r --program "$WINGSPAN" all >out 2>err
[ $? -ne 0 ] && grep -q '^letter Z: a command failed: FAIL$' out || fail "all: $(cat out err)"
[ "$(grep -c '^[XYZ]  ' out)" -eq 3 ] || fail "all runs $(grep '^[XYZ]  ' out)"
exit $failed
