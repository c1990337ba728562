#include "tests/store/scripted_life.h"

#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/store/store_error.h"
#include "tests/store/samples.h"

namespace holdfast::store_test {
namespace {

constexpr const char* kDir = "/node";
// An answer is kept for so many slots, so that rows go as well as come.
constexpr uint64_t kAnswersKept = 3;
constexpr size_t kPartBytes = 20'000;  // of a snapshot

std::unique_ptr<store::LogDb> open_log_on(FaultDisk& disk) {
  const std::string boot_id = "boot " + std::to_string(disk.image().boot);
  return std::make_unique<store::LogDb>(kDir, base::NodeId{1}, kIncarnation, boot_id, disk);
}

std::shared_ptr<const std::string> value_of(uint64_t slot, uint64_t round, size_t bytes) {
  return std::make_shared<const std::string>(bytes,
                                             static_cast<char>('a' + (slot * 7 + round) % 26));
}

// What state.db holds is a function of the slot that was recorded last.
// The membership changes at every third slot.
base::Config config_at(uint64_t slot) {
  base::Config config;
  config.version = {slot / 3 * 3};
  if (!config.version) return config;
  config.members = {{{1}, {7}, "a:1", true}, {{slot / 3 + 1}, {8}, "b:1", false}};
  config.removed = {{900 + slot / 3}};
  return config;
}

base::StateWrite record_of(uint64_t slot, uint64_t last_recorded) {
  base::StateWrite write;
  write.meta.applied = {slot};
  write.meta.revision = {slot * 10};
  write.meta.config_version = config_at(slot).version;
  if (config_at(slot) != config_at(last_recorded)) write.config = config_at(slot);
  write.locks.put = {{"lock", {slot}, 0}};
  write.holds.put = {
      {{slot}, "lock", {slot}, {1}, {2}, base::Mode::kExclusive, 1, 5, 5, slot, "why"}};
  write.leases.put = {{{slot}, {1}, 1000, 0, std::string(16, 's'), nullptr, 5}};
  write.clients.put = {{{1}, slot, {{slot + 2, slot + 3}}, slot, 60'000}};
  write.answers.put = {{{{1}, slot}, std::string(4000, 'a')}};
  write.keys.put = {{"key", std::string(900, 'k'), {1}, {slot}, slot, {slot}},
                    {"key " + std::to_string(slot), "v", {slot}, {slot}, 1, {}}};
  write.sequences.put = {{"q/", slot, {slot}}};
  write.policies.put = {{{base::PolicyKind::kDrain, "p"}, {}, "why", "who", slot}};
  if (last_recorded != 0) write.keys.erase.push_back("key " + std::to_string(last_recorded));
  for (uint64_t gone = last_recorded; gone != 0 && gone < slot; ++gone) {
    write.holds.erase.push_back({gone});
    write.leases.erase.push_back({gone});
  }
  for (uint64_t i = last_recorded + 1; i <= slot && last_recorded != 0; ++i) {
    if (i > kAnswersKept) write.answers.erase.push_back({{1}, i - kAnswersKept});
  }
  base::Owner owner;
  owner.pid = slot;
  base::EventRow event{{slot * 10}, base::EventType::kGrant, "lock", {slot}, {slot}};
  event.owner = std::make_shared<const base::Owner>(owner);
  event.value = "value";
  write.events = std::make_shared<const base::EventRows>(base::EventRows{event});
  return write;
}

std::string wrong_in_state(const base::StateRows& rows, const Expected& expected) {
  const uint64_t applied = rows.meta.applied.value;
  const std::string at = "state.db at slot " + std::to_string(applied) + ": ";
  const bool may_lag = expected.may_state_lag && rows.meta.applied < expected.recorded;
  if (rows.meta.applied != expected.recorded && rows.meta.applied != expected.recorded_at_most &&
      !may_lag) {
    return at + "recorded was " + std::to_string(expected.recorded.value);
  }
  const bool is_new = applied == 0;
  if (rows.meta.revision.value != applied * 10) return at + "another revision";
  if (rows.config != config_at(applied)) return at + "another membership";
  if (rows.locks.size() != (is_new ? 0 : 1)) return at + "locks";
  if (rows.holds.size() != (is_new ? 0 : 1)) return at + "holds";
  if (rows.leases.size() != (is_new ? 0 : 1)) return at + "leases";
  if (rows.clients.size() != (is_new ? 0 : 1)) return at + "clients";
  if (rows.keys.size() != (is_new ? 0 : 2)) return at + "keys";
  if (rows.sequences.size() != (is_new ? 0 : 1)) return at + "sequences";
  if (rows.policies.size() != (is_new ? 0 : 1)) return at + "policies";
  if (is_new) return rows.answers.empty() ? "" : at + "answers";
  if (rows.locks[0].revision.value != applied) return at + "another write's lock";
  if (rows.holds[0].token.value != applied) return at + "another write's hold";
  if (rows.leases[0].id.value != applied) return at + "another write's lease";
  if (rows.clients[0].lowest_unanswered != applied) return at + "another write's client";
  if (rows.keys[0].version != applied) return at + "another write's key";
  if (rows.keys[1].key != "key " + std::to_string(applied)) return at + "a key that was deleted";
  if (rows.sequences[0].last != applied) return at + "another write's sequence";
  if (rows.policies[0].since_wall_ms != applied) return at + "another write's policy";
  if (rows.answers.empty() || rows.answers.back().key.number != applied) return at + "no answer";
  return "";
}

bool is_same(const std::map<base::Slot, base::Entry>& expected,
             const std::vector<base::Entry>& found) {
  return std::equal(expected.begin(), expected.end(), found.begin(), found.end(),
                    [](const auto& pair, const base::Entry& entry) {
                      const base::Entry& wanted = pair.second;
                      return wanted.slot == entry.slot && wanted.ballot == entry.ballot &&
                             wanted.kind == entry.kind && *wanted.value == *entry.value;
                    });
}

bool is_same(const ExpectedLog& expected, const base::RecoveredLog& found,
             const std::vector<base::Entry>& entries) {
  const bool same_peers = std::equal(
      expected.peers.begin(), expected.peers.end(), found.peers.begin(), found.peers.end(),
      [](const auto& pair, const base::PeerMark& mark) { return pair.second == mark; });
  return expected.promised == found.promised && expected.first_retained == found.first_retained &&
         expected.last_slot() == found.last_slot && expected.config == found.config &&
         expected.founding == found.founding && same_peers && is_same(expected.entries, entries);
}

std::string describe(const ExpectedLog& log) {
  return "promised " + std::to_string(log.promised.round) + ", " +
         std::to_string(log.entries.size()) + " entries, " + std::to_string(log.peers.size()) +
         " peers";
}

// What others have to mend (P11): as good as refused, where nobody does.
void refuse_damage(const base::RecoveredLog& found) {
  if (!found.damage.empty()) {
    throw store::StoreError(store::StoreError::Kind::kDamaged, found.damage);
  }
}

// An error must be the end: nothing that fails is tried again (P11).
template <class Action>
void expect_refusal(Action again) {
  const Refused refused = refusal_of(again);
  HF_ASSERT(refused.thrown && refused.says("not used any more"));
}

}  // namespace

void ExpectedLog::apply(const base::LogWrite& write) {
  if (write.promised) promised = *write.promised;
  if (write.config) config = *write.config;
  if (write.founding) founding = *write.founding;
  for (const base::PeerMark& peer : write.peers) peers[peer.node] = peer;
  for (const base::Entry& entry : write.entries) entries[entry.slot] = entry;
  if (write.first_retained) {
    first_retained = *write.first_retained;
    entries.erase(entries.begin(), entries.lower_bound(first_retained));
  }
}

base::Slot ExpectedLog::last_slot() const {
  return entries.empty() ? base::Slot{first_retained.value - 1} : entries.rbegin()->first;
}

// -- the node ------------------------------------------------------------------------------------

void ScriptedNode::start() {
  ++expected_.starts_at_most;
  log_ = open_log_on(disk_);
  expected_.starts = expected_.starts_at_most;
  auto state = std::make_unique<store::StateDb>(kDir, log_->state_file(), kIncarnation, disk_);
  const base::Slot applied = state->load().meta.applied;
  state_ = std::make_unique<store::StateKeeper>(disk_, kDir, kIncarnation, log_->state_file(),
                                                std::move(state));
  refuse_damage(log_->recover(applied));
  if (expected_.may_state_lag) expected_.recorded = expected_.recorded_at_most = applied;
}

void ScriptedNode::stop() {
  state_.reset();
  log_.reset();
}

void ScriptedNode::write(const base::LogWrite& write) {
  expected_.log_at_most.apply(write);
  try {
    write_one(*log_, write);
  } catch (const store::StoreError&) {
    expect_refusal([&] { write_one(*log_, write); });
    throw;
  }
  expected_.log = expected_.log_at_most;
}

void ScriptedNode::promise(uint64_t round) {
  base::LogWrite promise;
  promise.promised = base::Ballot{round, {1}};
  write(promise);
}

void ScriptedNode::found() {
  base::LogWrite founding;
  founding.founding = base::FoundingState::kFounded;
  founding.config =
      base::Config{{5}, {1}, {{{1}, kIncarnation, "a:1"}, {{2}, {78}, "b:1"}, {{3}, {79}, "c:1"}}};
  write(founding);
}

void ScriptedNode::accept(uint64_t slots, size_t bytes_each) {
  base::LogWrite accepts;
  const base::Ballot ballot = expected_.log.promised;
  uint64_t slot = expected_.log.last_slot().value;
  for (uint64_t i = 0; i < slots; ++i) {
    ++slot;
    accepts.entries.push_back(
        {{slot}, ballot, base::EntryKind::kCommands, value_of(slot, ballot.round, bytes_each)});
  }
  accepts.promised = ballot;
  write(accepts);
}

void ScriptedNode::accept_again(uint64_t slot, size_t bytes) {
  base::LogWrite accept;
  const base::Ballot ballot = expected_.log.promised;
  accept.entries = {
      {{slot}, ballot, base::EntryKind::kCommands, value_of(slot, ballot.round, bytes)}};
  write(accept);
}

void ScriptedNode::hear_of_peers(uint64_t start_count) {
  base::LogWrite marks;
  for (uint64_t peer = 2; peer <= 3; ++peer) {
    marks.peers.push_back(
        {{peer}, start_count, start_count * 31 + peer, {start_count, {peer}}, {start_count}});
  }
  write(marks);
}

void ScriptedNode::record(uint64_t slot) {
  expected_.recorded_at_most = {slot};
  const base::StateWrite record = record_of(slot, expected_.recorded.value);
  try {
    state_->state().write(record);
  } catch (const store::StoreError&) {
    expect_refusal([&] { state_->state().write(record); });
    throw;
  }
  expected_.recorded = {slot};
}

void ScriptedNode::checkpoint_log() {
  log_->checkpoint();
}

void ScriptedNode::checkpoint_state() {
  state_->state().checkpoint();
}

// -- trimming and snapshots ----------------------------------------------------------------------

void ScriptedNode::trim_below(uint64_t slot) {
  base::LogWrite trim;
  trim.first_retained = base::Slot{slot};
  write(trim);
}

void ScriptedNode::give_snapshot() {
  FaultDisk other;
  const auto hold = other.hold("/other");
  store::SnapshotDraft draft(other, "/other");
  base::SnapshotPart part = state_->read(0, 0, kPartBytes);
  HF_ASSERT(part.id != 0);
  draft.write(part);
  // It stays as it is while the node goes on.
  record(expected_.recorded.value + 1);
  while (!part.is_last()) {
    part = state_->read(part.id, part.end(), kPartBytes);
    HF_ASSERT(part.id != 0);
    HF_ASSERT(draft.write(part) == part.end());
  }
  const store::SnapshotDraft::Finished found = draft.finish(part.id, base::Incarnation{999});
  HF_ASSERT(found.rows.meta.applied == part.slot);
  Expected expected;
  expected.recorded = expected.recorded_at_most = part.slot;
  HF_ASSERT(wrong_in_state(found.rows, expected).empty());
}

void ScriptedNode::take_snapshot(uint64_t slot) {
  FaultDisk other;
  const auto hold = other.hold("/other");
  store::StateDb theirs("/other", "state.db", base::Incarnation{999}, other);
  theirs.write(record_of(slot, 0));
  taken_ = theirs.read_snapshot(0, 0, kPartBytes, true);
  HF_ASSERT(state_->write(taken_) == taken_.end());
  while (!taken_.is_last()) {
    taken_ = theirs.read_snapshot(taken_.id, taken_.end(), kPartBytes, false);
    HF_ASSERT(state_->write(taken_) == taken_.end());
  }
}

void ScriptedNode::check_snapshot() {
  const auto load = [](const base::StateRows&) { return std::optional<std::string>(); };
  store::SnapshotChecked checked = state_->check(taken_.id, load);
  // A read that comes short makes good bytes look bad.
  if (checked.refused) throw store::StoreError(store::StoreError::Kind::kDamaged, *checked.refused);
  taken_file_ = std::move(checked.file);
}

void ScriptedNode::install_snapshot() {
  base::LogWrite install;
  install.state_file = taken_file_;
  install.first_retained = taken_.slot.next();
  expected_.recorded_at_most = taken_.slot;
  write(install);
  expected_.recorded = taken_.slot;
}

void ScriptedNode::switch_state() {
  state_->switch_state();
}

// -- the script ----------------------------------------------------------------------------------

const std::vector<Step>& script() {
  using Node = ScriptedNode;
  static const std::vector<Step> kScript{
      {"first start", [](Node& node) { node.start(); }},
      {"founding", [](Node& node) { node.found(); }},
      {"first promise", [](Node& node) { node.promise(1); }},
      {"small accept", [](Node& node) { node.accept(1, 50); }},
      {"accepts in a group", [](Node& node) { node.accept(4, 700); }},
      {"peers' marks", [](Node& node) { node.hear_of_peers(1); }},
      {"first record", [](Node& node) { node.record(2); }},
      {"large accept", [](Node& node) { node.accept(1, 20'000); }},
      {"second record", [](Node& node) { node.record(6); }},
      {"checkpoint of the log", [](Node& node) { node.checkpoint_log(); }},
      {"accept over the log's WAL", [](Node& node) { node.accept(1, 50); }},
      {"checkpoint of the state", [](Node& node) { node.checkpoint_state(); }},
      {"record over the state's WAL", [](Node& node) { node.record(7); }},
      {"stop", [](Node& node) { node.stop(); }},
      {"second start", [](Node& node) { node.start(); }},
      {"higher promise", [](Node& node) { node.promise(4); }},
      {"a large value replaced by a small one", [](Node& node) { node.accept_again(6, 60); }},
      {"newer marks", [](Node& node) { node.hear_of_peers(2); }},
      {"accepts after it", [](Node& node) { node.accept(3, 3'000); }},
      {"record after it", [](Node& node) { node.record(9); }},
      {"second checkpoint of the log", [](Node& node) { node.checkpoint_log(); }},
      {"second checkpoint of the state", [](Node& node) { node.checkpoint_state(); }},
      {"last accept", [](Node& node) { node.accept(1, 9'000); }},
      {"last record", [](Node& node) { node.record(10); }},
      {"trimming", [](Node& node) { node.trim_below(8); }},
      {"a snapshot is given away", [](Node& node) { node.give_snapshot(); }},
      {"a snapshot comes in", [](Node& node) { node.take_snapshot(15); }},
      {"it is checked", [](Node& node) { node.check_snapshot(); }},
      {"an accept before it counts", [](Node& node) { node.accept(1, 100); }},
      {"it is installed", [](Node& node) { node.install_snapshot(); }},
      {"the old state goes", [](Node& node) { node.switch_state(); }},
      {"accepts above it", [](Node& node) { node.accept(2, 5'000); }},
      {"a record over it", [](Node& node) { node.record(16); }},
      {"a second one", [](Node& node) { node.record(17); }},
      {"second stop", [](Node& node) { node.stop(); }},
      {"third start", [](Node& node) { node.start(); }},
      {"promise at the end", [](Node& node) { node.promise(9); }},
  };
  return kScript;
}

const std::vector<Step>& sequel() {
  using Node = ScriptedNode;
  static const std::vector<Step> kSequel{
      {"start", [](Node& node) { node.start(); }},
      {"promise", [](Node& node) { node.promise(20); }},
      {"marks", [](Node& node) { node.hear_of_peers(5); }},
      {"founding anew", [](Node& node) { node.found(); }},
      {"large accepts", [](Node& node) { node.accept(3, 9'000); }},
      {"small accept", [](Node& node) { node.accept_again(17, 10); }},
      {"record", [](Node& node) { node.record(20); }},
      {"trimming", [](Node& node) { node.trim_below(19); }},
      {"checkpoint of the log", [](Node& node) { node.checkpoint_log(); }},
      {"checkpoint of the state", [](Node& node) { node.checkpoint_state(); }},
      {"accept", [](Node& node) { node.accept(2, 5'000); }},
      {"last record", [](Node& node) { node.record(22); }},
      {"stop", [](Node& node) { node.stop(); }},
  };
  return kSequel;
}

Ended live(FaultDisk& disk, const std::vector<Step>& steps, Expected& expected) {
  ScriptedNode node(disk, expected);
  for (const Step& step : steps) {
    try {
      step.run(node);
    } catch (const store::StoreError& error) {
      return {true, error.kind != store::StoreError::Kind::kIo, step.name, error.what()};
    }
  }
  return {};
}

std::string check_restart(FaultDisk& disk, Expected& expected) {
  const std::unique_ptr<store::LogDb> log = open_log_on(disk);
  store::StateDb state(kDir, log->state_file(), kIncarnation, disk);
  const base::StateRows rows = state.load();
  if (std::string wrong = wrong_in_state(rows, expected); !wrong.empty()) return wrong;
  const base::RecoveredLog recovered = log->recover(rows.meta.applied);
  refuse_damage(recovered);
  const uint64_t starts = recovered.start_count - 1;
  if (starts < expected.starts || starts > expected.starts_at_most) {
    return "log.db: start count " + std::to_string(starts);
  }
  if (expected.may_state_lag) {
    // A damaged row that is recorded is mended by letting the log begin behind it.
    base::LogWrite mended;
    mended.first_retained = std::max(recovered.first_retained, expected.log.first_retained);
    if (recovered.first_retained > expected.log.first_retained) expected.log.apply(mended);
    if (recovered.first_retained > expected.log_at_most.first_retained) {
      expected.log_at_most.apply(mended);
    }
  }
  const std::vector<base::Entry> entries = log->read({1}, recovered.last_slot, SIZE_MAX);
  const bool is_at_most = is_same(expected.log_at_most, recovered, entries);
  if (!is_at_most && !is_same(expected.log, recovered, entries)) {
    return "log.db: found promised " + std::to_string(recovered.promised.round) + ", " +
           std::to_string(entries.size()) + " entries, " + std::to_string(recovered.peers.size()) +
           " peers; acknowledged " + describe(expected.log);
  }
  if (is_at_most) expected.log = expected.log_at_most;
  expected.log_at_most = expected.log;
  expected.recorded = expected.recorded_at_most = rows.meta.applied;
  expected.starts = expected.starts_at_most = recovered.start_count;
  return "";
}

}  // namespace holdfast::store_test
