# Every source is also good C for clang, with which launch/fuzz builds; for clang 14, the one it installs,
# without a warning. Skipped where there is none.
set -u
clang=$(command -v clang-14 || command -v clang) || { echo "no clang here"; exit 77; }
export clang OMPI_CC=$clang
export flags="-std=c11 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Wno-unused-command-line-argument $(pkg-config --cflags hdf5-openmpi)"
[ "${clang##*/}" != clang-14 ] || flags="$flags -Werror"
cd "$SOURCE" || exit 1
check() { mpicc $flags -I include -I "$(dirname "$1")" "$1" || { echo "FAIL: $1"; return 1; }; }
export -f check
find src -name '*.c' -print0 | xargs -0 -P 2 -I{} bash -c 'check {}'
