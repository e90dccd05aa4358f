# D  coupled initialisation, how much width is needed: Munteanu, Omlor, Song, Woodruff, arXiv:2206.12802

# search FILE words...: wingspan width; one line of JSON in FILE
search() {
  local file=$1
  shift
  "$wingspan" width --json --output-scale theory "$@" >"$file"
}

# found FILE KEY: of the last width that was tried; width: the smallest that succeeds, 0 for none
found() {
  case $2 in
    width) sed 's/^{"type":"width","width":\([^,]*\).*/\1/' "$1" ;;
    *) key "$(cat "$1")" "$2" ;;
  esac
}

# between FILE: the width at which --pass runs succeed, interpolated between the last two
between() {
  awk '{ split($0, t, /"pass":/); pass = t[2] + 0
    n = split($0, t, /\{"width":/)
    for (k = n - 1; k <= n; k++) { w[k] = t[k] + 0; split(t[k], s, /"succeed":/); good[k] = s[2] + 0 }
    printf "%.1f", w[n - 1] * 2 ^ ((pass - good[n - 1]) / (good[n] - good[n - 1])) }' "$1"
}

# half_circle N FILE: points at angles pi i / N, labels alternate
half_circle() {
  awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) { t = 3.14159265358979 * i / n
    printf "%.9f,%.9f,%d\n", cos(t), sin(t), i % 2 ? 1 : -1 } }' >half.csv
  "$wingspan" convert --input half.csv --out "$2" --header no >/dev/null
}

# The width at which four fifths of 25 data sets have the certificate, each with neurons of its own.
certificates() {
  local n k i a b seen=(256 512 4096 128 512 4096 128 256 1024 64 128 1024) at=0
  for k in 1 6; do
    for n in 8 16 32; do
      for i in gaussian coupled; do
        later search cert.$n.$k.$i --data "d$n.{}.h5" --until certificate --init $i --init-scale $k --target 1e-4 \
          --seeds $seeds --pass $((seeds * 4 / 5)) --from 32
      done
    done
  done
  wait
  for k in 1 6; do
    for n in 8 16 32; do
      a=$(found cert.$n.$k.gaussian width) b=$(found cert.$n.$k.coupled width)
      at=$((k == 6 ? 6 : 0)) at=$((at + (n == 16) + 2 * (n == 32)))
      report "certificate width, n = $n, init scale $k: independent [${seen[at]}]" "> 0" "$a" "$a > 0"
      report "  coupled [${seen[at + 3]}]" "<= independent" "$b" "$b > 0 && $b <= $a"
      report "  max |f_0| of the coupled" "0.0" "$(found cert.$n.$k.coupled output)" "$(found cert.$n.$k.coupled output) == 0"
    done
    # Doublings are coarse: from here on between them.
    for i in gaussian coupled; do
      a=$(for n in 8 16 32; do echo "$n $(between cert.$n.$k.$i)"; done | exponent)
      report "  exponent in n, init scale $k, $i" "1.2 to 3" "$a" "$a >= 1.2 && $a <= 3"
    done
    b=$(for n in 8 16 32; do echo "$(between cert.$n.$k.coupled) $(between cert.$n.$k.gaussian)"; done |
      awk '{ s += log($1 / $2) } END { printf "%.2f", exp(s / NR) }')
    case $k in
      1) report "  coupled / independent, mean over n: seeds tell them hardly apart" "0.6 to 1.1" "$b" "$b >= 0.6 && $b <= 1.1" ;;
      6) report "  coupled / independent, mean over n" "<= 0.7" "$b" "$b <= 0.7" ;;
    esac
  done
}

drifts() {
  local m k i a b
  for k in 1 6; do
    for m in 1024 4096 16384; do
      for i in gaussian coupled; do
        later search drift.$m.$k.$i --data "d24.{}.h5" --until certificate --init $i --init-scale $k --target 1e-4 \
          --seeds $((seeds * 3 / 5)) --pass 1 --from $m --to $m
      done
    done
  done
  wait
  report "loss at the start, n = 24: coupled" "0.5 exactly" "$(found drift.4096.6.coupled loss_start)" \
    "$(found drift.4096.6.coupled loss_start) == 0.5"
  a=$(found drift.4096.6.gaussian loss_start)
  report "  independent at init scale 6 [7]" "> 3" "$(printf %.2f "$a")" "$a > 3"
  for k in 1 6; do
    for m in 1024 4096 16384; do
      a=$(found drift.$m.$k.gaussian drift) b=$(found drift.$m.$k.coupled drift)
      b=$(awk "BEGIN { printf \"%.3f\", $b / $a }")
      case $k in
        1) report "drift coupled / independent, n = 24, m = $m, init scale 1 [0.9]" "0.7 to 1.3" "$b" "$b >= 0.7 && $b <= 1.3" ;;
        6) report "drift coupled / independent, n = 24, m = $m, init scale 6 [0.5]" "<= 0.65" "$b" "$b <= 0.65" ;;
      esac
    done
    for i in gaussian coupled; do
      a=$(for m in 1024 4096 16384; do echo "$m $(found drift.$m.$k.$i drift)"; done | exponent)
      report "  drift in m, init scale $k, $i: exponent" "-0.8 to -0.4" "$a" "$a >= -0.8 && $a <= -0.4"
    done
  done
}

# Between kinks f is A cos(t - p), with one zero at most: n - 1 changes of sign take m + 1 >= n - 1.
half_circles() {
  local n m o i l k a y reference
  for n in 8 16 32 64; do
    half_circle $n half$n.h5
    y=$("$wingspan" kernel --kind ntk --data half$n.h5 --json)
    a=$(key "$y" least)
    y=$(awk "BEGIN { printf \"%.1f\", $(key "$y" fit) * $n / 0.5 }")
    reference=$(awk "BEGIN { split(\"3.4e-2 1.6e-2 7.9e-3 3.9e-3 214 948 3956 16120\", t, \" \"); k = log($n / 4) / log(2); print t[k], t[k + 4] }")
    report "half circle, n = $n: least eigenvalue of the limit [${reference% *}]" "within 2 %" "$(printf %.3g "$a")" "$a / ${reference% *} > 0.98 && $a / ${reference% *} < 1.02"
    report "  y' H^-1 y [${reference#* }]" "within 2 %" "$y" "$y / ${reference#* } > 0.98 && $y / ${reference#* } < 1.02"
  done
  for n in 8 16; do
    for m in $((n / 2)) $((n - 3)); do
      for i in gaussian coupled; do
        for o in gd adam gauss-newton; do
          later search never.$n.$m.$i.$o --data half$n.h5 --until sign --init $i --optimizer $o --steps 5000 --seeds 5 --pass 5 --from $m --to $m
        done
        for k in 1 4; do
          later search never.$n.$m.$i.logistic.$k --data half$n.h5 --until sign --init $i --init-scale $k --loss logistic --steps 5000 --seeds 5 --pass 5 --from $m --to $m
        done
      done
      wait
      a=$(for o in never.$n.$m.*; do found "$o" succeed; done | awk '{ s += $1 } END { print s }')
      report "half circle, n = $n: 50 runs of m = $m < n - 2 without sign error" "0" "$a" "$a == 0"
    done
    for l in squared logistic; do
      for k in 1 4; do
        for i in gaussian coupled; do
          later search least.$l.$k.$i --data half$n.h5 --until sign --init $i --init-scale $k --loss $l \
            --steps $((n == 8 ? 20000 : 60000)) --seeds 5 --pass 5 --from 8
        done
      done
    done
    wait
    for l in squared logistic; do
      for k in 1 4; do
        for i in gaussian coupled; do
          a=$(found least.$l.$k.$i width)
          report "  width for none in 5 of 5: $l, init scale $k, $i" "$((n - 2)) to 1024" "$a" "$a >= $n - 2 && $a <= 1024"
        done
      done
    done
  done
}

letter_D() {
  local n s seeds=25
  for n in 8 16 24 32; do
    for s in $(seq $seeds); do sphere $n 8 $((100 * n + s)) d$n.$s.h5 sign; done
  done
  certificates
  drifts
  half_circles
}
