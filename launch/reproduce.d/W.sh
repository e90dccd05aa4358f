# W  structured starts: rows in blocks whose products are one fast transform; on WS_DATA=FILE if that is set
letter_W() {
  local b m k s i out r data=()
  [ -z "${WS_DATA:-}" ] || data=(--data "$WS_DATA")
  for b in 2.5 3; do
    for m in 14 16; do
      k=$("$wingspan" bench overlap "${data[@]}" --width 2^$m --shift $b --samples 128 --json | sed 's/.*"ratio":\([^}]*\)}.*/\1/')
      report "error of intersection counts by independent rows', 2^$m, shift $b" "<= 1.15" "$k" "$k <= 1.15"
    done
  done
  for m in "262144 3 35 25" "65536 2.5 0 18"; do
    read -r m b k s <<<"$m"
    out=$(mpirun --oversubscribe --bind-to none -n 2 "$wingspan" bench start "${data[@]}" --width $m --shift $b --samples 60000 --json)
    r=$(sed 's/.*"listing_ratio":\([^,]*\).*/\1/' <<<"$out")
    report "sgemm by listing with values, d = 784, width $m, shift $b" ">= $k" "$r" "$r >= $k"
    r=$(sed 's/.*"start_ratio":\([^}]*\)}.*/\1/' <<<"$out")
    report "  dense start by whole start, 60000 samples" ">= $s" "$r" "$r >= $s"
  done
  [ -n "${WS_DATA:-}" ] || return 0
  for s in 1 2 3; do
    for i in coupled structured-coupled; do
      "$wingspan" train --data "$WS_DATA" --prepare center-unit --samples 2000 --width 65536 --shift 2.5 --init $i --seed $s \
        --optimizer gauss-newton --steps 3 --quiet --metrics $i.jsonl >/dev/null
      values $i contraction | awk 'BEGIN { r = 1 } { r *= $1; print r }' >$i.txt
      sed -n 's/.*"type":"end".*"test_accuracy":\([^,}]*\).*/\1/p' $i.jsonl >>$i.accuracy
    done
    r=$(paste structured-coupled.txt coupled.txt | awk '$1 / $2 > w { w = $1 / $2 } END { printf "%.3f", w }')
    report "Gauss-Newton residuals by the Gaussian start's, 3 steps, seed $s" "<= 1.5" "$r" "$r <= 1.5"
  done
  r=$(paste structured-coupled.accuracy coupled.accuracy | awk '{ d = $1 - $2; d = d < 0 ? -d : d; if (d > w) w = d } END { printf "%.4f", w }')
  report "  test accuracy apart, worst seed" "<= 0.01" "$r" "$r <= 0.01"
}
