# B  sublinear Gauss-Newton: Deng, Hu, Song, Weinstein, Zhuo, arXiv:2208.04508
letter_B() {
  local m s last=1 first worst
  for s in 1 2 3; do sphere 32 16 $s b$s.h5; done
  for m in 1024 8192 65536; do
    for s in 1 2 3; do
      train b$s.h5 --width $m --optimizer gauss-newton --steps 20 --seed $s
      values b$s.h5 contraction >c$s.txt
    done
    worst=$(sort -g c1.txt c2.txt c3.txt | tail -n 1)
    first=$(for s in 1 2 3; do head -n 1 c$s.txt; done | sort -g | sed -n 2p)
    report "contraction, every step of 3 seeds, m = $m, n = 32, d = 16" "<= 0.5" "$(printf %.3f "$worst")" "$worst <= 0.5"
    report "  of the first step (median)" "< $(printf %.3f "$last")" "$(printf %.3f "$first")" "$first < $last"
    last=$first
  done
  for s in 1 2 3; do
    train b$s.h5 --width 65536 --optimizer gauss-newton --precision float64 --steps 6 --seed $s
    first=$(values b$s.h5 contraction | awk 'BEGIN { r = 1 } { r *= $1 } END { printf "%.2e", r }')
    report "residual after 6 steps in float64, m = 65536, seed $s" "<= 1e-12" "$first" "$first <= 1e-12"
  done
  for s in 1 2 3 4 5; do
    sphere 32 16 $s b.h5
    train b.h5 --width 1024 --shift 0 --optimizer gauss-newton --steps 1 --seed $s
    values b.h5 contraction
  done | sort -g >zero.txt
  first=$(sed -n 3p zero.txt)
  report "first contraction at shift 0, m = 1024, median of 5 seeds" "<= 0.05" "$(printf %.3f "$first")" "$first <= 0.05"
  sphere 8 8 7 w.h5
  for m in 14 16 18 20; do
    train w.h5 --width 2^$m --index dtree --optimizer gauss-newton --steps 2
    echo "$((1 << m)) $(($(values w.h5 node_visits | tail -n 1) + $(values w.h5 leaf_writes | tail -n 1) + $(values w.h5 inner_products | tail -n 1)))" >>work.txt
    echo "$((1 << m)) $(values w.h5 active_mean | tail -n 1)" >>active.txt
  done
  first=$(exponent <work.txt)
  report "work of an iteration in m, 2^14..2^20, n = 8, d = 8: exponent" "<= 0.9" "$first" "$first <= 0.9"
  first=$(exponent <active.txt)
  report "neurons that fire on a sample: exponent" "<= 0.85" "$first" "$first <= 0.85"
}
