#!/bin/bash
# redis.sh start N [extra redis flags] | stop | wipe | pids
D=${PEERS:-build/peers}/data/redis; mkdir -p $D; D=$(cd $D && pwd)
case $1 in
start) N=$2; shift 2; eps=""; for i in $(seq 1 $N); do mkdir -p $D/n$i; setsid redis-server --bind 127.0.0.1 --port 2679$i --dir $D/n$i --appendonly yes --appendfsync always --save "" --maxclients 20000 --notify-keyspace-events "" "$@" >>$D/log.$i 2>&1 </dev/null & echo $! >$D/pid.$i; eps="$eps${eps:+,}127.0.0.1:2679$i"; done; echo $eps >$D/eps; echo $N >$D/N; for t in $(seq 1 100); do redis-cli -p 26791 ping 2>/dev/null | grep -q PONG && redis-cli -p 2679$N ping 2>/dev/null | grep -q PONG && break; sleep .1; done ;;
stop) for f in $D/pid.*; do [ -f $f ] || continue; p=$(cat $f); rm -f $f
    # A stale file's number may be another's by now; a process that was stopped must go on to end.
    case "$(readlink /proc/$p/cwd)" in $D/*) ;; *) continue ;; esac
    kill $p 2>/dev/null; kill -CONT $p 2>/dev/null; for t in $(seq 1 50); do [ -d /proc/$p ] || break; sleep .1; done; [ ! -d /proc/$p ] || kill -9 $p; done ;;
wipe) rm -rf $D/n? $D/log.* ;;
pids) echo $(for i in $(seq 1 $(cat $D/N)); do cat $D/pid.$i; done) | tr ' ' ',' ;;
esac
