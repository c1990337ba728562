// Holdfast's C++ client: fenced, TTL-bound locks from a Holdfast cell.
//
//   auto cell = holdfast::Cell::connect({.endpoints = {"host:7421"}});
//   auto session = cell.open_session({.ttl = 10s});
//   if (auto grant = session.lock("billing/ledger").acquire(5s)) write(data, grant->token());
//
// Thread-safety: every object may be used from several threads at once. Cell, Session, Lock and
// Grant are handles: copies of Cell, Session and Lock share one object; a Grant is move-only and
// releases its lock when it goes. Callbacks run on the cell's own thread: they must not block nor
// throw. They may call the *_async functions of this header and drop handles; a call that waits
// fails there with invalid_argument.
//
// Errors are holdfast::Error with a code(). Durations of 0 in acquire() mean "try". Deadlines are
// readings of CLOCK_BOOTTIME, which goes on while the machine sleeps.
//
// What a deadline promises (DESIGN 2.4): before it, the hold is certainly this client's, as long as
// clock rates are within 1 %. Past it, the library says that it is lost, with or without a network.
// Nothing closes the gap between checking and acting: give the token to what you write to.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <holdfast/keys.h>

#if defined(__GNUC__)
#define HOLDFAST_API __attribute__((visibility("default")))
#else
#define HOLDFAST_API
#endif

namespace holdfast {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

enum class Code {
  internal,
  invalid_argument,
  lease_not_found,
  not_held,
  would_block,
  timeout,
  cancelled,
  deadlock,
  lock_delay,
  conflict,
  compacted,
  not_leader,
  unavailable,
  resource_exhausted,
  permission_denied,
  unauthenticated,
  unsupported,
  // Told apart on the client only; both are "lost" to the caller.
  lease_lost,    // the session's lease ended, or its local deadline passed
  lock_lost,     // release() of a grant that was lost meanwhile
  already_held,  // this Lock object, in this thread, holds it already
  fenced,        // a Fence has seen a newer holder
  forked,        // used in a child process after fork()
};

// The name that RPC, JSON and the documentation use: "leaseNotFound" and so on.
HOLDFAST_API std::string_view code_name(Code code);

class HOLDFAST_API Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message,
        std::vector<std::pair<std::string, std::string>> detail = {});
  Code code() const noexcept { return code_; }
  // Machine-readable facts: which limit, which leader, which lock.
  const std::vector<std::pair<std::string, std::string>>& detail() const noexcept {
    return detail_;
  }

 private:
  Code code_;
  std::vector<std::pair<std::string, std::string>> detail_;
};

// A reading of CLOCK_BOOTTIME.
struct Deadline {
  nanoseconds boottime{0};

  HOLDFAST_API static Deadline now();
  HOLDFAST_API nanoseconds remaining() const;  // never negative
  // The same moment on the wall clock, for people and environment variables; unix ms.
  HOLDFAST_API int64_t unix_ms() const;
  auto operator<=>(const Deadline&) const = default;
};

// The six modes of the VMS lock manager, weakest first. Which of them go together:
//   null              with all
//   concurrent_read   with all but exclusive
//   concurrent_write  with null, concurrent_read and concurrent_write
//   shared            with null, concurrent_read and shared (also called protected read)
//   protected_write   with null and concurrent_read
//   exclusive         with null
enum class Mode {
  null = 0,
  concurrent_read = 1,
  concurrent_write = 2,
  shared = 3,
  protected_write = 4,
  exclusive = 5,
};
// "exclusive", "protected-write" and so on.
HOLDFAST_API std::string_view mode_name(Mode mode);
// May two of these be held beside each other?
HOLDFAST_API bool go_together(Mode one, Mode other);
// Also of "protected-read", which is shared. nullopt: there is no such mode.
HOLDFAST_API std::optional<Mode> mode_named(std::string_view name);

struct Owner {
  std::string host;
  uint64_t pid = 0;
  std::string boot_id;
  std::string program;
  std::string user;
  std::string reason;
  std::string version;
  int64_t started_at_ms = 0;
};
struct Holder {
  std::string lease;
  uint64_t holder = 0;
  std::string mode;
  uint32_t permits = 1;
  uint64_t token = 0;
  int64_t acquired_at_ms = 0;
  Owner owner;  // reason: the acquire's own, if it gave one, else the lease's
};
struct Waiter {
  std::string lease;
  uint64_t holder = 0;
  std::string mode;
  uint32_t permits = 1;
  uint64_t position = 0;
  int64_t waiting_since_ms = 0;
  Owner owner;
  uint64_t converts = 0;  // the token of the hold whose mode it is to change; 0: a new hold
};
struct LockInfo {
  std::string name;
  std::string kind = "lock";    // lock, semaphore, election
  std::string mode;             // of the holders, the strongest; empty when free
  uint32_t capacity = 0;        // of a semaphore
  std::vector<Holder> holders;  // in grant order
  std::vector<Waiter> waiters;  // in queue order, conversions first
  uint64_t revision = 0;
  milliseconds delay_remaining{0};  // how long a lock-delay keeps it closed, by the leader's clock
  std::string value;                // what an election's leader says of itself
  uint64_t as_of = 0;               // the cell's revision when it was read
  std::string drain;                // why a drain keeps it from being granted; empty: none does
};
struct LeaseInfo {
  std::string lease;
  milliseconds ttl{0};
  milliseconds remaining{0};  // by the leader's clock
  int64_t opened_at_ms = 0;
  Owner owner;
  std::vector<std::pair<std::string, uint64_t>> holds;  // lock, token
  uint64_t waits = 0;
};
// One thing that happened, as the history keeps it.
struct Event {
  uint64_t revision = 0;
  // grant, release, expire, force, queue, cancel, convert, delay, value, put, delete, lease-open,
  // lease-close, lease-expire, deadlock
  std::string type;
  std::string name;  // of the lock or key; empty for a lease
  std::string value;
  uint64_t token = 0;
  std::string lease;
  Owner owner;             // of the lease
  std::string cause;       // free, waited, busy, released, expired, closed, forced, ...
  int64_t at_ms = 0;       // wall time
  std::string mode;        // of a hold or wait; else empty
  uint32_t permits = 0;    // the same; else 0
  milliseconds waited{0};  // a grant, conversion or cancel: in the queue
  milliseconds held{0};    // a hold's end: how long it lasted
  std::string note;        // what for; why it was forced, and by whom
};
struct EventsQuery {
  std::string name;         // of the lock or key
  bool exact = false;       // false: all that begin with it; "" then means all, leases too
  uint64_t after = 0;       // events above this revision; 0: from the oldest that is kept
  milliseconds max_age{0};  // not those that are older, by wall time; 0: all
  uint32_t limit = 0;       // at most so many of one page; 0: the cell's own limit
};
struct EventsPage {
  std::vector<Event> events;  // oldest first; may be empty although there are more
  uint64_t upto = 0;          // go on after this
  uint64_t revision = 0;      // the newest there is; with `upto` equal to it there is no more now
};

// A value of SQLite; a blob is told apart from a text by its type.
using SqlValue =
    std::variant<std::monostate, int64_t, double, std::string, std::vector<unsigned char>>;
struct SqlRows {
  std::vector<std::string> columns;
  std::vector<std::vector<SqlValue>> rows;
  bool more = false;  // there are more than 1000 rows, or than fit in a message
};

// One who keeps somebody waiting.
struct Blocker {
  std::string lock;  // where it is in the way
  std::string kind;  // holder, waiter (ahead in the queue), delay, drain
  std::string lease;
  uint64_t holder = 0;
  std::string mode;
  uint32_t permits = 0;
  uint64_t token = 0;         // of a holder
  uint64_t position = 0;      // of a waiter, from 1
  milliseconds age{0};        // held, or waiting, for so long
  milliseconds remaining{0};  // of a delay; of a holder: until its lease ends if it isn't renewed
  Owner owner;
  bool seen = false;              // what keeps it waiting is told elsewhere
  std::vector<Blocker> blockers;  // what keeps it waiting
};
struct Why {
  std::string name;  // of the lock, or the lease
  std::string text;  // all of it in words
  std::vector<Blocker> blockers;
  bool truncated = false;  // there are more than 200
};

struct NodeStatus {
  uint64_t id = 0;
  std::string name;
  std::string address;
  // leader, follower, candidate, probing, learner, founding, unreachable
  std::string role;
  bool voter = false;
  uint64_t pid = 0;
  std::string version;
  std::string ballot;  // "round.node"
  uint64_t chosen = 0, applied = 0, recorded = 0, lag = 0;
  std::string waiting_for;  // while founding: whom for
  uint64_t leases = 0, locks = 0, holds = 0, waiters = 0;
  uint64_t log_bytes = 0, state_bytes = 0;
  uint64_t digest_slot = 0;    // of the last Cell::compare_nodes() that it heard of; 0: none
  uint64_t digest = 0;         // of its record at that slot; 0: the record is damaged
  uint64_t verifications = 0;  // how often all of its databases was looked at
  std::string damage;          // what the last look found; empty: nothing
  uint64_t damaged = 0;        // rows of the log, and records, found damaged since it started
  uint64_t mends_through = 0;  // doesn't vote until others told it this slot; 0: it is whole
  // By how much its clock runs faster than the leader's, in millionths, give or take
  // clock_error_ppm. Nothing: that isn't known (yet).
  std::optional<int64_t> clock_ppm;
  int64_t clock_error_ppm = 0;
  std::string clock_trouble;       // whose clocks run otherwise than its own; empty: nobody's
  bool clock_stands_back = false;  // a majority's do, and so this node doesn't lead
};
struct CellStatus {
  std::string cell;  // 16 hex digits; empty before founding
  uint64_t revision = 0;
  std::vector<NodeStatus> nodes;  // all members, by id
  uint64_t config_version = 0;    // +1 with every membership change
};
// Who belongs to the cell, as of one moment.
struct Member {
  uint64_t id = 0;
  std::string address;
  bool voter = false;
};
struct Membership {
  uint64_t version = 0;
  std::vector<Member> members;  // by id
};

struct SnapshotPiece {
  uint64_t slot = 0;  // the state is that after this slot of the log
  uint64_t offset = 0;
  uint64_t total_bytes = 0;
  std::string bytes;
};

struct CellOptions {
  // HOST:PORT or unix:PATH; empty: HOLDFAST_ENDPOINTS, then the user's socket,
  // /run/holdfast/holdfast.sock, 127.0.0.1:7420.
  std::vector<std::string> endpoints;
  milliseconds request_timeout{5000};  // of every request but a waiting acquire
  std::string program;                 // shown as the owner's program; empty: this process's name
};

struct SessionOptions {
  milliseconds ttl{10000};     // 500 ms to 24 h
  milliseconds lock_delay{0};  // how long its locks stay closed when it expires; up to 60 s
  std::string reason;          // shown wherever the holder is shown
  // Ends the lease 1.5 s after the connection over which it is renewed, unless it has been renewed
  // over another one by then: so that what a crash leaves behind comes free at once. The library
  // counts on no more than that from any renewal on, and renews twice a second. (After a change of
  // leaders the lease of a client that is gone lasts its ttl.)
  bool drop_on_disconnect = false;
  // Both given: no lease is opened, but this living one is adopted, as a restarted program does
  // with what it wrote down: Session::lease() and secret(). It keeps its ttl, lock-delay and
  // drop_on_disconnect, and all that is held under it; its waits end. To acquire a lock that it
  // holds, alone and in the mode held, takes up that hold, with a new token. Whoever had the lease
  // before loses it; the session is given when that one can't believe in it any more: after what
  // is left of the lease, at most its ttl. permission_denied: it has another secret.
  std::string lease = {};
  std::string secret = {};
  // The lease was renewed: what deadline() says from now on. For those who keep watch elsewhere.
  std::function<void(Deadline)> on_renewed;
  // Renewal is overdue: how much is left until the deadline. Again "safe" is told by nothing but
  // the next renewal; see Session::deadline().
  std::function<void(nanoseconds left)> on_jeopardy;
  // The lease is lost: everything held under it is. Called once.
  std::function<void(const Error& why)> on_lost;
};

struct LockOptions {
  Mode mode = Mode::exclusive;
  std::string reason;
  // A semaphore, if not 0: so many permits are there, and `permits` of them are wanted. All who ask
  // for one name must agree on its capacity as long as it is held or waited for.
  uint32_t capacity = 0;
  uint32_t permits = 1;
  // An election, if true: its one holder leads, and says so with `value`. All who ask for one name
  // must agree on that, too.
  bool election = false;
  std::string value = {};  // what the holder says of itself from its grant on, up to 64 KiB
};

// Who leads, and what it says of itself.
struct Leader {
  std::string value;
  uint64_t token = 0;  // the term: greater than those of all leaders before
  Owner owner;
};

// One of several locks that are acquired together.
struct LockWish {
  std::string name;
  LockOptions options;
};

// Who waits: by default the calling thread, in the callback forms nobody that waits elsewhere. An
// agent that would wait for a hold of its own, in the same session, is refused with `deadlock`.
struct Agent {
  uint64_t id = 0;

  HOLDFAST_API static Agent this_thread();
  HOLDFAST_API static Agent create();  // one that is no thread, such as a task
  auto operator<=>(const Agent&) const = default;
};

// How an _async function reports, on the cell's thread: exactly one of value and error is set. If
// the cell is closed already, it reports before it returns.
template <class T>
using Callback = std::function<void(std::optional<T> value, const Error* error)>;
using Finished = std::function<void(const Error* error)>;  // null: it went well

struct OpenedLease {
  std::string id;
  std::string secret;  // hex
  milliseconds ttl{0};
  Deadline deadline;
};

class Session;
class Lock;
class Grant;
class PendingAcquire;
class Watch;
class Observer;

namespace detail {
struct CellState;
struct SessionState;
struct LockState;
struct GrantState;
struct Wait;
struct WatchState;
struct ObserverState;
}  // namespace detail

// A connection to a cell: finds and follows the leader, reconnects, retries what is safe. One
// thread and one client identity per Cell; make one and share it.
class HOLDFAST_API Cell {
 public:
  // Doesn't wait for the cell: the first request does. invalid_argument: a malformed endpoint.
  static Cell connect(CellOptions options = {});

  // Opens a lease and renews it on the cell's thread until the session is closed or lost.
  Session open_session(SessionOptions options = {});
  void open_session_async(SessionOptions options, Callback<Session> done);
  // Renews all sessions now, with one call, as is done for those that are due: all, or with more
  // than 10 000 of them the next 10 000 in turn. A session that turns out to be lost says so
  // itself.
  void renew_async(Finished done);

  // -- what is there (linearizable) --------------------------------------------------------------
  LockInfo describe(std::string_view name);
  std::vector<LockInfo> locks(std::string_view prefix = "");
  LeaseInfo lease(std::string_view id);  // lease_not_found
  std::vector<LeaseInfo> leases();
  // A backup of the cell's whole state: the bytes of a database, piece by piece, from the leader's
  // record. If another node leads meanwhile it begins anew, with the offset 0.
  void read_snapshot(const std::function<void(const SnapshotPiece&)>& take);
  // Lets every node digest its record as of one slot, which is returned: once status() shows it as
  // a node's digest_slot, the digest is there. Nodes of one cell have equal ones.
  uint64_t compare_nodes();
  // The same as status(), and every node begins to look at every page and row of its databases.
  CellStatus status_and_verify();
  CellStatus status();  // asks every member; one that doesn't answer has the role "unreachable"
  bool verify(std::string_view name, uint64_t token);  // that token holds the lock now
  void describe_async(std::string_view name, Callback<LockInfo> done);
  void verify_async(std::string_view name, uint64_t token, Callback<bool> done);
  void locks_async(std::string_view prefix, Callback<std::vector<LockInfo>> done);
  void leases_async(Callback<std::vector<LeaseInfo>> done);
  void status_async(Callback<CellStatus> done);

  // -- for operators ------------------------------------------------------------------------------
  // The leader hands over to this voter (0: to the one that is furthest); who leads then.
  uint64_t transfer_leader(uint64_t to = 0);
  // One change of the membership each. They say how things are to be, so repeating one is harmless;
  // what would harm the cell is refused with `conflict`, and the reason.
  Membership add_member(uint64_t id, std::string_view address);  // as a learner
  Membership promote_member(uint64_t id);                        // a learner that has caught up
  Membership remove_member(uint64_t id);                         // its id is never used again
  Membership update_member(uint64_t id, std::string_view address);

  // -- what happened ------------------------------------------------------------------------------
  // The events of every lock and key whose name begins with `prefix` (exact: is it), each once and
  // in order, over reconnections and changes of leaders. From `from_revision` on, inclusive;
  // nullopt: from now on. unavailable: no leader was there to say what now is.
  Watch watch(std::string_view prefix, std::optional<uint64_t> from_revision = std::nullopt,
              bool exact = false);
  // The same with a callback, on the cell's thread, for each event; `on_end` is called once if the
  // watch ends by itself. The watch that it returns has nothing for next(), and ends when it goes.
  Watch watch_each(std::string_view prefix, std::function<void(const Event&)> on_event,
                   std::optional<uint64_t> from_revision = std::nullopt, bool exact = false,
                   std::function<void(const Error& why)> on_end = {});
  // Who leads: the holder of an election (Session::election). nullopt: nobody.
  std::optional<Leader> leader(std::string_view name);
  Observer observe(std::string_view name);
  // One page of the history, linearizable. compacted (detail "oldest"): it doesn't reach back so
  // far.
  EventsPage events(const EventsQuery& query);
  void events_async(const EventsQuery& query, Callback<EventsPage> done);
  // All of it, page by page, as of when it is called.
  std::vector<Event> history(EventsQuery query);
  // One SELECT over the record of the leader, a moment old: tables lease, lock, hold, waiter, key,
  // event and others.
  SqlRows sql(std::string_view query);
  // Why one would wait for this lock, or why this lease waits: who is in the way, and who is in
  // their way. lease_not_found.
  Why why(std::string_view name);
  Why why_lease(std::string_view id);

  // -- for those who keep leases themselves: nobody renews them -----------------------------------
  OpenedLease open_lease(milliseconds ttl, std::string reason = {});
  Deadline renew_lease(std::string_view id);  // lease_not_found
  void close_lease(std::string_view id);      // lease_not_found
  // Waits at most `timeout` (0: try; nullopt: for ever). nullopt: surely not acquired, now or
  // later.
  struct RawGrant {
    uint64_t token = 0;
    Deadline deadline;  // as known: of the last open or renewal made through this Cell, else zero
  };
  std::optional<RawGrant> acquire(std::string_view lease, std::string_view lock,
                                  LockOptions options, std::optional<milliseconds> timeout);
  void release(std::string_view lease, std::string_view lock, uint64_t token);  // not_held

  // -- small keys ---------------------------------------------------------------------------------
  // Keys have names like locks, and values up to 64 KiB. Reads are linearizable unless `stale` is
  // asked for; `as_of`, if given, is told how old the answer is.
  std::optional<KeyValue> get(std::string_view key, ReadOptions options = {},
                              AsOf* as_of = nullptr);
  std::vector<KeyValue> keys(std::string_view prefix = "", ReadOptions options = {},
                             AsOf* as_of = nullptr);  // ascending
  // The key as it is now. Errors: conflict (its guard didn't hold), lease_not_found,
  // resource_exhausted.
  KeyValue put(std::string_view key, std::string value, PutOptions options = {});
  bool remove(std::string_view key);  // it was there
  // Up to 128 compares and operations. If all compares hold, `then` is done, else `orelse`, all at
  // once. Each key of a list is named once. Results are in the order of the list that was done.
  TxnResult txn(std::vector<Compare> compare, std::vector<TxnOp> then,
                std::vector<TxnOp> orelse = {});
  // What a read reports, and how old that is.
  template <class T>
  struct Dated {
    T value;
    AsOf as_of;
  };
  void get_async(std::string_view key, ReadOptions options,
                 Callback<Dated<std::optional<KeyValue>>> done);
  void keys_async(std::string_view prefix, ReadOptions options,
                  Callback<Dated<std::vector<KeyValue>>> done);
  void put_async(std::string_view key, std::string value, PutOptions options,
                 Callback<KeyValue> done);
  void remove_async(std::string_view key, Callback<bool> done);
  void txn_async(std::vector<Compare> compare, std::vector<TxnOp> then, std::vector<TxnOp> orelse,
                 Callback<TxnResult> done);

  // -- what admins allow --------------------------------------------------------------------------
  // Nothing is granted under the prefix from now on: neither to newcomers, whose tries fail and
  // whose waits wait, nor to those who wait already, nor as an upgrade. What is held stays. The
  // reason is shown to those who wait.
  void drain(std::string_view prefix, std::string reason);
  bool undrain(std::string_view prefix);  // false: there was no such drain
  std::vector<Drain> drains();
  // Limits what is under a prefix, or what a user's leases have. Whoever would go beyond it gets
  // resource_exhausted; what is there already stays.
  void set_quota(bool of_owner, std::string_view name, QuotaLimits limits, std::string reason);
  bool end_quota(bool of_owner, std::string_view name);  // false: there was no such quota
  std::vector<Quota> quotas();
  void drain_async(std::string_view prefix, std::string reason, Finished done);
  void undrain_async(std::string_view prefix, Callback<bool> done);
  void drains_async(Callback<std::vector<Drain>> done);

  // An admin's act: ends the hold with that token, whosever it is. It is recorded with the reason
  // and with who this process is. not_held: the token doesn't hold the lock (any more).
  void force_release(std::string_view name, uint64_t token, std::string reason);
  void force_release_async(std::string_view name, uint64_t token, std::string reason,
                           Finished done);

  // Closes every session and ends the thread. Also done when the last handle goes.
  void close();

 private:
  friend class Session;
  friend class Lock;
  explicit Cell(std::shared_ptr<detail::CellState> state);
  std::shared_ptr<detail::CellState> state_;
};

// Events as they come. Copies share one stream. Usable from several threads; each event goes to one
// of them. At most a few thousand events wait here for a slow reader, the others stay at the cell.
class HOLDFAST_API Watch {
 public:
  // The next event; waits at most `timeout`. nullopt: none came in time, or the watch is closed.
  // compacted: the reader fell so far behind that the history doesn't reach back to it; detail
  // "oldest" is the first revision that may be there. Any error ends the watch.
  std::optional<Event> next(std::optional<nanoseconds> timeout = std::nullopt);
  bool closed() const;
  // Through this revision next() has told everything: where to go on with another watch.
  uint64_t revision() const;
  void close();  // wakes who waits in next(); twice is fine

 private:
  friend class Cell;
  explicit Watch(std::shared_ptr<detail::WatchState> state);
  std::shared_ptr<detail::WatchState> state_;
};

// The leaders of an election, one after the other, the present one first. Copies share one stream.
class HOLDFAST_API Observer {
 public:
  struct Term {
    std::optional<Leader> leader;  // nullopt: a vacancy
  };
  // The next change: another leader, another value of the same one, or a vacancy. nullopt: none
  // came in time, or it is closed. Errors as of Watch::next(), but that it never falls behind.
  std::optional<Term> next(std::optional<nanoseconds> timeout = std::nullopt);
  bool closed() const;
  void close();

 private:
  friend class Cell;
  explicit Observer(std::shared_ptr<detail::ObserverState> state);
  std::shared_ptr<detail::ObserverState> state_;
};

// One acquire or conversion that waits.
class HOLDFAST_API PendingAcquire {
 public:
  // Ends it with `cancelled`, unless it is over.
  void cancel();

 private:
  friend class Lock;
  friend class Grant;
  friend class Session;
  explicit PendingAcquire(std::shared_ptr<detail::Wait> wait);
  std::shared_ptr<detail::Wait> wait_;
};

// A lease plus the loop that renews it. Closes its lease when the last handle goes, or at close().
class HOLDFAST_API Session {
 public:
  Lock lock(std::string_view name, LockOptions options = {});
  Lock shared_lock(std::string_view name, std::string reason = {});
  Lock semaphore(std::string_view name, uint32_t capacity, uint32_t permits = 1,
                 std::string reason = {});
  // An election: acquire() campaigns, the grant leads as long as it is held, its set_value()
  // proclaims, its release() resigns. The token is the term. See Cell::leader() and observe().
  Lock election(std::string_view name, std::string value = {}, std::string reason = {});
  // All of them or none, up to 64, each named once. While it waits none is held, and it has its
  // turn in all their queues. Grants in the order of the wishes. Reasons and errors as of
  // Lock::acquire().
  std::optional<std::vector<Grant>> acquire_all(std::vector<LockWish> wishes,
                                                std::optional<nanoseconds> timeout = std::nullopt);
  // Neither grants nor error: surely not acquired. It is ended with the session.
  using AllDone = std::function<void(std::optional<std::vector<Grant>> grants, const Error* error)>;
  PendingAcquire acquire_all_async(std::vector<LockWish> wishes, std::optional<nanoseconds> timeout,
                                   AllDone done, Agent agent = Agent::create());

  std::string lease() const;   // as lockctl takes it
  std::string secret() const;  // hex
  milliseconds ttl() const;
  bool alive() const;  // certainly alive now, by the local deadline
  Deadline deadline() const;
  void renew();  // now; lease_lost
  void renew_async(Finished done);
  void close();  // twice is fine; later use throws lease_lost
  void close_async(Finished done);
  // Stops renewing and leaves the lease to whoever has its id; it ends by its TTL.
  OpenedLease detach();

 private:
  friend class Cell;
  friend class Lock;
  explicit Session(std::shared_ptr<detail::SessionState> state);
  std::shared_ptr<detail::SessionState> state_;
};

// A name to be acquired. Copies share one object; two objects of one name contend, also within one
// session. Shared by threads, it admits them one at a time.
class HOLDFAST_API Lock {
 public:
  // Waits until granted, at most `timeout`. nullopt: surely not acquired, now or later.
  // Errors: lease_lost, cancelled, already_held (this thread holds this object), deadlock (this
  // thread holds the lock through another object of the session), unavailable (time is up and no
  // majority answered), invalid_argument, resource_exhausted.
  std::optional<Grant> acquire(std::optional<nanoseconds> timeout = std::nullopt);
  std::optional<Grant> try_acquire();
  // Ends the waits of acquire() in other threads with `cancelled`. Not sticky.
  void cancel();

  // The callback form: exactly one of grant and error is set, or neither at a timeout. The wait
  // that it returns may be dropped: it goes on.
  using Done = std::function<void(std::optional<Grant> grant, const Error* error)>;
  PendingAcquire acquire_async(std::optional<nanoseconds> timeout, Done done,
                               Agent agent = Agent::create());
  std::future<std::optional<Grant>> acquire_async(
      std::optional<nanoseconds> timeout = std::nullopt);

  const std::string& name() const;
  Mode mode() const;
  bool locked();      // held by anyone; linearizable
  bool held() const;  // this object has a grant that is certainly good now
  LockInfo info();
  void info_async(Callback<LockInfo> done);

 private:
  friend class Session;
  friend class Grant;
  explicit Lock(std::shared_ptr<detail::LockState> state);
  std::shared_ptr<detail::LockState> state_;
};

// One hold. Released when it goes out of scope, without waiting for the answer and without
// throwing.
class HOLDFAST_API Grant {
 public:
  Grant(Grant&&) noexcept;
  Grant& operator=(Grant&&) noexcept;
  ~Grant();

  // The fencing token: greater than that of any conflicting grant before. An upgrade changes it.
  uint64_t token() const;
  Mode mode() const;
  const std::string& lock() const;
  bool held() const;  // certainly held now, by the local deadline
  Deadline deadline() const;
  nanoseconds remaining() const;
  // A compare for transactions: this hold is still the cell's word.
  Compare guard() const;
  // Another mode in place. To a weaker one (a downgrade) at once, and the token stays. To any other
  // (an upgrade) as soon as nobody else's hold is in the way, ahead of all who wait, and with a new
  // token, above that of everybody who held it besides. False: the time is up, and the hold is as
  // it was. Errors: lock_lost, not_held, deadlock (at once, if another holder waits for an upgrade
  // as well), lease_lost, cancelled, invalid_argument (a semaphore's, or one conversion waits
  // already). At the end of its time it waits for the cell's word all the same, at most until the
  // session is lost. If neither mode includes the other (concurrent_write and shared), what the old
  // one allowed may end before the answer is here: stop doing it before you ask.
  bool convert(Mode mode, std::optional<nanoseconds> timeout = std::nullopt);
  bool upgrade(std::optional<nanoseconds> timeout = std::nullopt);  // to exclusive
  void downgrade();                                                 // to shared
  PendingAcquire convert_async(Mode mode, std::optional<nanoseconds> timeout, Callback<bool> done,
                               Agent agent = Agent::create());
  // What the holder says of itself, up to 64 KiB; shown with the lock.
  void set_value(std::string value);
  void set_value_async(std::string value, Finished done);
  // Waits for the answer. not_held: released already; lock_lost: it was lost meanwhile. Never
  // touches a newer grant. A conversion that waits is cancelled before.
  void release();
  void release_async(Finished done);
  // Calls back once if the hold is lost; never after a release.
  void on_lost(std::function<void(const Error& why)> callback);

 private:
  friend class Lock;
  friend class Session;
  friend struct detail::LockState;
  explicit Grant(std::shared_ptr<detail::GrantState> state);
  std::shared_ptr<detail::GrantState> state_;
};

// What stands in front of the writes to a resource (DESIGN 10): refuses a token if a greater one
// was admitted in a mode that doesn't go together with its own. So shared holders pass in any
// order, and an exclusive one fences all before it. In memory: it forgets when its process ends, so
// a resource that outlives the process keeps its marks beside its data.
class HOLDFAST_API Fence {
 public:
  Fence();
  ~Fence();
  Fence(const Fence&) = delete;
  Fence& operator=(const Fence&) = delete;
  void admit(std::string_view lock, uint64_t token, Mode mode = Mode::exclusive);  // fenced

 private:
  struct State;
  std::unique_ptr<State> state_;
};

HOLDFAST_API std::string_view version();

}  // namespace holdfast
