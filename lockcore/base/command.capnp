@0xc1f0a3b5d7e90211;
# The bytes of the replicated log: batches of commands, and the answers kept for retries.
#
# These messages outlive the process that wrote them. Fields are only ever added, never renumbered.
# The meaning of each is told at the struct of the same name in lockcore/locks/command.h.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("holdfast::wire");

struct Ballot {
  round @0 :UInt64;
  node @1 :UInt64;
}

struct OpId {
  client @0 :UInt64;
  number @1 :UInt64;
  lowestUnanswered @2 :UInt64;
  answered @3 :List(UInt64);
}

struct Owner {
  host @0 :Text;
  pid @1 :UInt64;
  bootId @2 :Text;
  program @3 :Text;
  user @4 :Text;
  reason @5 :Text;
  version @6 :Text;
  startedAtMs @7 :UInt64;      # wall time, unix ms
}

enum Mode {
  null @0;
  concurrentRead @1;
  concurrentWrite @2;
  shared @3;                   # protected read
  protectedWrite @4;
  exclusive @5;
}

enum LockKind {
  lock @0;
  semaphore @1;
  election @2;
}

struct RegisterClient {
  ttlMs @0 :UInt64;            # 0: the cell's default
}

struct OpenLease {
  ttlMs @0 :UInt64;            # 0: the cell's default
  lockDelayMs @1 :UInt64;
  secret @2 :Data;             # 16 random bytes; empty: the leader makes them
  owner @3 :Owner;
  dropOnDisconnect @4 :Bool;   # see Cell.renew in rpc/holdfast.capnp
}

struct AdoptLease {
  lease @0 :UInt64;
  secret @1 :Data;
  owner @2 :Owner;             # from now on
}

struct LockRequest {
  name @0 :Text;
  mode @1 :Mode = exclusive;
  permits @2 :UInt32 = 1;
  capacity @3 :UInt32 = 0;
  kind @4 :LockKind;
}

struct Acquire {
  lease @0 :UInt64;
  holder @1 :UInt64;           # tells holds of one lease apart; chosen by the client
  agent @2 :UInt64;            # the thread or task that waits; chosen by the client
  locks @3 :List(LockRequest);
  wait @4 :Bool = true;
  reason @5 :Text;
  value @6 :Data;              # what the holder says of itself from its grant on
}

struct Release {
  lease @0 :UInt64;
  lock @1 :Text;
  token @2 :UInt64;
}

struct Convert {
  lease @0 :UInt64;
  lock @1 :Text;
  token @2 :UInt64;
  mode @3 :Mode = exclusive;   # the one to have afterwards
  agent @4 :UInt64;
  wait @5 :Bool = true;
}

struct SetHoldValue {
  lease @0 :UInt64;
  lock @1 :Text;
  token @2 :UInt64;
  value @3 :Data;
}

struct ForceRelease {
  lock @0 :Text;
  token @1 :UInt64;
  reason @2 :Text;
  by @3 :Text;                 # who does it, in words
}

struct Reconfigure {
  # The membership as it is to be, whole. Does nothing unless `version` is the next one.
  version @0 :UInt64;
  members @1 :List(Member);
  removed @2 :List(UInt64);    # ids of former members: never used again
  note @3 :Text;               # what is changed, in words, for the history

  struct Member {
    id @0 :UInt64;
    incarnation @1 :UInt64;
    address @2 :Text;
    voter @3 :Bool;
  }
}

struct KeyValue {
  key @0 :Text;
  value @1 :Data;
  createRevision @2 :UInt64;   # when it came to be
  revision @3 :UInt64;         # of its last change
  version @4 :UInt64;          # changes since it came to be, that one included
  lease @5 :UInt64;            # it goes when this lease ends; 0: it stays
}

enum Relation {
  equal @0;
  notEqual @1;
  less @2;
  greater @3;
}

struct Compare {
  key @0 :Text;                # or, of `holds`, a lock
  relation @1 :Relation;
  union {
    value @2 :Data;            # of a key that is not there: holds in no relation
    version @3 :UInt64;        # this and the next two: 0 for a key that is not there
    revision @4 :UInt64;
    create @5 :UInt64;
    holds @6 :UInt64;          # does this token hold that lock now? equal: yes, notEqual: no
  }
}

struct TxnOp {
  key @0 :Text;
  union {
    get @1 :Void;
    put :group {
      value @2 :Data;
      lease @3 :UInt64;        # bound to it: deleted when it ends; 0: to none
      sequential @4 :Bool;     # a ten-digit number is appended: unique and growing under this key
    }
    delete @5 :Void;
  }
}

struct Txn {
  compare @0 :List(Compare);
  then @1 :List(TxnOp);        # done if all compares hold
  orelse @2 :List(TxnOp);      # done if one doesn't
}

struct OpResult {              # of the operation at the same place
  union {
    none @0 :Void;             # a get of a key that is not there
    found @1 :KeyValue;        # a get
    stored @2 :KeyValue;       # a put; without the value, and without a key that was given in full
    deleted @3 :Bool;          # a delete: was it there?
  }
}

struct CheckpointLeases {
  decided @0 :Ballot;
  leases @1 :List(Remainder);

  struct Remainder {
    lease @0 :UInt64;
    leftMs @1 :UInt64;
  }
}

enum PolicyKind {
  drain @0;                    # nothing is granted under the prefix `name`
  prefixQuota @1;              # limits on what is under the prefix `name`
  ownerQuota @2;               # limits on what the user `name` has
}

struct Limits {                # 0: no limit
  leases @0 :UInt64;
  locks @1 :UInt64;            # held or waited for
  waiters @2 :UInt64;
  bytes @3 :UInt64;            # of keys and their values
}

struct SetPolicy {
  kind @0 :PolicyKind;
  name @1 :Text;
  end @2 :Bool;                # true: there is to be no such policy any more
  limits @3 :Limits;
  reason @4 :Text;
  by @5 :Text;                 # who does it, in words
}

struct Command {
  op @0 :OpId;
  union {
    registerClient @1 :RegisterClient;
    forgetClient @2 :Void;
    openLease @3 :OpenLease;
    closeLease @4 :UInt64;               # lease
    expireLeases :group {
      decided @5 :Ballot;
      leases @6 :List(UInt64);
    }
    acquire @7 :Acquire;
    cancelWait @8 :UInt64;               # the number of the acquire
    release @9 :Release;
    newLeader @10 :Ballot;
    convert @11 :Convert;
    setHoldValue @12 :SetHoldValue;
    forceRelease @13 :ForceRelease;
    advanceTime @14 :Ballot;             # decided in
    reconfigure @15 :Reconfigure;
    txn @16 :Txn;
    checkpointLeases @17 :CheckpointLeases;
    setPolicy @18 :SetPolicy;
    adoptLease @19 :AdoptLease;
  }
}

struct Batch {
  version @0 :UInt16;
  cellTimeMs @1 :UInt64;
  wallMs @2 :UInt64;
  commands @3 :List(Command);
}

struct Error {
  code @0 :UInt16;             # lockcore/base/error.h
  message @1 :Text;
  detail @2 :List(Detail);

  struct Detail {
    name @0 :Text;
    value @1 :Text;
  }
}

struct Answer {
  union {
    none @0 :Void;
    clientRegistered @1 :UInt64;
    leaseOpened :group {
      lease @2 :UInt64;
      ttlMs @3 :UInt64;
      secret @4 :Data;
      dropOnDisconnect @12 :Bool;
    }
    granted @5 :List(UInt64);  # tokens, one per lock, in the order of the request
    done @6 :UInt64;           # the revision at which it took effect
    waitCancelled @7 :Void;
    error @8 :Error;
    txnDone :group {
      succeeded @9 :Bool;      # the compares held
      revision @10 :UInt64;    # at which it took effect, or looked
      results @11 :List(OpResult);
    }
  }
}
