# E  large bias, bias-generalised kernel, training: Yang, Jiang, Zhang, Liang, Wang, arXiv:2301.00327

# One run: seed, shift, name, words for the rate. The plain sum of squares of the paper has n = 24 times
# our gradient, so its rate 0.08 is 1.92 here; its loss 1e-6 n is a mean of 1e-6.
run_E() {
  local s=$1 b=$2 name=$3
  shift 3
  "$wingspan" train --data e$s.h5 --seed $s --width 4096 --shift $b --bias trained --init gaussian --loss squared --optimizer gd \
    --output-scale theory --target-loss 1e-6 --steps 60000 --quiet --metrics $name-$b-$s.jsonl "$@" >/dev/null
  # steps taken before the loss was reached, share that fires at the start and at the end
  grep '"type":"step"' $name-$b-$s.jsonl | sed 's/.*"step":\([0-9]*\).*"active_mean":\([^,]*\).*/\1 \2/' |
    awk 'NR == 1 { start = $2 } END { print $1 - 1, start / 4096, $2 / 4096 }' >$name-$b-$s
  rm $name-$b-$s.jsonl
}

# The kernel of one data set and a layer of 2^E of its neurons, as one line in kernel-B-E-SEED
kernel_E() {
  "$wingspan" kernel --data e$1.h5 --shift $2 --width 2^$3 --seed $1 --json >kernel-$2-$3-$1
}

letter_E() {
  local b s q a k seeds=15 last=1e9 last_k=1e9 last_fixed=0 last_disc=-1e9 at=1 low high
  local steps=(- 191 68 41 31) slow=(- 346 487 947 3327) range=(- 150-260 55-100 33-60 27-55)
  for s in $(seq $seeds); do sphere 24 12 $s e$s.h5 sign; done
  for b in 1.82 1.25 0.75 0; do
    for s in $(seq $seeds); do
      later run_E $s $b fixed --rate 1.92
      later run_E $s $b auto --rate lambda-max
      later kernel_E $s $b 16
    done
  done
  for s in $(seq $seeds); do
    for k in 10 12 14; do later kernel_E $s 1.25 $k; done
  done
  wait
  for b in 0 0.75 1.25 1.82; do
    cat $(seq -f "kernel-$b-16-%g" $seeds) >kernel.$b
    q=$(key "$(head -n 1 kernel.$b)" active)
    a=$(while read -r k; do awk "BEGIN { print $(key "$k" largest) / $(key "$k" least) }"; done <kernel.$b | middle)
    report "shift $b: condition of the limiting kernel, median of $seeds data sets" "< $last_k" "$(printf %.1f "$a")" "$a < $last_k"
    last_k=$(printf %.1f "$a")
    a=$(while read -r k; do awk "BEGIN { print $(key "$k" layer_distance) / $(key "$k" largest) }"; done <kernel.$b | middle)
    report "  a layer of 2^16 from its limit, spectral norm" "<= 0.05" "$(printf %.4f "$a")" "$a <= 0.05"
    a=$(while read -r k; do awk "BEGIN { print $(key "$k" least) - $(key "$k" disc) }"; done <kernel.$b | sort -g | head -n 1)
    report "  least eigenvalue less Gershgorin's bound, least of $seeds" ">= 0" "$(printf %.3g "$a")" "$a >= 0"
    a=$(while read -r k; do awk "BEGIN { print $(key "$k" disc) / $(key "$k" least) }"; done <kernel.$b | middle)
    report "  Gershgorin's bound by the least eigenvalue, median" "> $last_disc" "$(printf %.2f "$a")" "$a > $last_disc"
    last_disc=$(printf %.2f "$a")
    low=${range[at]%-*} high=${range[at]#*-}
    a=$(cat auto-$b-* | middle)
    report "  steps to loss 1e-6 n at rate 1/lambda_max, median [${steps[at]}]" "$low to $high, < $last" "$a" "$a >= $low && $a <= $high && $a < $last"
    last=$a
    a=$(cat fixed-$b-* | middle)
    report "  steps at the fixed rate 0.08 [${slow[at]}]" "> $last_fixed" "$a" "$a > $last_fixed"
    last_fixed=$a
    # in deviations of the mean over all seeds; the share of 24 x 4096 pairs has deviation/sqrt(4096)
    a=$(paste -d ' ' <(cat $(seq -f "auto-$b-%g" $seeds)) <(while read -r k; do key "$k" deviation; done <kernel.$b) |
      awk -v q="$q" '{ d += $2 - q; v += $4 ^ 2 / 4096 } END { printf "%.2f", d / sqrt(v) }')
    report "  share that fires at the start, less Q, in deviations" "-3 to 3" "$a" "$a >= -3 && $a <= 3"
    a=$(cat auto-$b-* | awk -v q="$q" '$3 / q > most { most = $3 / q } END { printf "%.3f", most }')
    report "  share that fires at the end, by Q, most of $seeds" "<= 2" "$a" "$a <= 2"
    at=$((at + 1))
  done
  a=$(for s in 10 12 14 16; do
    for b in $(seq $seeds); do key "$(cat kernel-1.25-$s-$b)" layer_distance; done |
      awk -v m=$((1 << s)) '{ t += $1 } END { print m, t / NR }'
  done | exponent)
  report "distance of a layer from its limit in m, shift 1.25: exponent" "-0.65 to -0.35" "$a" "$a >= -0.65 && $a <= -0.35"
}
