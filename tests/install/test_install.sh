# wingspan is installed, and another program links it: by pkg-config and by CMake, on 2 ranks.
set -eu
prefix="$PWD/a prefix"
cmake --install "$BUILD" --prefix "$prefix" >/dev/null
"$prefix/bin/wingspan" --version

export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name wingspan.pc)")
# pkg-config writes a blank in a path as a backslash and a blank: eval reads it back.
eval "cc -std=c11 '$SOURCE/tests/install/example.c' -o by_pkg_config $(pkg-config --cflags --libs wingspan)"
$MPIRUN -n 2 ./by_pkg_config "$SOURCE/data/digits.h5" >one.txt
cat one.txt
grep -q '^10 steps, loss .*, test accuracy 0\.[0-9]*$' one.txt

mkdir project
cp "$SOURCE/tests/install/example.c" project
cat >project/CMakeLists.txt <<'P'
cmake_minimum_required(VERSION 3.22)
project(example C)
find_package(wingspan REQUIRED)
add_executable(example example.c)
target_link_libraries(example PRIVATE wingspan::wingspan)
P
cmake -S project -B project/build -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build project/build >/dev/null
$MPIRUN -n 1 project/build/example "$SOURCE/data/digits.h5" >two.txt
cmp one.txt two.txt
