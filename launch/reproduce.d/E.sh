# E  large bias, bias-generalised kernel: Yang, Jiang, Zhang, Liang, Wang, arXiv:2301.00327
letter_E() {
  local b k least largest q start end n last_k=1e9 last_auto=1e9 last_fixed=0
  sphere 24 12 1 e.h5 sign
  for b in 0 0.75 1.25 1.82; do
    k=$("$wingspan" kernel --kind bias-ntk --data e.h5 --shift $b --json)
    least=$(sed 's/.*"least":\([^,]*\).*/\1/' <<<"$k")
    largest=$(sed 's/.*"largest":\([^,]*\).*/\1/' <<<"$k")
    q=$(sed 's/.*"active":\([^,]*\).*/\1/' <<<"$k")
    n=$(awk "BEGIN { printf \"%.1f\", $largest / $least }")
    report "shift $b: condition of the limiting kernel" "< $last_k" "$n" "$n < $last_k"
    last_k=$n
    train e.h5 --width 4096 --shift $b --bias trained --init coupled --loss squared --optimizer gd \
      --output-scale theory --target-loss 1e-6 --steps 30000
    n=$(values e.h5 step | tail -n 1)
    start=$(values e.h5 active_mean | head -n 1)
    end=$(values e.h5 active_mean | tail -n 1)
    report "  steps to loss 1e-6 at rate 1/lambda_max" "< $last_auto" "$n" "$n < $last_auto"
    last_auto=$n
    # coupled neurons fire in pairs: 2048 independent ones
    report "  share that fires at the start by Q, n = 24" "1 +- 0.15" "$(awk "BEGIN { printf \"%.3f\", $start / 4096 / $q }")" \
      "$start / 4096 / $q > 0.85 && $start / 4096 / $q < 1.15"
    report "  at the end" "<= 2" "$(awk "BEGIN { printf \"%.3f\", $end / 4096 / $q }")" "$end / 4096 / $q <= 2"
    train e.h5 --width 4096 --shift $b --bias trained --init coupled --loss squared --optimizer gd \
      --output-scale theory --target-loss 1e-6 --steps 30000 --rate 1.92
    n=$(values e.h5 step | tail -n 1)
    report "  steps at a fixed rate" "> $last_fixed" "$n" "$n > $last_fixed"
    last_fixed=$n
  done
}
