# V  large bias, bias-generalised kernel, its spectrum: Yang, Jiang, Zhang, Liang, Wang, arXiv:2301.00327

# sphere_with_linear N D SEED NAME: NAME.random.h5 with labels -1 and +1, NAME.linear.h5 with the first
# coordinate for a target
sphere_with_linear() {
  sphere "$1" "$2" "$3" "$4.random.h5" sign
  awk -F, -v OFS=, '{ s = 0; for (j = 1; j < NF; j++) s += $j * $j; $NF = sprintf("%.9f", $1 / sqrt(s)); print }' sphere.csv >linear.csv
  "$wingspan" convert --input linear.csv --out "$4.linear.h5" --header no >/dev/null
}

# steps SHIFT LABELS: of gradient descent to a mean square of 1e-3, which is twice our loss, at rate
# 1/lambda_max; then the share of the neurons that fires at the start and at the end
steps_V() {
  "$wingspan" train --data n.$2.h5 --width 4096 --shift $1 --bias trained --init coupled --loss squared --optimizer gd \
    --output-scale theory --target-loss 5e-4 --steps 20000 --rate lambda-max --quiet --metrics v-$2-$1.jsonl >/dev/null
  grep '"type":"step"' v-$2-$1.jsonl | sed 's/.*"step":\([0-9]*\).*"active_mean":\([^,]*\).*/\1 \2/' |
    awk 'NR == 1 { start = $2 } END { print $1 - 1, start / 4096, $2 / 4096 }' >v-$2-$1
}

letter_V() {
  local b k l q a c at=1 near first=0 second
  local least=(- .162 .104 .026) condition=(- 324 60 9.6) fit=(- 1.757 .895 .595) linear=(- .108 .142 .250)
  local long=(- 415 89 81) short=(- 50 24 114)
  sphere_with_linear 200 20 1 k
  sphere_with_linear 100 20 2 n
  for b in 0 1 2; do
    for l in random linear; do later steps_V $b $l; done
  done
  wait
  for b in 0 1 2; do
    k=$("$wingspan" kernel --data k.random.h5 --shift $b --width 2^16 --json)
    q=$(key "$k" active)
    a=$(key "$k" least)
    report "shift $b: least eigenvalue of the limit, n = 200, d = 20 [${least[at]}]" "within 10 %" "$(printf %.3f "$a")" "$a / ${least[at]} > 0.9 && $a / ${least[at]} < 1.1"
    c=$(key "$k" condition)
    report "  condition [${condition[at]}]" "within 10 %" "$(printf %.1f "$c")" "$c / ${condition[at]} > 0.9 && $c / ${condition[at]} < 1.1"
    [ $b = 0 ] && first=$c
    near=$(key "$k" bound_nearest)
    report "  bound by the nearest samples; by discs $(printf %.2f "$(key "$k" disc)"), worst case $(printf %.1e "$(key "$k" bound_worst)")" \
      "<= least" "$(printf %.3f "$near")" "$near <= $a && $(key "$k" disc) <= $a && $(key "$k" bound_worst) <= $a"
    report "  the sharper Q(B) - P[both fire]" ">= the bound" "$(printf %.3f "$(key "$k" bound_sharp)")" "$(key "$k" bound_sharp) >= $near - 1e-12"
    report "  V1 a layer of 2^16: largest difference of an entry" "<= 4/256" "$(printf %.4f "$(key "$k" layer_entry)")" "$(key "$k" layer_entry) <= 4 / 256"
    report "  V4 share that fires, by Q" "0.9 to 1.1" "$(awk "BEGIN { printf \"%.3f\", $(key "$k" layer_active) / $q }")" \
      "$(key "$k" layer_active) / $q > 0.9 && $(key "$k" layer_active) / $q < 1.1"
    report "  V5 least eigenvalue by that of fixed biases" "> 1.5" "$(awk "BEGIN { printf \"%.2f\", $a / $(key "$k" least_fixed) }")" "$a / $(key "$k" least_fixed) > 1.5"
    k=$("$wingspan" kernel --data k.random.h5 --shift $b --width 4096 --json)
    near=$([ $b = 2 ] && echo 0.2 || echo 0.06)
    report "  least eigenvalue of a layer of 4096, by the limit" "1 +- $near" "$(awk "BEGIN { printf \"%.3f\", $(key "$k" layer_least) / $a }")" \
      "$(key "$k" layer_least) / $a > 1 - $near && $(key "$k" layer_least) / $a < 1 + $near"
    near=$(key "$k" fit)
    l=$(key "$("$wingspan" kernel --data k.linear.h5 --shift $b --json)" fit)
    report "  Q y'H^-1 y / n of random labels [${fit[at]}]" "within 15 %" "$(printf %.3f "$near")" "$near / ${fit[at]} > 0.85 && $near / ${fit[at]} < 1.15"
    report "  of linear ones [${linear[at]}]" "< of random" "$(printf %.3f "$l")" "$l < $near"
    at=$((at + 1))
  done
  report "V2 condition at shift 2 by that at shift 0 [0.03]" "< 0.1" "$(awk "BEGIN { printf \"%.3f\", $c / $first }")" "$c / $first < 0.1"
  at=1
  for b in 0 1 2; do
    report "V3 steps to a mean square of 1e-3, n = 100, shift $b, random [${long[at]}]" "> 0" "$(cut -d ' ' -f 1 v-random-$b)" "$(cut -d ' ' -f 1 v-random-$b) > 0"
    report "  linear [${short[at]}]" "> 0" "$(cut -d ' ' -f 1 v-linear-$b)" "$(cut -d ' ' -f 1 v-linear-$b) > 0"
    at=$((at + 1))
  done
  for l in random linear; do
    first=$(cut -d ' ' -f 1 v-$l-0) second=$(cut -d ' ' -f 1 v-$l-1)
    report "V3 shift 1 needs fewer steps than shift 0, $l" "< $first" "$second" "$second < $first"
    a=$(awk '{ printf "%.4f", $2 }' v-$l-1) c=$(awk '{ printf "%.4f", $3 }' v-$l-1)
    report "V4 share that fires at shift 1 in training, $l: start [.158]" "0.143 to 0.175" "$a" "$a >= 0.143 && $a <= 0.175"
    report "  end [.166]" "< 1.5 Q = 0.238" "$c" "$c < 0.238"
  done
}
