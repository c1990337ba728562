@0xc1a7e05f9b3d4826;
# What `lockctl -o json` prints, one object a line, by capnp-json: 64-bit integers become strings,
# smaller ones and floats numbers (INTERFACES 3). Never sent or stored: fields may move freely.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("holdfast::cli::json");

struct Acquired {
  lock @0 :Text;
  lease @1 :Text;
  token @2 :UInt64;
  deadline @3 :UInt64;   # unix ms
}

struct LockAnswer {
  # Of `try`, `held` and `verify`: one of the three is there.
  lock @0 :Text;
  union {
    free @1 :Bool;
    held @2 :Bool;
    valid @3 :Bool;
  }
}

struct OpenedLease {
  lease @0 :Text;
  secret @1 :Text;
  ttlMs @2 :UInt32;
}

struct RenewedLease {
  lease @0 :Text;
  deadline @1 :UInt64;   # unix ms
}

struct Owner {
  host @0 :Text;
  pid @1 :UInt32;
  bootId @2 :Text;
  program @3 :Text;
  user @4 :Text;
  reason @5 :Text;
  version @6 :Text;
  startedAt @7 :UInt64;
}

struct Holder {
  lease @0 :Text;
  holder @1 :UInt64;
  mode @2 :Text;
  permits @3 :UInt32;
  token @4 :UInt64;
  acquiredAt @5 :UInt64;
  owner @6 :Owner;
}

struct Waiter {
  lease @0 :Text;
  holder @1 :UInt64;
  mode @2 :Text;
  permits @3 :UInt32;
  position @4 :UInt32;
  waitingSince @5 :UInt64;
  owner @6 :Owner;
}

struct LockInfo {
  name @0 :Text;
  kind @1 :Text;
  mode @2 :Text;         # of the holders; empty when free
  capacity @3 :UInt32;
  holders @4 :List(Holder);
  waiters @5 :List(Waiter);
  delayRemaining @6 :UInt32;   # ms
  value @7 :Void;        # null: locks carry no values yet
  revision @8 :UInt64;
  drain @9 :Text;        # why a drain keeps it from being granted; empty: none does
}

struct Event {
  revision @0 :UInt64;
  type @1 :Text;
  name @2 :Text;
  value @3 :Text;         # null: it isn't text, see valueBase64; or there is none
  valueBase64 @4 :Text;
  token @5 :UInt64;
  lease @6 :Text;
  owner @7 :Owner;
  cause @8 :Text;
  at @9 :UInt64;          # unix ms
  mode @10 :Text;
  permits @11 :UInt32;
  waitedMs @12 :UInt32;
  heldMs @13 :Float64;
  note @14 :Text;
}

struct Leadership {
  name @0 :Text;
  leader @1 :Leader;

  struct Leader {
    value @0 :Text;
    valueBase64 @1 :Text;
    token @2 :UInt64;
    owner @3 :Owner;
  }
}

struct Vacancy {
  name @0 :Text;
  leader @1 :Void;        # null: nobody leads
}

struct Blocker {
  lock @0 :Text;
  kind @1 :Text;
  lease @2 :Text;
  holder @3 :UInt64;
  mode @4 :Text;
  permits @5 :UInt32;
  token @6 :UInt64;
  position @7 :UInt32;
  ageMs @8 :Float64;
  remainingMs @9 :Float64;
  owner @10 :Owner;
  seen @11 :Bool;
  blockers @12 :List(Blocker);
}

struct Why {
  name @0 :Text;
  text @1 :Text;
  blockers @2 :List(Blocker);
  truncated @3 :Bool;
}

struct LeaseInfo {
  lease @0 :Text;
  ttlMs @1 :UInt32;
  remainingMs @2 :UInt32;
  openedAt @3 :UInt64;
  owner @4 :Owner;
  holds @5 :List(Hold);
  waits @6 :UInt32;

  struct Hold {
    lock @0 :Text;
    token @1 :UInt64;
  }
}

struct Members {
  cell @0 :Text;
  leader @1 :UInt32;       # node id; 0: none
  configVersion @2 :UInt32;  # +1 with every change
  members @3 :List(Member);

  struct Member {
    id @0 :UInt32;
    name @1 :Text;
    address @2 :Text;
    role @3 :Text;         # leader, follower, candidate, probing, learner, unreachable
    voter @4 :Bool;
    pid @5 :UInt32;
    version @6 :Text;
    ballot @7 :Text;       # "round.node"
    chosen @8 :UInt64;
    applied @9 :UInt64;
    recorded @10 :UInt64;
    lag @11 :UInt32;       # slots that it hasn't applied yet
    logBytes @12 :Float64;
    stateBytes @13 :Float64;
    clock @14 :Clock;
  }
}

# How a node's clock runs.
struct Clock {
  ppm @0 :Int32;         # faster than the leader's by so many millionths,
  errorPpm @1 :UInt32;   # give or take so many
  known @2 :Bool;        # else these two are 0
  trouble @3 :Text;      # whose clocks run otherwise; empty: nobody's
  standsBack @4 :Bool;   # a majority's do, so it doesn't lead
}

# What `member add` and its like print: the membership as it is then.
struct Membership {
  configVersion @0 :UInt32;
  members @1 :List(Member);

  struct Member {
    id @0 :UInt32;
    address @1 :Text;
    voter @2 :Bool;
  }
}

struct Leader {
  leader @0 :UInt32;
  address @1 :Text;
}

struct CellStatus {
  cell @0 :Text;
  leader @1 :UInt32;     # node id; 0: none
  revision @2 :UInt64;
  nodes @3 :List(Node);

  struct Node {
    id @0 :UInt32;
    name @1 :Text;
    address @2 :Text;
    role @3 :Text;
    pid @4 :UInt32;
    version @5 :Text;
    ballot @6 :Text;     # "round.node"
    chosen @7 :UInt64;
    applied @8 :UInt64;
    recorded @9 :UInt64;
    lag @10 :UInt32;
    waitingFor @11 :Text;
    leases @12 :UInt32;
    locks @13 :UInt32;
    holds @14 :UInt32;
    waiters @15 :UInt32;
    logBytes @16 :Float64;
    stateBytes @17 :Float64;
    clock @18 :Clock;
    damaged @19 :Float64;       # rows of its log, and records, found damaged since it started
    mendsThrough @20 :UInt64;   # it doesn't vote before it has this slot from the others; 0: whole
  }
}

struct Check {
  slot @0 :UInt64;
  agrees @1 :Bool;
  complete @2 :Bool;
  deep @3 :Bool;
  nodes @4 :List(Node);

  struct Node {
    id @0 :UInt32;
    name @1 :Text;
    verdict @2 :Text;
    digest @3 :Text;     # 16 hex digits
    damage @4 :Text;
  }
}

struct Backup {
  # Of `snapshot save` and `snapshot inspect`.
  file @0 :Text;
  slot @1 :UInt64;
  revision @2 :UInt64;
  at @3 :UInt64;         # unix ms of the last change in it
  leases @4 :UInt32;
  locks @5 :UInt32;
  holds @6 :UInt32;
  waiters @7 :UInt32;
  clients @8 :UInt32;
  events @9 :UInt32;
  bytes @10 :Float64;
}

struct Restored {
  # Of `snapshot restore`, one for each node.
  id @0 :UInt32;
  dataDir @1 :Text;
  cell @2 :Text;         # 16 hex digits
  revision @3 :UInt64;   # from here on
}

struct TopView {
  status @0 :CellStatus;
  contended @1 :List(ContendedLock);
  waits @2 :List(LongWait);
  owners @3 :List(BusyOwner);

  struct ContendedLock {
    lock @0 :Text;
    waiters @1 :UInt32;
    oldestSince @2 :UInt64;   # unix ms
  }
  struct LongWait {
    lock @0 :Text;
    lease @1 :Text;
    where @2 :Text;           # host:pid
    user @3 :Text;
    program @4 :Text;
    since @5 :UInt64;         # unix ms
  }
  struct BusyOwner {
    where @0 :Text;
    user @1 :Text;
    program @2 :Text;
    holds @3 :UInt32;
  }
}

struct TortureResult {
  clients @0 :UInt32;
  seconds @1 :Float64;
  grants @2 :Float64;
  notAcquired @3 :Float64;
  unavailable @4 :Float64;
  leasesLost @5 :Float64;
  fenced @6 :Float64;
  violations @7 :Float64;
  passed @8 :Bool;
}

struct BenchResult {
  workload @0 :Text;
  clients @1 :UInt32;
  connections @2 :UInt32;
  seconds @3 :Float64;
  operations @4 :Float64;
  opsPerSecond @5 :Float64;
  p50Us @6 :Float64;
  p90Us @7 :Float64;
  p99Us @8 :Float64;
  p999Us @9 :Float64;
  maxUs @10 :Float64;
  errors @11 :Float64;
}
