# node.sh [SECONDS] - a job over two nodes, as well as one machine can have them: Open MPI starts a daemon a
# "node" through an agent that only gives it another host name. A node is lost, its daemon alone is lost,
# mpirun is lost, a network falls silent, a node stands still (for SECONDS): the job ends within seconds and
# says which node it was, or goes on; no process is left; launch/local.sh goes on by itself. 77 where there
# are no namespaces.
set -u
. "$SOURCE/tests/survive/lib.sh"
still=${1:-3}
unshare -u true 2>/dev/null || { echo "host names of one's own cannot be had here"; exit 77; }
exec 2>shell.txt # bash tells of every process that is killed
cat >agent <<'END'
#!/bin/bash
# agent HOST COMMAND...: as ssh would, but here
host=$1
shift
into=()
[ "$host" = nodeb ] && [ -n "${NETWORK:-}" ] && into=(ip netns exec "$NETWORK")
exec "${into[@]}" unshare -u bash -c 'hostname "$0"; eval "$*"' "$host" "$@"
END
chmod +x agent
printf 'nodea slots=2\nnodeb slots=2\n' >hosts
export OMPI_MCA_plm_rsh_agent=$PWD/agent OMPI_MCA_orte_default_hostfile=$PWD/hosts
export OMPI_MCA_oob_tcp_if_include=lo OMPI_MCA_btl_tcp_if_include=lo
"$make" good good.h5 || exit 1
train="--data good.h5 --width 301 --batch 7 --shift 1 --quiet"

# look JOB: $job is its mpirun; ${daemon[@]} those of the nodes, ${on_b[@]} the ranks of nodeb, ${all[@]} all ranks
look() {
  local d end=$((SECONDS + 20 * patience))
  job=$1
  while :; do
    daemon=() all=() on_b=()
    for d in $(children $job); do
      [ "$(cat /proc/$d/comm 2>/dev/null)" = orted ] || d=$(children $d | cut -d ' ' -f 1) # the agent's shell
      [ "$(cat /proc/${d:-none}/comm 2>/dev/null)" = orted ] || continue
      daemon+=($d)
      all+=($(children $d))
      [ "$(nsenter -t $d -u hostname)" = nodeb ] && node_b=$d && on_b=($(children $d))
    done
    [ ${#all[@]} -eq 4 ] && [ ${#on_b[@]} -eq 2 ] && return
    [ -d /proc/$job ] && [ $SECONDS -lt $end ] || break
    sleep 0.05
  done
  say "$what: four ranks on two nodes do not run: $(cat err.txt)"
}

# start FILE: a long run over both nodes, once it has a checkpoint
start() {
  local end=$((SECONDS + 30 * patience))
  rm -f $1
  $MPIRUN -n 4 "$WINGSPAN" train $train --checkpoint $1 --checkpoint-every 100 --steps 100000000 >out.txt 2>err.txt </dev/null &
  look $!
  while [ ! -e $1 ] && [ -d /proc/$job ] && [ $SECONDS -lt $end ]; do sleep 0.02; done
}

# ended SECONDS: the job ends by then, with a failure, and leaves no process of any node
ended() {
  gone "$1" $job || { say "$what: the job runs on" && kill -KILL $job "${daemon[@]}" "${all[@]}"; }
  wait $job && say "$what: no failure is told"
  gone "$1" "${daemon[@]}" "${all[@]}" || say "$what: processes are left"
}

# same FILE: go on with it on one node, and compare with a run from the beginning
same() {
  local step
  step=$("$WINGSPAN" info $1 --json | sed -n 's/.*"step":[[:space:]]*\([0-9]*\).*/\1/p')
  (unset OMPI_MCA_plm_rsh_agent OMPI_MCA_orte_default_hostfile
    $MPIRUN -n 3 "$WINGSPAN" train --resume $1 --steps $((step + 5)) --quiet) >/dev/null || say "$what: no resume"
  "$WINGSPAN" train $train --checkpoint whole.h5 --steps $((step + 5)) >/dev/null
  for f in $1 whole.h5; do "$WINGSPAN" export $f --out $f.weights >/dev/null; done
  cmp $1.weights whole.h5.weights || say "$what: other weights"
}

what="a node is lost"
start lost.h5
began=$(date +%s%N)
kill -KILL "$node_b" "${on_b[@]}"
ended 10
echo "$what: all is gone after $((($(date +%s%N) - began) / 1000000)) ms: $(grep -m 1 nodeb err.txt)"
grep -q 'nodeb' err.txt || say "$what: nobody is told which: $(cat err.txt)"
same lost.h5
what="a node's daemon is lost"
start daemon.h5
kill -KILL "$node_b"
ended 10
grep -q 'nodeb' err.txt || say "$what: nobody is told which: $(cat err.txt)"
same daemon.h5
what="mpirun is lost"
start mpirun.h5
kill -KILL $job
ended 10
same mpirun.h5
what="a node stands still"
start still.h5
kill -STOP "$node_b" "${on_b[@]}"
sleep "$still"
[ -d /proc/$job ] || say "$what: the job has ended"
kill -CONT "$node_b" "${on_b[@]}"
renewed 120 still.h5 "$(stamp still.h5)" || say "$what: the job does not go on: $(states $job "$node_b" "${on_b[@]}")"
kill -USR1 $job
gone 20 $job
wait $job
[ $? = 3 ] || say "$what: no stop on request: $(cat err.txt)"
same still.h5

what="local.sh --retry over two nodes"
"$SOURCE/launch/local.sh" --retry 3 4 train $train --checkpoint retry.h5 --checkpoint-every 100 --steps 6000 \
  >out.txt 2>err.txt </dev/null &
script=$!
for i in 1 2; do
  before=$(stamp retry.h5)
  for k in $(seq 600); do
    mpirun_is=$(children $script | tr ' ' '\n' | head -n 1)
    [ -e retry.h5 ] && [ "$(stamp retry.h5)" != "$before" ] && [ "$(cat /proc/"$mpirun_is"/comm 2>/dev/null)" = mpirun ] && break
    [ -d /proc/$script ] || break
    sleep 0.02
  done
  look "$mpirun_is"
  kill -KILL "$node_b" "${on_b[@]}"
  gone 10 "$mpirun_is" || say "$what: the job runs on"
done
gone 150 $script || say "$what does not end"
wait $script || say "$what fails: $(cat err.txt)"
[ "$(grep -c 'goes on from retry.h5' err.txt)" = 2 ] || say "$what does not tell of two losses: $(cat err.txt)"
same retry.h5

# A cable is pulled: nobody sends a word any more. Only Open MPI's keepalive can tell (launch/lib.sh sets it).
what="the network of a node is gone"
export NETWORK=wingspan-$$
link=ws$$ net=198.18.$(($$ % 250))
if ip netns add $NETWORK 2>/dev/null && trap 'ip link del ${link}a; ip netns del $NETWORK; rm -rf "$own"' EXIT &&
  ip link add ${link}a type veth peer name ${link}b && ip link set ${link}b netns $NETWORK &&
  ip addr add $net.1/24 dev ${link}a && ip link set ${link}a up && ip netns exec $NETWORK ip link set lo up &&
  ip netns exec $NETWORK ip addr add $net.2/24 dev ${link}b && ip netns exec $NETWORK ip link set ${link}b up; then
  export OMPI_MCA_oob_tcp_if_include=$net.0/24 OMPI_MCA_btl_tcp_if_include=$net.0/24
  export OMPI_MCA_oob_tcp_keepalive_time=3 OMPI_MCA_oob_tcp_keepalive_intvl=1 OMPI_MCA_oob_tcp_keepalive_probes=3
  start net.h5
  began=$(date +%s%N)
  ip link set ${link}a down
  ended 20
  echo "$what: all is gone after $((($(date +%s%N) - began) / 1000000)) ms"
  grep -q 'nodeb' err.txt || say "$what: nobody is told which: $(cat err.txt)"
  ip link set ${link}a up
  same net.h5
else
  echo "networks of one's own cannot be had here: that one is left out"
fi
nothing_shared_is_left
exit $failed
