# H  near-linear Gauss-Newton, correlation trees: arXiv:2006.11648, arXiv:2211.14227, arXiv:2110.04622
letter_H() {
  local n m k visits bound start newton gd least=1000 most=0
  for n in 16 32 64 128; do
    sphere $n 16 $n h$n.h5
    train h$n.h5 --width 32768 --shift 0 --optimizer gauss-newton --steps 20
    newton=$(awk 'BEGIN { r = 1 } { r *= $1; k++; if (r <= 1e-5) { print k; exit } }' <(values h$n.h5 contraction))
    least=$((newton < least ? newton : least))
    most=$((newton > most ? newton : most))
    report "Gauss-Newton steps to a relative residual 1e-5, n = $n" "<= 5" "$newton" "$newton > 0 && $newton <= 5"
  done
  report "  spread over n" "<= 2" "$((most - least))" "$most - $least <= 2"
  train h32.h5 --width 32768 --shift 0 --optimizer gd --steps 5000 --target-loss 5e-11
  gd=$(values h32.h5 step | tail -n 1)
  report "gradient descent needs more, n = 32" "> 10" "$gd" "$gd > 10"
  sphere 8 8 7 t.h5
  for m in 14 17 20; do
    train t.h5 --width 2^$m --index dtree --optimizer gd --rate 1 --steps 20
    k=$(values t.h5 active_mean | head -n 1)
    start=$k
    # the first step: later ones also count the nodes that updates climb
    visits=$(($(values t.h5 node_visits | head -n 1) / 8))
    bound=$(awk "BEGIN { m = 2^$m; printf \"%d\", 2 * $k * (log(m / $k) / log(2) + 2) }")
    report "tree nodes a query, m = 2^$m" "<= $bound" "$visits" "$visits <= $bound"
    bound=$(awk "BEGIN { printf \"%d\", 2 ^ (0.8 * $m) }")
    report "  neurons that fire" "<= m^0.8 = $bound" "$k" "$k <= $bound"
    k=$(values t.h5 active_mean | sort -g | tail -n 1)
    report "  at most in training, by the start" "<= 1.5" "$(awk "BEGIN { printf \"%.3f\", $k / $start }")" "$k / $start <= 1.5"
  done
}
