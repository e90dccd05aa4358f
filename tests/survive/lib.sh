# lib.sh - what the scripts of this folder share: children, their end, a place of their own for
# what Open MPI leaves behind when it is killed.
make="$BUILD/tests/cli/make_data"
failed=0
patience=${WINGSPAN_TEST_PATIENCE:-1} # more where sanitizers make all of it slow
say() {
  echo "FAIL: $*"
  failed=1
}

# Open MPI's own files go with the folder, however a job ends.
own=/dev/shm/wingspan-test.$$
mkdir "$own" 2>/dev/null || own=$(mktemp -d)
trap 'rm -rf "$own"' EXIT
export TMPDIR=$own OMPI_MCA_btl_vader_backing_directory=$own

# children PID: the processes it has started
children() { cat /proc/"$1"/task/"$1"/children 2>/dev/null; }

# states PID...: what each process waits for, to explain a failure
states() {
  local pid
  for pid; do
    echo "$pid $(sed -n 's/^State:[[:space:]]*//p' /proc/"$pid"/status 2>/dev/null) in $(cat /proc/"$pid"/wchan 2>/dev/null);"
  done | tr '\n' ' '
}

# stamp FILE: which file of this name it is. An inode alone does not tell: that of the checkpoint before the
# last is free, and the next one is given it.
stamp() { stat -c '%i %.9Y %.9Z' "$1" 2>/dev/null; }

# renewed SECONDS FILE STAMP: is FILE another one than STAMP by then?
renewed() {
  local end=$((SECONDS + $1 * patience))
  while [ "$(stamp "$2")" = "$3" ]; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.05
  done
}

# gone SECONDS PID...: have they all ended by then?
gone() {
  local end=$((SECONDS + $1 * patience)) pid
  shift
  for pid; do
    while [ -d /proc/"$pid" ] && [ "$(sed -n 's/^State:\t\(.\).*/\1/p' /proc/"$pid"/status 2>/dev/null)" != Z ]; do
      [ $SECONDS -lt $end ] || return 1
      sleep 0.02
    done
  done
}

# Shared memory of runs that are no more.
nothing_shared_is_left() {
  local f pid
  for f in /dev/shm/wingspan.*; do
    pid=${f#/dev/shm/wingspan.}
    pid=${pid%%.*}
    [ -e "$f" ] && [ ! -d "/proc/$pid" ] && say "$f is left in shared memory"
  done
}
