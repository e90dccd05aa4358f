# lib.sh - shared by the scripts of this folder: packages, build, environment.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$top/launch/attend.sh"

# Open MPI refuses root and more ranks than cores unless told; one BLAS thread a rank.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# A node whose network falls silent is missed after half a minute, not after eight.
export OMPI_MCA_oob_tcp_keepalive_time=${OMPI_MCA_oob_tcp_keepalive_time:-15}
export OMPI_MCA_oob_tcp_keepalive_intvl=${OMPI_MCA_oob_tcp_keepalive_intvl:-5}
export OMPI_MCA_oob_tcp_keepalive_probes=${OMPI_MCA_oob_tcp_keepalive_probes:-3}

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

packages=(build-essential cmake ninja-build pkg-config git openmpi-bin libopenmpi-dev
  libhdf5-openmpi-dev libopenblas-dev libcmocka-dev libinih-dev libxxhash-dev libcjson-dev
  libscalapack-openmpi-dev zlib1g-dev gnuplot-nox)

have_everything() {
  local tool lib
  for tool in cc cmake ninja pkg-config mpirun mpicc gnuplot; do
    command -v "$tool" >/dev/null 2>&1 || return 1
  done
  for lib in hdf5-openmpi openblas scalapack-openmpi cmocka inih libxxhash libcjson zlib; do
    pkg-config --exists "$lib" || return 1
  done
}

# Install what is missing, and nothing else.
need_packages() {
  local missing=() p sudo=""
  have_everything && [ $# -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null 2>&1; then
    have_everything && return 0
    die "these are needed and there is no apt here to install them: a C compiler, CMake, Ninja," \
      "pkg-config, Open MPI, HDF5 with parallel support, OpenBLAS, ScaLAPACK, cmocka, inih, xxHash, cJSON," \
      "zlib, gnuplot (Debian: ${packages[*]})"
  fi
  for p in "${packages[@]}" "$@"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 ||
      die "please install as root: apt-get install ${missing[*]}"
    sudo=sudo
  fi
  say "installing: ${missing[*]}"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
}

# build PRESET FOLDER: configure once, compile what changed.
build() {
  local log
  log=$(mktemp)
  if ! { { [ -f "$top/$2/build.ninja" ] || (cd "$top" && cmake --preset "$1" -G Ninja); } &&
    cmake --build "$top/$2"; } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    rm -f "$log"
    die "the build failed"
  fi
  rm -f "$log"
}

run() {
  say "\$ $*"
  "$@"
}
