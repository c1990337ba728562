#!/bin/bash
# etcd.sh start N [extra etcd flags] | startnode I N [flags] | stop | wipe      (N = 1 or 3)
# prints nothing; pids in $PEERS/data/…/pid.$i ; eps in $PEERS/data/…/eps
D=${PEERS:-build/peers}/data/etcd; mkdir -p $D; D=$(cd $D && pwd)
node() { # i N flags...
  local i=$1 N=$2; shift 2; local cl=""
  for j in $(seq 1 $N); do cl="$cl${cl:+,}n$j=http://127.0.0.1:2380$j"; done
  setsid etcd --name n$i --data-dir $D/n$i --listen-client-urls http://127.0.0.1:2379$i --advertise-client-urls http://127.0.0.1:2379$i \
    --listen-peer-urls http://127.0.0.1:2380$i --initial-advertise-peer-urls http://127.0.0.1:2380$i \
    --initial-cluster $cl --initial-cluster-token peers --initial-cluster-state new --log-level warn --logger zap --enable-v2=false "$@" >>$D/log.$i 2>&1 </dev/null &
  echo $! >$D/pid.$i
}
case $1 in
start) N=$2; shift 2; eps=""; for i in $(seq 1 $N); do node $i $N "$@"; eps="$eps${eps:+,}127.0.0.1:2379$i"; done; echo $eps >$D/eps; echo $N >$D/N
  for t in $(seq 1 100); do ETCDCTL_API=3 etcdctl --endpoints $eps endpoint health >/dev/null 2>&1 && break; sleep .1; done ;;
startnode) i=$2 N=$3; shift 3; node $i $N "$@" ;;
stop) for f in $D/pid.*; do [ -f $f ] || continue; p=$(cat $f); rm -f $f
    # A stale file's number may be another's by now; a process that was stopped must go on to end.
    grep -q "$D" /proc/$p/cmdline 2>/dev/null || continue
    kill $p 2>/dev/null; kill -CONT $p 2>/dev/null; for t in $(seq 1 50); do [ -d /proc/$p ] || break; sleep .1; done; [ ! -d /proc/$p ] || kill -9 $p; done ;;
wipe) rm -rf $D/n? $D/log.* ;;
pids) echo $(for i in $(seq 1 $(cat $D/N)); do cat $D/pid.$i; done) | tr ' ' ',' ;;
esac
