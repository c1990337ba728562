#include "daemon/driver.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

#include "daemon/exit_codes.h"
#include "daemon/random.h"
#include "daemon/sd_notify.h"
#include "lockcore/base/assert.h"

namespace holdfast::daemon {
namespace {

constexpr size_t kMaxSnapshotReaders = 16;  // parts that operators wait for
// From the finding to the mending, so that whoever asked for the look is told what it found; and
// as long again while the cell can't do without this node.
constexpr auto kMendAfter = base::Duration::from_ms(10'000);
constexpr uint64_t kSlowFsyncUs = 100'000;
constexpr auto kRepeatSlowDisk = base::Duration::from_ms(10'000);
constexpr auto kRepeatUnmended = base::Duration::from_ms(600'000);

uint64_t wall_clock_ms() {
  timespec now{};
  HF_ASSERT(clock_gettime(CLOCK_REALTIME, &now) == 0);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

node::Options node_options(const Config& config) {
  node::Options options;
  options.paxos.self = config.id;
  options.paxos.address = config.advertise;
  // A list of this node alone may just be the default, where a cell has stored another.
  if (config.cluster.size() > 1) options.paxos.cluster = config.cluster;
  options.paxos.heartbeat = config.heartbeat;
  options.paxos.election = config.election;
  options.paxos.log_slots = config.log_slots;
  options.paxos.log_bytes = config.log_bytes;
  options.paxos.random_seed = random_number();
  options.paxos.process_nonce = random_number();
  options.paxos.join = !config.join.empty();
  options.paxos.new_cell = base::CellId{random_number()};
  return options;
}

std::string ballot_text(base::Ballot ballot) {
  return fmt::format("{}.{}", ballot.round, ballot.node.value);
}

std::string members_text(const std::vector<base::Member>& members) {
  std::string text;
  for (const base::Member& member : members) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", member.id.value, member.address);
  }
  return text;
}

}  // namespace

// A hint that node.next_tick() is due: end_turn() decides, by CLOCK_BOOTTIME.
//
// uv_run() runs due timers before it polls, and then sleeps for as long as the *other* timers
// allow: one that comes due just then would be followed by a sleep without end. So it repeats until
// it is armed anew.
struct Driver::Timer {
  uv_timer_t handle;
  base::Instant armed_for = base::kNever;  // kNever: it is not, or has fired

  explicit Timer(uv_loop_t& loop) {
    HF_ASSERT(uv_timer_init(&loop, &handle) == 0);
    handle.data = this;
  }
  void arm(base::Instant due, base::Instant now) {
    if (due == base::kNever) uv_timer_stop(&handle);
    if (due == armed_for) return;
    armed_for = due;
    if (due == base::kNever) return;
    int64_t ms = std::max<int64_t>((due - now).ms_ceil(), 0);
    auto fired = [](uv_timer_t* timer) {
      static_cast<Timer*>(timer->data)->armed_for = base::kNever;
    };
    uv_update_time(handle.loop);
    uv_timer_start(&handle, fired, static_cast<uint64_t>(ms), 1);
  }
  void close() {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle),
             [](uv_handle_t* closed) { delete static_cast<Timer*>(closed->data); });
  }
};

Driver::Driver(rpc::EventLoop& loop, const Config& config, OpenedStore store,
               const Verification& before)
    : loop_(loop),
      data_dir_(config.data_dir),
      node_(node_options(config), std::move(store.recovered), std::move(store.table),
            rpc::boottime_now()),
      timer_(new Timer(loop.uv())),
      peers_(loop.port(), config.id, *this),
      verification_(before),
      scrub_interval_(config.scrub_interval),
      scrub_at_(rpc::boottime_now() + scrub_interval_),
      slow_disk_(kRepeatSlowDisk),
      unmended_(kRepeatUnmended) {
  const std::string record_path = config.data_dir + "/" + store.log->state_file();
  // Called on a writer's thread, once for all that finishes until the next drain.
  auto wake = [this] { loop_.post([this] { drain_writer(); }); };
  writer_ = std::make_unique<store::WriterThreads>(config.data_dir, std::move(store.log),
                                                   std::move(store.state), std::move(wake));
  reader_ = std::make_unique<store::ReaderThread>(
      record_path, [this] { loop_.post([this] { drain_reader(); }); });
  dial_members(config);
  if (!config.join.empty()) join(config);
  loop_.set_turn_end([this] { return end_turn(); });
}

void Driver::join(const Config& config) {
  if (node_.replica().founding() == base::FoundingState::kFounded) return;  // it did so before
  log_info("asking a living cell to take this node in as a learner");
  joiner_ = std::make_unique<Joiner>(
      loop_.port(), Joiner::Self{config.id, node_.hello().incarnation, config.advertise},
      config.join, [this](const base::Config& cell) { node_.on_joined(cell, event(), fx_); });
}

void Driver::dial_members(const Config& config) {
  const base::Config& stored = node_.replica().config();
  dialled_ = node_.replica().contacts_version();
  if (node_.replica().founding() != base::FoundingState::kFounded) {
    peers_.set_members(config.cluster);
    return;
  }
  peers_.set_members(stored.members);
  if (config.cluster.size() <= 1) return;
  auto same = [](const base::Member& a, const base::Member& b) {
    return a.id == b.id && a.address == b.address;
  };
  if (!std::ranges::equal(stored.members, config.cluster, same)) {
    log_warn("the cell's stored members differ from --cluster, and count instead",
             {{"stored", members_text(stored.members)}, {"cluster", members_text(config.cluster)}});
  }
}

Driver::~Driver() {
  loop_.set_turn_end(nullptr);
  timer_->close();
  peers_.set_members({});  // hangs up, so that the others notice before the writers have finished
}

// -- events ---------------------------------------------------------------------------------------

base::Instant Driver::event() {
  fed_ = true;
  return rpc::boottime_now();
}

void Driver::command(node::ClientRef ref, locks::Command command) {
  node_.on_command(ref, std::move(command), event(), fx_);
}

void Driver::renew(node::ClientRef ref, node::RenewRequest request) {
  node_.on_renew(ref, std::move(request), event(), fx_);
}

void Driver::disconnected(uint64_t connection) {
  node_.on_disconnected(connection, event(), fx_);
}

void Driver::read(node::ClientRef ref) {
  node_.on_read(ref, event(), fx_);
}

void Driver::read_here(node::ClientRef ref) {
  node_.on_read_here(ref, event(), fx_);
}

void Driver::admin(node::ClientRef ref, node::AdminRequest request) {
  node_.on_admin(ref, std::move(request), event(), fx_);
}

void Driver::drop(node::ClientRef ref) {
  if (calls_.take(ref) != nullptr) node_.on_dropped(ref);
}

uint64_t Driver::ask_record(store::StateQuestion question,
                            std::function<void(store::StateAnswer&&)> answered) {
  if (asked_.size() >= kMaxRecordReads) return 0;
  asked_.emplace(++last_asked_, std::move(answered));
  reader_->ask(last_asked_, std::move(question));
  return last_asked_;
}

void Driver::forget_record(uint64_t name) {
  if (asked_.erase(name) > 0) reader_->forget(name);
}

void Driver::drain_reader() {
  for (store::ReaderThread::Answered& answered : reader_->drain()) {
    auto waiting = asked_.extract(answered.id);
    if (!waiting.empty()) waiting.mapped()(std::move(answered.answer));
  }
}

std::optional<paxos::Refusal> Driver::on_hello(const paxos::Hello& peer) {
  return node_.on_hello(peer, event(), fx_);
}

void Driver::on_refused(base::NodeId by, const paxos::Refusal& refusal) {
  node_.on_refused(by, refusal, event(), fx_);
}

void Driver::on_message(base::NodeId from, paxos::Message message) {
  node_.on_message(from, std::move(message), event(), fx_);
}

void Driver::on_peer_lost(base::NodeId peer) {
  node_.on_peer_lost(peer, event(), fx_);
}

void Driver::drain_writer() {
  store::Finished finished = writer_->drain();
  if (finished.failed) {
    // P11: nothing may be answered any more, and nothing retried.
    log_error("the disk failed: ending at once", {{"reason", *finished.failed}});
    _exit(kExitIo);
  }
  base::Instant now = event();
  if (finished.written) node_.on_written(finished.written, now, fx_);
  if (finished.recorded) node_.on_recorded(finished.recorded, now, fx_);
  if (!waiting_readers_.empty()) ask_for_snapshots();
  for (store::LogReadResult& read : finished.reads) {
    node_.on_log_read(read.id, std::move(read.entries), now, fx_);
  }
  drain_damage(finished, now);
  drain_snapshots(finished, now);
  drain_verification(finished);
  tell_slow_disk(finished.last_fsync_us);
}

void Driver::drain_snapshots(store::Finished& finished, base::Instant now) {
  for (store::SnapshotReadResult& read : finished.snapshot_reads) {
    if (!read.peer) {
      snapshot_readers_.front().fulfiller->fulfill(std::move(read.part));
      snapshot_readers_.pop_front();
      continue;
    }
    node_.on_snapshot_read(read.peer, read.asked, std::move(read.part), now, fx_);
  }
  for (const store::SnapshotStored& stored : finished.snapshot_stored) {
    node_.on_snapshot_stored(stored.id, stored.upto, now, fx_);
  }
  if (!finished.snapshot_checked) return;
  store::SnapshotChecked& checked = *finished.snapshot_checked;
  if (checked.refused) {
    node_.on_snapshot_refused(checked.id, *checked.refused, now, fx_);
  } else {
    node_.on_snapshot_checked({checked.id, std::move(checked.file), std::move(*loaded_)}, now, fx_);
  }
  loaded_.reset();
}

kj::Promise<base::SnapshotPart> Driver::read_snapshot(base::SnapshotId asked, uint64_t offset,
                                                      size_t max_bytes, base::Slot at_least) {
  if (snapshot_readers_.size() + waiting_readers_.size() >= kMaxSnapshotReaders) {
    return base::SnapshotPart{};
  }
  auto paf = kj::newPromiseAndFulfiller<base::SnapshotPart>();
  if (asked == 0 && !at_least) at_least = node_.table().meta().applied;
  waiting_readers_.push_back({kj::mv(paf.fulfiller), asked, offset, max_bytes, at_least});
  if (asked == 0) node_.record_soon(at_least);
  event();
  ask_for_snapshots();
  return kj::mv(paf.promise);
}

// The writer, on behalf of those for whom everything is recorded.
void Driver::ask_for_snapshots() {
  std::vector<SnapshotReader> still_waiting;
  for (SnapshotReader& reader : waiting_readers_) {
    if (reader.asked == 0 && node_.recorded() < reader.at_least) {
      still_waiting.push_back(std::move(reader));
      continue;
    }
    writer_->read_snapshot({}, reader.asked, reader.offset, reader.max_bytes, reader.at_least);
    snapshot_readers_.push_back(std::move(reader));
  }
  waiting_readers_ = std::move(still_waiting);
}

std::variant<base::Slot, base::Error> Driver::propose_barrier() {
  return node_.propose_barrier(event(), fx_);
}

void Driver::verify() {
  if (verifying_ != 0) return;
  verifying_ = 2;
  verification_.damage.clear();
  writer_->verify(node_.recorded());
}

void Driver::drain_damage(const store::Finished& finished, base::Instant now) {
  for (const base::Slot slot : finished.damaged) {
    ++verification_.damaged;
    log_error("a row of the log is damaged, and not used", {{"slot", std::to_string(slot.value)}});
    node_.on_log_damaged(slot, now, fx_);
  }
}

void Driver::drain_verification(store::Finished& finished) {
  if (finished.compared) {
    verification_.digest_slot = finished.compared->slot;
    verification_.digest = finished.compared->digest;
  }
  for (store::Verified& verified : finished.verified) {
    if (verified.damage) {
      log_error("a database is damaged", {{"database", verified.of_state ? "state.db" : "log.db"},
                                          {"reason", *verified.damage}});
      verification_.damage = std::move(*verified.damage);
      if (verified.of_state) {
        ++verification_.damaged;
        if (mend_at_ == base::kNever) mend_at_ = rpc::boottime_now() + kMendAfter;
      }
    }
    if (--verifying_ == 0) ++verification_.finished;
  }
}

// Begins a look at everything when it is due, and the mending of what one found.
void Driver::look_for_damage(base::Instant now) {
  if (now >= scrub_at_) {
    scrub_at_ = now + scrub_interval_;
    verify();
  }
  if (now < mend_at_) return;
  if (others_suffice()) {
    mend_at_ = base::kNever;
    return on_mendable_();
  }
  mend_at_ = now + kMendAfter;
  if (const auto held_back = unmended_.admit("record", now)) {
    log_warn("the damaged record isn't mended yet: the other nodes that are up are no majority",
             {{"again", std::to_string(*held_back)}});
  }
}

// Without this node, as far as it can tell.
bool Driver::others_suffice() const {
  const base::Config& cell = node_.replica().config();
  size_t others = 0;
  for (const paxos::Replica::PeerView& peer : node_.replica().peers()) {
    const base::Member* member = cell.find(peer.node);
    others += peer.connected && member != nullptr && member->voter;
  }
  return others > cell.voters() / 2;
}

// The state as of a barrier, as state.db says it: digested on the writer's thread.
void Driver::carry_out_comparison() {
  if (!fx_.compare) return;
  writer_->compare_state(*fx_.compare, [](base::StateRows rows) -> uint64_t {
    locks::LockTable table;
    if (table.restore(std::move(rows))) return 0;
    return table.digest();
  });
}

void Driver::carry_out_snapshots() {
  for (const paxos::SnapshotRead& read : fx_.paxos.snapshot_reads) {
    writer_->read_snapshot(read.peer, read.id, read.offset, read.max_bytes);
  }
  for (base::SnapshotPart& part : fx_.paxos.snapshot_writes) {
    writer_->write_snapshot(std::move(part));
  }
  if (fx_.paxos.snapshot_check) {
    // A million leases take a second to load: on the writer's thread, while this one goes on.
    loaded_ = std::make_shared<locks::LockTable>();
    auto load = [table = loaded_](base::StateRows rows) { return table->restore(std::move(rows)); };
    writer_->check_snapshot(fx_.paxos.snapshot_check->id, std::move(load));
  }
  if (fx_.state_file) {
    reader_->use(data_dir_ + "/" + *fx_.state_file);  // before the old one is removed
    writer_->switch_state();
  }
}

// -- the turn's end -------------------------------------------------------------------------------

bool Driver::end_turn() {
  base::Instant now = rpc::boottime_now();
  // Last of all: after a stall, what lay in the sockets has been handled by now (DESIGN 6).
  look_for_damage(now);
  if (now >= node_.next_tick()) {
    node_.on_tick(now, fx_);
    fed_ = true;
  }
  bool answered = false;
  if (fed_) {
    fed_ = false;
    node_.finish_turn(now, node::WallClock{wall_clock_ms()}, fx_,
                      [this] { tell_peers_and_disk(); });
    answered = carry_out();
  }
  answered |= event_polls_.look(node_.table(), now);
  timer_->arm(std::min({node_.next_tick(), scrub_at_, mend_at_}), now);
  return answered;
}

bool Driver::carry_out() {
  tell_notices();
  tell_peers_and_disk();
  carry_out_snapshots();  // before what is recorded in the new state file
  if (fx_.record) writer_->write_state(std::move(*fx_.record));
  carry_out_comparison();
  for (const paxos::LogRead& read : fx_.paxos.reads) {
    writer_->read_log(read.id, read.from, read.to, read.max_bytes);
  }
  if (fx_.paxos.fatal) end_refused(*fx_.paxos.fatal);
  tell_role();
  tell_founding();
  follow_members();
  bool answered = answer_calls();
  fx_.clear();
  return answered;
}

void Driver::follow_members() {
  const paxos::Replica& replica = node_.replica();
  // A node that joins says hello as a member once that is durable: before, it would be refused.
  const bool joining = joiner_ && replica.founding() != base::FoundingState::kFounded;
  if (replica.contacts_version() == dialled_ || joining) return;
  joiner_.reset();
  dialled_ = replica.contacts_version();
  peers_.set_members(replica.contacts());
}

// Peers first, on the wire: a commit waits for them longer than for this disk, whose thread, once
// it is woken, may take the processor from this one.
void Driver::tell_peers_and_disk() {
  for (paxos::Outgoing& outgoing : fx_.paxos.messages) {
    peers_.send(outgoing.to, std::move(outgoing.message));
  }
  fx_.paxos.messages.clear();
  peers_.flush();
  for (base::LogWrite& write : fx_.paxos.writes) writer_->write_log(std::move(write));
  fx_.paxos.writes.clear();
}

bool Driver::answer_calls() {
  for (const node::CommandReply& reply : fx_.replies) {
    if (Call* call = calls_.take(reply.ref)) call->on_reply(reply);
  }
  for (const node::RenewReply& reply : fx_.renewals) {
    if (Call* call = calls_.take(reply.ref)) call->on_reply(reply);
  }
  for (const node::ReadReply& reply : fx_.reads) {
    if (Call* call = calls_.take(reply.ref)) call->on_reply(reply);
  }
  for (const node::AdminReply& reply : fx_.admin) {
    if (Call* call = calls_.take(reply.ref)) call->on_reply(reply);
  }
  return !fx_.replies.empty() || !fx_.renewals.empty() || !fx_.reads.empty();
}

void Driver::end_refused(const std::string& reason) {
  log_error("this node can't go on", {{"reason", reason}});
  writer_.reset();  // finishes what is queued: that the disk is lost must be on it
  _exit(kExitConfig);
}

// -- what people are told -------------------------------------------------------------------------

void Driver::tell_notices() {
  for (const paxos::Notice& notice : fx_.paxos.notices) {
    using Level = paxos::Notice::Level;
    log(notice.level == Level::kInfo      ? LogLevel::kInfo
        : notice.level == Level::kWarning ? LogLevel::kWarn
                                          : LogLevel::kError,
        notice.text);
  }
}

void Driver::tell_role() {
  if (!fx_.stepped_down && !fx_.paxos.role_changed && !fx_.became_active) return;
  const paxos::Replica& replica = node_.replica();
  std::string ballot = ballot_text(replica.ballot());
  if (fx_.stepped_down) log_warn("no longer leading", {{"ballot", ballot}});
  if (fx_.paxos.role_changed) {
    std::string role =
        fmt::format("{} {} {}", paxos::role_name(replica.role()), ballot, replica.leader().value);
    if (role != told_role_) {
      told_role_ = std::move(role);
      log_info("role", {{"role", paxos::role_name(replica.role())},
                        {"ballot", ballot},
                        {"leader", std::to_string(replica.leader().value)}});
    }
  }
  if (fx_.became_active) {
    log_info("leading", {{"ballot", ballot},
                         {"applied", std::to_string(node_.table().meta().applied.value)},
                         {"leases", std::to_string(node_.table().counts().leases)}});
  }
}

void Driver::tell_founding() {
  if (told_founded_) return;
  const paxos::Replica& replica = node_.replica();
  if (replica.founding() == base::FoundingState::kFounded) {
    told_founded_ = true;
    log_info("member of a founded cell",
             {{"cell", fmt::format("{:016x}", replica.config().cell.value)},
              {"members", members_text(replica.config().members)}});
    notify_service_manager("STATUS=serving");
    return;
  }
  std::string waiting_for = replica.waiting_for();
  if (waiting_for.empty() || waiting_for == told_waiting_for_) return;
  const std::string what = joiner_ ? "joining a cell" : "founding the cell";
  log_info(what + ": waiting", {{"for", waiting_for}});
  notify_service_manager("STATUS=" + what + ": waiting for " + waiting_for);
  told_waiting_for_ = std::move(waiting_for);
}

void Driver::tell_slow_disk(uint64_t fsync_us) {
  if (fsync_us < kSlowFsyncUs) return;
  if (auto held_back = slow_disk_.admit("fsync", rpc::boottime_now())) {
    log_warn("the disk is slow", {{"transaction_ms", std::to_string(fsync_us / 1000)},
                                  {"again", std::to_string(*held_back)}});
  }
}

}  // namespace holdfast::daemon
