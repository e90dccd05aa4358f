# N  leverage scores of tensor products: Woodruff, Zandieh, arXiv:2202.04515
# coherent N SEED FILE: features that decay, 4 coordinates that are 30 on one sample in 50, a last
# quarter of near-duplicates
coherent() {
  awk -v n="$1" -v seed="$2" '
    function u() { return (s = (s * 16807) % 2147483647) / 2147483647 }
    function g(  v) { v = u(); return sqrt(-2 * log(v)) * cos(6.283185307179586 * u()) }
    BEGIN { s = seed * 7919 + 1; d = 32
      for (i = 0; i < 10; i++) u()
      for (i = 0; i < n; i++) {
        like = i < 3 * n / 4 ? i : i - 3 * n / 4
        for (j = 0; j < d - 4; j++) {
          x[i, j] = like == i ? g() / (j + 1) : x[like, j] + 0.01 * g()
          printf "%.6f,", x[i, j] }
        for (; j < d; j++) printf "%d,", like % 50 == j - (d - 4) ? 30 : 0
        printf "%.6f\n", g() } }' >coherent.csv
  "$wingspan" convert --input coherent.csv --out "$3" --header no >/dev/null
}

# iterations KIND DAMPING FILE words...: to 1e-8, in the first step, median of three seeds
iterations() {
  local kind=$1 damping=$2 file=$3 s
  shift 3
  for s in 1 2 3; do
    train $file --prepare none --optimizer gauss-newton --steps 1 --seed $s --cg-tolerance 1e-8 --damping "$damping" \
      --preconditioner "$kind" "$@"
    values $file cg_iterations
  done | sort -g | sed -n 2p
}

letter_N() {
  local k m n least most plain last=0
  coherent 200 1 c.h5
  plain=$(iterations none 3e-4 c.h5 --width 4096 --shift 0)
  report "coherent rows, n = 200: iterations to 1e-8 of plain CG" "> 200" "$plain" "$plain > 200"
  k=$(iterations leverage 3e-4 c.h5 --width 4096 --shift 0)
  report "  with 8 n rows drawn by leverage" "<= 24" "$k" "$k <= 24"
  for k in countsketch osnap srht tensorsketch tensorsrht; do
    n=$(iterations $k 3e-4 c.h5 --width 4096 --shift 0)
    report "  with a $k of 8 n rows" "<= 24" "$n" "$n <= 24"
  done
  least=1000 most=0
  for k in 1e-2 1e-3 1e-4 1e-5 1e-6; do
    n=$(iterations leverage $k c.h5 --width 4096 --shift 0)
    least=$((n < least ? n : least)) most=$((n > most ? n : most))
    m=$(iterations none $k c.h5 --width 4096 --shift 0)
    report "  plain CG, damping $k" "> $last" "$m" "$m > $last"
    last=$m
  done
  report "  by leverage, most by least over these dampings" "<= 1.5" \
    "$(awk "BEGIN { printf \"%.2f\", $most / $least }")" "$most / $least <= 1.5"
  sphere 48 32 1 s.h5
  for k in leverage countsketch osnap srht tensorsketch tensorsrht; do
    least=1000 most=0
    for m in 1024 8192 65536; do
      n=$(iterations $k 1e-6 s.h5 --width $m --shift 0.5)
      least=$((n < least ? n : least)) most=$((n > most ? n : most))
    done
    report "random rows, n = 48, m = 1024 to 65536: $k, most" "<= 25" "$most" "$most <= 25"
    report "  spread over m, by most" "<= 0.2" "$(awk "BEGIN { printf \"%.2f\", ($most - $least) / $most }")" \
      "$most - $least <= 0.2 * $most"
  done
}
