@0xe9a47c5b13d20f86;
# What the nodes of a cell say to each other. The meaning of each message is told at the struct of
# the same name in lockcore/paxos/message.h.

using Cxx = import "/capnp/c++.capnp";
using Cmd = import "/lockcore/base/command.capnp";
$Cxx.namespace("holdfast::wire::peer");

interface Link {
  deliver @0 (messages :List(Message)) -> ();
  # One way, in order: the empty result only says that they were taken in, which bounds what is in
  # flight. The receiver may hold it back and answer a few deliveries at once.
}

struct Refusal {
  reason @0 :Text;
  diskLost @1 :Bool;
  removedBy @2 :UInt64;
}

struct Hello {
  node @0 :UInt64;
  cell @1 :UInt64;
  incarnation @2 :UInt64;
  startCount @3 :UInt64;
  processNonce @4 :UInt64;
  founding @5 :UInt8;
  promised @6 :Cmd.Ballot;
  highestAccepted @7 :UInt64;
  configVersion @8 :UInt64;
  protocol @9 :UInt16;
  address @10 :Text;
  cluster @11 :Text;
}

struct Entry {
  slot @0 :UInt64;
  ballotRound @1 :UInt64;
  ballotNode @2 :UInt64;
  kind @3 :UInt8;
  value @4 :Data;
  checksum @5 :UInt64;          # base::entry_checksum, verified on arrival
}

struct Config {
  cell @0 :UInt64;
  version @1 :UInt64;
  members @2 :List(Member);

  struct Member {
    id @0 :UInt64;
    incarnation @1 :UInt64;
    address @2 :Text;
    voter @3 :Bool;
  }
}

struct SnapshotPart {
  id @0 :UInt64;                # 0: that snapshot isn't to be had
  slot @1 :UInt64;
  totalBytes @2 :UInt64;
  offset @3 :UInt64;
  bytes @4 :Data;
  checksum @5 :UInt64;          # base::checksum_of, verified by whoever stores it
}

struct Message {
  ballotRound @0 :UInt64;       # of every message that has a ballot
  ballotNode @1 :UInt64;
  union {
    foundPropose @2 :Config;
    foundAck @3 :UInt64;        # cell
    foundCommit @4 :UInt64;     # cell
    probe @5 :Void;
    probeReply :group {
      yes @6 :Bool;
      promised @7 :Cmd.Ballot;
    }
    prepare @8 :UInt64;         # from
    promise :group {
      firstRetained @9 :UInt64;
      chosenUpto @10 :UInt64;
      entries @11 :List(Entry);
      part @12 :UInt32;
      parts @13 :UInt32;
    }
    accept :group {
      entries @14 :List(Entry);
      chosenUpto @15 :UInt64;
      confirm @16 :UInt64;
    }
    accepted :group {
      slots @17 :List(UInt64);
      confirm @18 :UInt64;
    }
    heartbeat :group {
      chosenUpto @19 :UInt64;
      confirm @20 :UInt64;
    }
    heartbeatReply :group {
      confirm @21 :UInt64;
      chosenUpto @22 :UInt64;
      applied @23 :UInt64;
      recorded @24 :UInt64;
    }
    reject @25 :Cmd.Ballot;     # promised
    fetch :group {
      from @26 :UInt64;
      to @27 :UInt64;
    }
    fetchReply :group {
      from @28 :UInt64;
      firstRetained @29 :UInt64;
      chosenUpto @30 :UInt64;
      entries @31 :List(Entry);
    }
    snapshotFetch :group {
      id @32 :UInt64;
      offset @33 :UInt64;
      maxBytes @34 :UInt64;
    }
    snapshotReply :group {
      asked @35 :UInt64;
      part @36 :SnapshotPart;
    }
    takeOver @37 :UInt64;       # chosenUpto
    clockQuery @38 :Int64;      # sent
    clockReply :group {
      asked @39 :Int64;
      clock @40 :Int64;
    }
    readIndexQuery :group {
      process @41 :UInt64;
      number @42 :UInt64;
    }
    readIndexReply :group {
      process @43 :UInt64;
      number @44 :UInt64;
      slot @45 :UInt64;
    }
  }
}
