# W  structured starts: rows in blocks whose products are one fast transform; width 2^30 (WS_DATA=FILE: also on these samples; WS_WIDEST=34: also 2^34, 12 GB)

# two_ranks words...: on two ranks; the most memory each has held, in kB, goes to memory.txt. Somebody looks
# twice a second, whom nothing waits for: neither this nor, for its output, mpirun.
two_ranks() {
  mpirun --oversubscribe --bind-to none -n 2 bash -c '"$@" & p=$!
    while mapfile -t s 2>/dev/null </proc/$p/status && h=${s[*]} && [[ $h =~ VmHWM:[^0-9]*([0-9]+) ]]; do
      echo "${BASH_REMATCH[1]}" >most.$p
      sleep 0.5
    done >/dev/null 2>&1 & look=$!
    wait $p && r=0 || r=$?
    kill $look 2>/dev/null
    cat most.$p >>memory.txt
    rm most.$p
    exit $r' rank "$wingspan" "$@" >/dev/null
}

# wide K INIT SECONDS GIB: width 2^K on two ranks, two steps, a stop, and the third step from the checkpoint
wide() {
  local t r g
  rm -f w.h5* w.jsonl memory.txt
  t=$(date +%s.%N)
  two_ranks train --data wide.h5 --width 2^$1 --init $2 --optimizer gauss-newton --weights implicit --steps 2 --quiet \
    --checkpoint w.h5 --metrics w.jsonl
  two_ranks train --resume w.h5 --steps 3 --quiet
  t=$(awk "BEGIN { printf \"%.1f\", $(date +%s.%N) - $t }")
  r=$(values w contraction | awk 'BEGIN { r = 1 } { r *= $1 } END { print r }')
  g=$(sort -n memory.txt | tail -n 2 | awk '{ s += $1 } END { printf "%.2f", s / 1048576 }')
  report "width 2^$1, $2: residual after 3 steps, by the start's" "<= 1e-8" "$r" "$r <= 1e-8"
  report_time "  seconds of all, with checkpoints and restart" "<= $3" "$t" "$t <= $3"
  report "  GiB of both ranks together" "<= $4" "$g" "$g <= $4"
  rm -f w.h5*
}

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
    report_time "sgemm by listing with values, d = 784, width $m, shift $b" ">= $k" "$r" "$r >= $k"
    r=$(sed 's/.*"start_ratio":\([^}]*\)}.*/\1/' <<<"$out")
    report_time "  dense start by whole start, 60000 samples" ">= $s" "$r" "$r >= $s"
  done
  sphere 16 32 1 wide.h5
  wide 30 structured 20 2
  wide 30 gaussian 45 2
  [ "${WS_WIDEST:-30}" -lt 34 ] || wide 34 structured 1200 22
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
