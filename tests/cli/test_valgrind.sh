# One rank under valgrind: a short run, a resume and an evaluation without a bad access of our own.
set -u
command -v valgrind >/dev/null || { echo "valgrind is missing"; exit 77; }
export WINGSPAN_SIMD=avx2 # valgrind does not know AVX-512
make="$BUILD/tests/cli/make_data"
supp=$(ls /usr/share/openmpi/openmpi-valgrind.supp 2>/dev/null)
check() {
  valgrind --quiet --error-exitcode=9 --errors-for-leak-kinds=none ${supp:+--suppressions=$supp} \
    --suppressions="$SOURCE/tests/harness/mpi.supp" "$WINGSPAN" "$@" >log.txt 2>&1
  code=$?
  [ $code = 0 ] || { echo "FAIL ($code): $*"; head -n 60 log.txt; exit 1; }
}
"$make" good good.h5 || exit 1
for index in scan dtree wtree halfspace certified quantized lsh; do
  check train --data good.h5 --width 101 --batch 7 --epochs 2 --index $index --checkpoint run.h5 --quiet
done
check train --data good.h5 --width 101 --batch 7 --epochs 2 --optimizer adam --bias trained --checkpoint a.h5 --quiet
check train --resume a.h5 --epochs 3 --quiet
check eval a.h5 --data good.h5
check predict a.h5 --data good.h5 --out p.h5
