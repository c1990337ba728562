@0xd3b8f7a1c2e40597;
# Holdfast's RPC: what clients and peers say to a node. One port serves both.
#
# To write a client in another language, four rules are enough:
#  1. Every expected outcome is a value in the results (`answer`, `error`), never an exception. An
#     exception means that the connection broke or the message was malformed.
#  2. Any node answers any call. One that is not the active leader answers `notLeader`; the detail
#     "leader" is the leader's address, when known. Follow it.
#  3. Every mutation carries an OpId (Command.OpId): the client's id, a number that it never uses
#     for anything else, the lowest number that it has no answer for, and the numbers above that one
#     whose answers it got since it last said so. If the outcome is unknown, because the connection
#     broke or time ran out, send the *same* operation with the *same* number again, to any node, as
#     often as needed: it takes effect once, and every copy gets the first one's answer.
#  4. A client may count on a lease until `time of sending + ttl * (1 - 2ε)`, on a clock that
#     counts suspend, where the sending is that of the renewal attempt that was answered, or the
#     *first* attempt of the open.
# The schema only ever grows.

using Cxx = import "/capnp/c++.capnp";
using Cmd = import "/lockcore/base/command.capnp";
using Peer = import "/rpc/peer.capnp";
$Cxx.namespace("holdfast::wire");

const protocolVersion :UInt16 = 1;

interface Operator {
  # What an operator asks of one node, whatever its role.

  readSnapshot @0 (id :UInt64, offset :UInt64, maxBytes :UInt64, atLeast :UInt64)
      -> (part :Peer.SnapshotPart, error :Cmd.Error);
  # A part of a backup: of the bytes of a database that holds the whole state after one slot. `id` 0
  # begins one, of a slot that is not below `atLeast`; 0: what this node has applied by now. It is
  # to be had as long as somebody goes on reading and nobody asks for a newer one; after that
  # `error` is `compacted`. Whoever begins anew asks for at least the slot that it had.

  barrier @1 () -> (slot :UInt64, error :Cmd.Error);
  # The leader's: proposes a no-op. Every node that applies it digests its record as of this slot:
  # NodeStatus.digestSlot and digest say what came of it.
}

interface Holdfast {
  # The bootstrap capability: says who one is, and gets what one may do.

  enter @0 (protocol :UInt16, library :Text) -> (cell :Cell, protocol :UInt16, version :Text);
  # For clients. `protocol` of the result is the highest that both sides speak. A node that has no
  # room for another client answers with an exception of type `overloaded`, and hangs up.

  peer @1 (hello :Peer.Hello) -> (hello :Peer.Hello, link :Peer.Link, refusal :Peer.Refusal);
  # For nodes of the same cell. `refusal` set: go away, and why.

  operate @2 () -> (node :Operator);
}

interface Cell {
  register @0 (ttlMs :UInt64) -> (answer :Cmd.Answer, client :ClientRecord);
  # Makes a client record, which lives while it is used and for ttlMs after (0: the default). Calls
  # on `client` may be sent at once, before this one returns.

  attach @1 (client :UInt64) -> (client :ClientRecord);
  # The same client, on this node. Never fails; an unknown id is refused by the first mutation.

  renew @2 (leases :List(UInt64), client :UInt64) -> (alive :List(Bool), error :Cmd.Error);
  # Renews all of them at once. alive[i] false: that lease is gone. `error` set: none was renewed.
  # client: whose leases they are, so that one from whom a lease was adopted is told that it is
  # gone; 0: whoever knows their ids.

  describe @3 (name :Text) -> (lock :LockInfo, error :Cmd.Error, revision :UInt64);
  # Holders and waiters of one lock, also of a free one. Linearizable.

  locks @4 (prefix :Text, after :Text, limit :UInt32)
      -> (locks :List(LockInfo), more :Bool, error :Cmd.Error);
  # Locks whose names begin with prefix, ascending, above `after`. Pages: go on from the last name.

  lease @5 (id :UInt64) -> (lease :LeaseInfo, error :Cmd.Error);
  leases @6 (after :UInt64, limit :UInt32)
      -> (leases :List(LeaseInfo), more :Bool, error :Cmd.Error);

  status @7 (verify :Bool) -> (status :NodeStatus);
  # Of the node asked, whatever its role. `verify`: it begins to look at every page and row of its
  # databases, if it doesn't already; `verifications` counts when that is done.

  verify @8 (name :Text, token :UInt64) -> (valid :Bool, error :Cmd.Error);
  # Does this token hold this lock now? Linearizable.

  events @9 (name :Text, exact :Bool, after :UInt64, fromNow :Bool, maxAgeMs :UInt64, limit :UInt32,
             waitMs :UInt32, stale :Bool)
      -> (events :List(Event), upto :UInt64, revision :UInt64, error :Cmd.Error);
  # The log of what happened, read as one reads Kafka's: the events with a revision above `after`
  # whose lock or key is `name` (not exact: begins with it; "": all, leases too), oldest first.
  # after 0: from the oldest that is kept. fromNow: none, but `upto`, to go on from. maxAgeMs, if
  # not 0: not those that are older, by wall time.
  # There may be none, or fewer than there are: go on after `upto`, through which everything was
  # looked at. `revision` is the newest that the node knows of; with upto equal to it there is no
  # more for now. If there is nothing to tell, the call waits for waitMs at most (its limit: 60 s).
  # So a watch is this call, again and again; a watcher that doesn't ask costs the node nothing,
  # and one that comes back after an outage goes on where it was, on any node.
  # error `compacted`: what follows `after` is not kept any more; detail "oldest" is the first
  # revision that may be. stale: any node answers, from what it knows, instead of the leader.

  sql @10 (query :Text, limit :UInt32)
      -> (columns :List(Text), rows :List(SqlRow), more :Bool, error :Cmd.Error);
  # One SELECT over the record of the node asked, whatever its role. Secrets read as NULL.

  why @11 (name :Text, lease :UInt64)
      -> (blockers :List(Blocker), truncated :Bool, revision :UInt64, error :Cmd.Error);
  # Who is in the way: of whoever asked for this lock now, exclusively; with a name of "", of all
  # that this lease waits for. And who is in their way, and so on. Linearizable.

  transferLeader @12 (to :UInt64) -> (leader :UInt64, error :Cmd.Error);
  # The leader hands over to this voter, or, if `to` is 0, to the one that is furthest. Returns when
  # another node leads.

  changeMember @13 (change :MemberChange) -> (config :Peer.Config, error :Cmd.Error);
  # One change of who belongs to the cell. It says how things are to be: what is so already is
  # answered with the configuration as it is, and whoever doesn't know the outcome asks again.

  get @14 (key :Text, stale :Bool)
      -> (found :Bool, pair :Cmd.KeyValue, revision :UInt64, ageMs :UInt64, error :Cmd.Error);
  # One key, by whichever node is asked. Linearizable, for which it asks the leader from where on
  # what it knows is new enough; if there is none, notLeader. If the read is `stale` it answers at
  # once, from what it knows, and says how old that is: as of `revision`, and `ageMs` after it
  # last heard from a leader. The leader's own answer has the age 0.

  keys @15 (prefix :Text, after :Text, limit :UInt32, stale :Bool)
      -> (keys :List(Cmd.KeyValue), more :Bool, revision :UInt64, ageMs :UInt64, error :Cmd.Error);
  # Keys that begin with prefix, ascending, above `after`. Pages: go on from the last key; each page
  # is of its own revision.

  policies @16 () -> (policies :List(PolicyInfo), error :Cmd.Error);
  # All drains and quotas.
}

struct MemberChange {
  node @0 :UInt64;
  union {
    add :group {                # as a learner
      address @1 :Text;
      incarnation @2 :UInt64;   # of the node that joins; 0: it is an operator who asks
    }
    promote @3 :Void;           # to a voter, if it has caught up
    remove @4 :Void;            # its id is never used again
    update @5 :Text;            # its address
  }
}

interface ClientRecord {
  # Mutations. Each answer is recorded until the client says that it got it.

  openLease @0 (op :Cmd.OpId, open :Cmd.OpenLease) -> (answer :Cmd.Answer, lease :Lease);
  # `lease` is null for who keeps very many of them on one connection already.
  closeLease @1 (op :Cmd.OpId, lease :UInt64) -> (answer :Cmd.Answer);
  acquire @2 (op :Cmd.OpId, acquire :Cmd.Acquire) -> (answer :Cmd.Answer);
  # One lock or up to 64, all or none; `granted` has a token for each, in the order of the request.
  # Returns when it is granted or refused; a dropped call ends the notification, never the wait.
  cancelWait @3 (op :Cmd.OpId, target :UInt64) -> (answer :Cmd.Answer);
  # Settles the number of an acquire or convert: cancelled for good, or `granted` if that was first.
  release @4 (op :Cmd.OpId, release :Cmd.Release) -> (answer :Cmd.Answer);
  forget @5 (op :Cmd.OpId) -> (answer :Cmd.Answer);
  # The last word: drops the client's record. Its leases live on.
  convert @6 (op :Cmd.OpId, convert :Cmd.Convert) -> (answer :Cmd.Answer);
  # Gives a hold another mode. `granted` has its token from now on: the same after a downgrade, a
  # new one after an upgrade. Returns as acquire does.
  setHoldValue @7 (op :Cmd.OpId, set :Cmd.SetHoldValue) -> (answer :Cmd.Answer);
  # What the holder says of itself: an election's leader proclaims.
  forceRelease @8 (op :Cmd.OpId, force :Cmd.ForceRelease) -> (answer :Cmd.Answer);
  # An admin's act: ends the hold with that token, whosever it is; notHeld if it isn't current.
  txn @9 (op :Cmd.OpId, txn :Cmd.Txn) -> (answer :Cmd.Answer);
  # Compares, then does the one list or the other, all at once. `txnDone` has a result for each
  # operation of the list that was done.
  setPolicy @10 (op :Cmd.OpId, policy :Cmd.SetPolicy) -> (answer :Cmd.Answer);
  # An admin's act: sets a drain or a quota, or ends it. notHeld if there is none to end.

  adoptLease @11 (op :Cmd.OpId, adopt :Cmd.AdoptLease) -> (answer :Cmd.Answer);
  # Takes over a living lease with what is held under it; its waits end. permissionDenied if the
  # secret is another one. Whoever had it may believe in it as long as `remainingMs` of a `lease`
  # call that comes after this, and nobody else may believe in it before that is over. Renew it
  # meanwhile. A hold is taken up by acquiring it alone and as it is held, and gets a new token.
}

interface Lease {
  # One lease, so that a client can open a lease and acquire under it in one round trip: calls on
  # the promised capability carry no lease id yet. In all of these a lease id of 0 means this
  # lease.

  acquire @0 (op :Cmd.OpId, acquire :Cmd.Acquire) -> (answer :Cmd.Answer);
  release @1 (op :Cmd.OpId, release :Cmd.Release) -> (answer :Cmd.Answer);
  renew @2 () -> (alive :Bool, error :Cmd.Error);
  close @3 (op :Cmd.OpId) -> (answer :Cmd.Answer);
}

enum EventType {
  grant @0;
  release @1;
  expire @2;
  force @3;
  queue @4;
  cancel @5;
  convert @6;
  delay @7;
  value @8;
  put @9;
  delete @10;
  leaseOpen @11;
  leaseClose @12;
  leaseExpire @13;
  deadlock @14;
  member @15;                   # a change of the membership
  policy @16;                   # an admin's drain or quota
}

struct Event {
  revision @0 :UInt64;          # unique
  type @1 :EventType;
  name @2 :Text;                # of the lock or key; "" for a lease
  token @3 :UInt64;
  lease @4 :UInt64;
  owner @5 :Cmd.Owner;          # of the lease
  cause @6 :Text;               # free, waited, busy, released, expired, closed, forced, ...
  atMs @7 :UInt64;              # wall time, for people
  mode @8 :Cmd.Mode;
  permits @9 :UInt32;           # 0: not of a hold or wait
  waitedMs @10 :UInt64;         # a grant, conversion or cancel: in the queue
  heldMs @11 :UInt64;           # a hold's end: how long it lasted
  note @12 :Text;               # what for; why it was forced, and by whom
  value @13 :Data;              # what the holder says of itself
}

struct SqlValue {
  union {
    null @0 :Void;
    integer @1 :Int64;
    real @2 :Float64;
    text @3 :Text;
    blob @4 :Data;
  }
}

struct SqlRow {
  values @0 :List(SqlValue);
}

struct Blocker {
  # One who is in the way. A tree, as a list: parents come before their children.

  parent @0 :Int32;             # index in the list of whom it keeps waiting; -1: of who asks
  lock @1 :Text;                # where it is in the way
  kind @2 :Kind;
  lease @3 :UInt64;
  holder @4 :UInt64;
  token @5 :UInt64;             # of a holder
  mode @6 :Cmd.Mode;
  permits @7 :UInt32;
  position @8 :UInt64;          # of a waiter, from 1
  ageMs @9 :UInt64;             # held, or waiting, for so long
  remainingMs @10 :UInt64;      # of a delay; of a holder: until its lease ends, if not renewed
  reason @11 :Text;
  owner @12 :Cmd.Owner;
  seen @13 :Bool;               # it is in the tree elsewhere: what keeps it waiting is told there

  enum Kind {
    holder @0;
    waiter @1;                  # ahead in the queue
    delay @2;                   # the lock-delay after a loss
    drain @3;                   # an admin's: no new grants
  }
}

struct HolderInfo {
  lease @0 :UInt64;
  holder @1 :UInt64;
  mode @2 :Cmd.Mode;
  permits @3 :UInt32;
  token @4 :UInt64;
  acquiredAtMs @5 :UInt64;      # wall time, for people
  reason @6 :Text;
  owner @7 :Cmd.Owner;
  value @8 :Data;               # what the holder says of itself
}

struct WaiterInfo {
  lease @0 :UInt64;
  holder @1 :UInt64;
  mode @2 :Cmd.Mode;
  permits @3 :UInt32;
  position @4 :UInt64;          # from 1
  waitingSinceMs @5 :UInt64;    # wall time, for people
  reason @6 :Text;
  owner @7 :Cmd.Owner;
  converts @8 :UInt64;          # the token of the hold whose mode it is to change; 0: a new hold
}

struct LockInfo {
  name @0 :Text;
  mode @1 :Cmd.Mode;            # of the holders; null when free
  capacity @2 :UInt32;
  revision @3 :UInt64;
  holders @4 :List(HolderInfo);  # in grant order
  waiters @5 :List(WaiterInfo);  # in queue order, conversions first
  holderCount @6 :UInt64;        # of all: both lists are cut where the message would be too large
  waiterCount @7 :UInt64;
  kind @8 :Cmd.LockKind;
  delayRemainingMs @9 :UInt64;   # of the lock-delay after a loss
  drain @10 :Text;               # why a drain keeps it from being granted; empty: none does
}

struct PolicyInfo {
  kind @0 :Cmd.PolicyKind;
  name @1 :Text;
  limits @2 :Cmd.Limits;
  used @3 :Cmd.Limits;          # of a quota, so far
  reason @4 :Text;
  by @5 :Text;
  sinceMs @6 :UInt64;           # wall time, for people
}

struct LeaseInfo {
  lease @0 :UInt64;
  ttlMs @1 :UInt64;
  remainingMs @2 :Int64;        # by the leader's clock
  lockDelayMs @3 :UInt64;
  openedAtMs @4 :UInt64;
  owner @5 :Cmd.Owner;
  holds @6 :List(Hold);
  waits @7 :UInt64;
  holdCount @8 :UInt64;         # of all: the list is cut where the message would be too large

  struct Hold {
    lock @0 :Text;
    token @1 :UInt64;
  }
}

struct NodeStatus {
  cell @0 :UInt64;
  id @1 :UInt64;
  name @2 :Text;
  address @3 :Text;
  role @4 :Text;                # founding, follower, probing, candidate, leader
  active @5 :Bool;
  pid @6 :UInt64;
  version @7 :Text;
  ballot @8 :Cmd.Ballot;
  chosen @9 :UInt64;
  applied @10 :UInt64;
  recorded @11 :UInt64;
  revision @12 :UInt64;
  leader @13 :UInt64;           # node id, 0: unknown
  leaderAddress @14 :Text;
  waitingFor @15 :Text;         # while founding: whom for
  members @16 :List(Member);
  leases @17 :UInt64;
  locks @18 :UInt64;
  holds @19 :UInt64;
  waiters @20 :UInt64;
  clients @21 :UInt64;
  logBytes @22 :UInt64;
  stateBytes @23 :UInt64;
  digest @24 :UInt64;           # of the state at digestSlot; 0: this node's record is damaged
  digestSlot @25 :UInt64;       # the last barrier; 0: none
  verifications @26 :UInt64;    # done since the process started
  damage @27 :Text;             # what the last one found; empty: nothing
  configVersion @28 :UInt64;
  damaged @33 :UInt64;          # rows of the log, and records, found damaged since it started
  mendsThrough @34 :UInt64;     # it doesn't vote before the others told it what was chosen through
                                # this slot; 0: it is whole
  clockPpm @29 :Int32;          # by how much its clock runs faster than the leader's, in millionths
  clockErrorPpm @30 :UInt32;    # give or take so much; 0: it leads, or this isn't known yet
  clockTrouble @31 :Text;       # whom its clock disagrees with; empty: nobody
  clockStandsBack @32 :Bool;    # a majority's clocks agree against it, so it doesn't ask to lead

  struct Member {
    id @0 :UInt64;
    address @1 :Text;
    voter @2 :Bool;
  }
}
