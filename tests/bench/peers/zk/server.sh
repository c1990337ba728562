#!/bin/bash
# zk.sh start N | startnode I N | stop | wipe | pids     env: TICK (2000) EXTRA (extra zoo.cfg lines) HEAP (2g)
D=${PEERS:-build/peers}/data/zk; mkdir -p $D; D=$(cd $D && pwd)
: ${TICK:=2000} ${HEAP:=2g}
node() { local i=$1 N=$2; mkdir -p $D/n$i; echo $i >$D/n$i/myid
  { echo tickTime=$TICK; echo initLimit=10; echo syncLimit=5; echo dataDir=$D/n$i; echo clientPort=2181$i; echo clientPortAddress=127.0.0.1; echo maxClientCnxns=0; echo clientPortListenBacklog=4096; echo admin.enableServer=false; echo forceSync=yes; echo "4lw.commands.whitelist=*"
    if [ $N -gt 1 ]; then for j in $(seq 1 $N); do echo server.$j=127.0.0.1:2281$j:2381$j; done; fi; printf "$EXTRA"; } >$D/n$i/zoo.cfg
  mkdir -p $D/conf$i; printf 'log4j.rootLogger=WARN, F\nlog4j.appender.F=org.apache.log4j.FileAppender\nlog4j.appender.F.File=%s/log.%s\nlog4j.appender.F.layout=org.apache.log4j.PatternLayout\nlog4j.appender.F.layout.ConversionPattern=%%d %%-5p %%c{1} %%m%%n\n' $D $i >$D/conf$i/log4j.properties
  J=/usr/share/java
  setsid java -Xmx$HEAP -Xms$HEAP $JOPT -Dzookeeper.jmx.log4j.disable=true -Djute.maxbuffer=8388608 -cp "$D/conf$i:$(tr '\n' ':' <$(dirname $0)/classpath)" org.apache.zookeeper.server.quorum.QuorumPeerMain $D/n$i/zoo.cfg >>$D/out.$i 2>&1 </dev/null &
  echo $! >$D/pid.$i; }
case $1 in
start) N=$2; eps=""; for i in $(seq 1 $N); do node $i $N; eps="$eps${eps:+,}127.0.0.1:2181$i"; done; echo $eps >$D/eps; echo $N >$D/N
  for t in $(seq 1 150); do ok=0; for i in $(seq 1 $N); do exec 3<>/dev/tcp/127.0.0.1/2181$i && { printf srvr >&3; timeout 2 cat <&3 | grep -q Mode && ok=$((ok+1)); exec 3>&-; }; done 2>/dev/null; [ $ok = $N ] && break; sleep .2; done; [ $ok = $N ] || echo "zk did not start" ;;
startnode) node $2 $3 ;;
stop) for f in $D/pid.*; do [ -f $f ] || continue; p=$(cat $f); rm -f $f
    # A stale file's number may be another's by now; a process that was stopped must go on to end.
    grep -q "$D" /proc/$p/cmdline 2>/dev/null || continue
    kill $p 2>/dev/null; kill -CONT $p 2>/dev/null; for t in $(seq 1 50); do [ -d /proc/$p ] || break; sleep .1; done; [ ! -d /proc/$p ] || kill -9 $p; done ;;
wipe) rm -rf $D/n? $D/log.* $D/out.* ;;
pids) echo $(for i in $(seq 1 $(cat $D/N)); do cat $D/pid.$i; done) | tr ' ' ',' ;;
esac
