# A file of a room compiles with an include of a room below, and does not with one above.
set -u
rooms=(core linalg io sketch index kernel model optim train cli)
header=(err.h blas.h dataset.h sketch.h index.h ntk.h net.h optim.h train.h)
failed=0
compiles() { # room, header
  printf '#include "wingspan/%s"\nint nothing;\n' "$2" >t.c
  mpicc -std=c11 -I "$BUILD/rooms/$1" -c t.c -o t.o 2>/dev/null
}
for i in "${!rooms[@]}"; do
  for j in "${!header[@]}"; do
    if compiles "${rooms[i]}" "${rooms[j]}/${header[j]}"; then got=yes; else got=no; fi
    if [ "$j" -le "$i" ]; then want=yes; else want=no; fi
    [ $got = $want ] || { echo "FAIL: ${rooms[i]} includes ${rooms[j]}: $got"; failed=1; }
  done
done
# Only io names HDF5, only linalg BLAS, only cli has main and exit.
cd "$SOURCE/src"
grep -rl 'hdf5\.h' . | grep -v '^\./io/' && { echo "FAIL: hdf5.h outside io"; failed=1; }
grep -rl 'cblas' . | grep -v '^\./linalg/' && { echo "FAIL: BLAS outside linalg"; failed=1; }
grep -rlE 'blacs_|\bp?d(potr|syev|geqr|trtr)' . | grep -v '^./linalg/' && { echo "FAIL: LAPACK or BLACS outside linalg"; failed=1; }
grep -rlE '^int main\(|(^|[^_a-z])exit\(' --include='*.c' . | grep -v '^\./cli/' && { echo "FAIL: main or exit outside cli"; failed=1; }
exit $failed
