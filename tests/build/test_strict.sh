# Every source and test compiles without a warning of the strict build (launch/test --dev), which nobody
# makes every day. -O1, because without it intrinsics are macros, whose conversions are warned about.
set -u
export flags="-std=c11 -D_GNU_SOURCE -O1 -fsyntax-only -Wall -Wextra -Wshadow -Wconversion -Werror"
flags="$flags $(pkg-config --cflags hdf5-openmpi) -I include -I tests/harness"
cd "$SOURCE" || exit 1
for d in src/*/; do flags="$flags -I $d"; done
check() { mpicc $flags -I "$(dirname "$1")" "$1" || { echo "FAIL: $1"; return 1; }; }
export -f check
find src tests -name '*.c' -print0 | xargs -0 -P 2 -I{} bash -c 'check {}'
