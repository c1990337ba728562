// Random commands, against a model that is too simple to be wrong in the same way; with restarts
// and with state.db's rows checked on the way.
#include "lockcore/base/random.h"
#include "lockcore/locks/digest.h"
#include "tests/unit/locks/shadow_rows.h"
#include "tests/unit/locks/simple_model.h"
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using namespace holdfast::base;

namespace {

const std::string kSecret = "0123456789abcdef";

// Makes commands that mostly make sense, and learns from the answers what there is to work on.
class Workload {
 public:
  Workload(uint64_t seed, const LockTable& table) : random_(seed), table_(table) {}

  Random& random() { return random_; }

  // `first`: of its batch, so that the table is as the command will find it.
  Command next(bool first) {
    if (clients_.empty() || random_.chance(0.02)) return {{}, RegisterClient{random_client_ttl()}};
    if (random_.chance(0.01)) return {{}, NewLeader{random_ballot()}};
    if (random_.chance(0.01)) return {{}, AdvanceTime{random_ballot()}};
    if (random_.chance(0.01)) return {{}, random_change()};
    if (random_.chance(0.01)) return {{}, random_checkpoint()};
    if (random_.chance(0.015)) return {{}, ExpireLeases{random_ballot(), random_leases()}};
    // A copy of something sent before, late or not, as it was.
    if (!sent_.empty() && random_.chance(0.15)) return sent_[random_.below(sent_.size())];
    Client& client = clients_[random_.below(clients_.size())];
    Command command{next_op(client), random_body(client, first)};
    sent_.push_back(command);
    if (sent_.size() > 200) sent_.erase(sent_.begin());
    return command;
  }

  // The next configuration, or one that was decided too early or too late.
  Reconfigure random_change() {
    Config config;
    const uint64_t next = std::max<uint64_t>(table_.meta().config_version.value, 1);
    config.version = {std::max<uint64_t>(next + random_.below(3), 2)};
    config.members = {{{1}, {7}, "a:1", true}, {{2 + random_.below(5)}, {8}, "b:1", false}};
    return {config, "changes something"};
  }

  void learn(const Reply& reply) {
    if (const auto* registered = std::get_if<ClientRegistered>(&reply.answer)) {
      clients_.push_back({registered->client});
      if (clients_.size() > 6) clients_.erase(clients_.begin());
    } else if (const auto* opened = std::get_if<LeaseOpened>(&reply.answer)) {
      leases_.push_back(opened->lease);
      if (leases_.size() > 8) leases_.erase(leases_.begin());
    } else if (const auto* granted = std::get_if<Granted>(&reply.answer)) {
      tokens_.insert(tokens_.end(), granted->tokens.begin(), granted->tokens.end());
      while (tokens_.size() > 12) tokens_.erase(tokens_.begin());
    }
    const auto* error = std::get_if<Error>(&reply.answer);
    if (error != nullptr && error->code == ErrorCode::kUnknownClient && clients_.size() > 1) {
      std::erase_if(clients_, [&](const Client& client) { return client.id == reply.client; });
    }
    for (Client& client : clients_) {
      if (client.id == reply.client) std::erase(client.unanswered, reply.number);
    }
  }

  // Now and then something is tried with a lease that ended.
  void forget(LeaseId ended) {
    if (leases_.size() > 1 && random_.chance(0.8)) std::erase(leases_, ended);
  }

 private:
  struct Client {
    ClientId id;
    uint64_t last_number = 0;
    std::vector<uint64_t> unanswered = {};
  };

  OpId next_op(Client& client) {
    OpId op{client.id, ++client.last_number, 0, {}};
    client.unanswered.push_back(op.number);
    // Some lost replies: the client doesn't tell of all that it could, or gives up on one.
    if (client.unanswered.size() > 8) client.unanswered.erase(client.unanswered.begin());
    op.lowest_unanswered = random_.chance(0.5) ? client.unanswered.front() : 0;
    for (uint64_t n = client.unanswered.front() + 1; n < op.number; ++n) {
      const bool open = std::find(client.unanswered.begin(), client.unanswered.end(), n) !=
                        client.unanswered.end();
      if (!open && random_.chance(0.5)) op.answered.push_back(n);
    }
    return op;
  }

  Body random_body(const Client& client, bool first) {
    const uint64_t kind = random_.below(100);
    if (kind < 12 || leases_.empty()) {
      const uint64_t delay_ms = random_.chance(0.3) ? random_.between(1, 500) : 0;
      return OpenLease{random_.between(500, 60'000), delay_ms, kSecret, {}};
    }
    if (kind < 16) return CloseLease{random_lease()};
    if (kind < 22) return CancelWait{random_.between(1, client.last_number)};
    if (kind < 23) return ForgetClient{};
    if (kind < 33) return random_txn();
    if (kind < 35) return random_drain();
    if (kind < 38) {
      const bool knows = random_.chance(0.8);
      return AdoptLease{random_lease(), knows ? kSecret : "another's-secret", {}};
    }
    if (kind < 60 || tokens_.empty()) return random_acquire();
    if (kind < 70 && first) return random_convert();
    if (kind < 71) return random_value();
    if (kind < 73) return random_force();
    return random_release();
  }

  Acquire random_acquire() {
    Acquire body{random_lease(),
                 HolderId{random_.between(1, 3)},
                 AgentId{random_.below(3)},
                 {},
                 random_.chance(0.8),
                 ""};
    const uint64_t count = random_.chance(0.2) ? random_.between(2, 4) : 1;
    while (body.locks.size() < count) {
      const LockRequest request = random_request();
      const auto same = [&](const LockRequest& other) { return other.name == request.name; };
      if (std::none_of(body.locks.begin(), body.locks.end(), same)) body.locks.push_back(request);
    }
    return body;
  }

  // "s" and "t" are semaphores, mostly of one capacity; now and then a name is asked for as what
  // it isn't.
  LockRequest random_request() {
    if (random_.chance(0.25)) {
      const bool other = random_.chance(0.05);
      const uint32_t capacity = other ? 2 : 3;
      const auto permits = static_cast<uint32_t>(random_.between(1, capacity));
      return {random_.chance(0.5) ? "s" : "t", Mode::kExclusive, permits, capacity,
              LockKind::kSemaphore};
    }
    if (random_.chance(0.01)) return {"s"};
    if (random_.chance(0.03)) return {"e", Mode::kExclusive, 1, 0, LockKind::kElection};
    return {random_lock(), random_mode(), 1, 0};
  }

  // Of a hold whose agent doesn't wait at the same time for something else: an agent is one thread.
  Body random_convert() {
    const StateRows rows = table_.rows();
    for (const HoldRow& hold : rows.holds) {
      if (random_.chance(0.5)) continue;
      const auto same_agent = [&](const WaiterRow& waiter) {
        return waiter.lease == hold.lease && waiter.agent == hold.agent;
      };
      if (std::any_of(rows.waiters.begin(), rows.waiters.end(), same_agent)) continue;
      return Convert{hold.lease,    hold.lock,  hold.token,
                     random_mode(), hold.agent, random_.chance(0.8)};
    }
    return random_release();
  }

  Txn random_txn() {
    Txn body;
    for (uint64_t n = random_.below(3); n > 0; --n) body.compare.push_back(random_compare());
    for (auto* branch : {&body.then, &body.orelse}) {
      for (const char* key : {"k", "l", "q0000000002"}) {
        if (random_.chance(0.4)) branch->push_back(random_op(key));
      }
      if (random_.chance(0.1)) {
        branch->push_back({TxnOp::Kind::kPut, "q", "v", random_binding(), true});
      }
    }
    if (body.then.empty()) body.then.push_back(random_op("k"));
    return body;
  }

  TxnOp random_op(const char* key) {
    TxnOp op{static_cast<TxnOp::Kind>(random_.below(3)), key, "", {}, false};
    if (op.kind != TxnOp::Kind::kPut) return op;
    op.value = std::string(1, static_cast<char>('x' + random_.below(3)));
    op.lease = random_binding();
    return op;
  }
  LeaseId random_binding() {
    return random_.chance(0.4) && !leases_.empty() ? random_lease() : LeaseId{};
  }

  Compare random_compare() {
    const auto relation = static_cast<Relation>(random_.below(4));
    const std::string key = random_.chance(0.5) ? "k" : "l";
    switch (random_.below(5)) {
      case 0: return {key, Compare::Target::kValue, relation, 0, "y"};
      case 1: return {key, Compare::Target::kVersion, relation, random_.below(3), ""};
      case 2: return {key, Compare::Target::kRevision, relation, known_revision(key), ""};
      case 3: return {key, Compare::Target::kCreate, relation, known_revision(key), ""};
      default: break;
    }
    const Release hold = tokens_.empty() ? Release{{}, "a", Token{1}} : random_release();
    const bool wants = random_.chance(0.7);
    return {hold.lock, Compare::Target::kHolds, wants ? Relation::kEqual : Relation::kNotEqual,
            hold.token.value, ""};
  }
  uint64_t known_revision(const std::string& key) {
    const auto row = table_.key(key);
    return row ? row->revision.value + random_.below(2) : random_.below(2);
  }

  SetPolicy random_drain() {
    const auto policies = table_.policies();
    if (!policies.empty() && random_.chance(0.8)) {
      return {policies[random_.below(policies.size())].row.key, true, {}, "", ""};
    }
    const std::string prefix = random_.chance(0.1) ? "" : random_lock();
    return {{PolicyKind::kDrain, prefix}, random_.chance(0.1), {}, "repairs", ""};
  }

  CheckpointLeases random_checkpoint() {
    CheckpointLeases body{random_ballot(), {}};
    for (LeaseId lease : random_leases()) body.leases.push_back({lease, random_.below(70'000)});
    return body;
  }

  ForceRelease random_force() {
    const Release hold = random_release();
    return {hold.lock, hold.token, "must go", ""};
  }

  SetHoldValue random_value() {
    const Release hold = random_release();
    return {hold.lease, hold.lock, hold.token, "leads"};
  }

  Mode random_mode() {
    if (random_.chance(0.3)) return static_cast<Mode>(random_.below(6));
    return random_.chance(0.5) ? Mode::kShared : Mode::kExclusive;
  }

  // Mostly of what is held, else of what once was.
  Release random_release() {
    const std::vector<HoldRow> holds = table_.rows().holds;
    if (holds.empty() || random_.chance(0.1)) {
      return {random_lease(), random_lock(), tokens_[random_.below(tokens_.size())]};
    }
    const HoldRow& hold = holds[random_.below(holds.size())];
    return {hold.lease, hold.lock, hold.token};
  }

  uint64_t random_client_ttl() { return random_.chance(0.5) ? 0 : random_.between(500, 5000); }
  Ballot random_ballot() { return {random_.between(1, 2), NodeId{1}}; }
  LeaseId random_lease() { return leases_[random_.below(leases_.size())]; }
  std::string random_lock() { return std::string(1, static_cast<char>('a' + random_.below(5))); }
  std::vector<LeaseId> random_leases() {
    std::vector<LeaseId> some;
    for (LeaseId lease : leases_) {
      if (random_.chance(0.3)) some.push_back(lease);
    }
    return some;
  }

  Random random_;
  std::vector<Client> clients_;
  std::vector<LeaseId> leases_;
  std::vector<Token> tokens_;
  std::vector<Command> sent_;
  const LockTable& table_;
};

std::string lines(std::vector<std::string> replies) {
  std::sort(replies.begin(), replies.end());
  std::string text;
  for (const std::string& reply : replies) text += reply + "\n";
  return text;
}

struct Run {
  LockTable steady;     // never restarted
  LockTable restarted;  // again and again, from what state.db would hold
  Workload workload;    // looks at `steady`
  ShadowRows disk;
  SimpleModel model;
  uint64_t cell_time_ms = 1;
  size_t granted = 0;

  explicit Run(uint64_t seed) : workload(seed, steady) {}

  void step() {
    Random& random = workload.random();
    cell_time_ms += random.chance(0.02) ? random.below(10'000) : random.below(20);
    Batch batch{cell_time_ms, cell_time_ms * 3, {}};
    const uint64_t count = random.between(1, 4);
    for (uint64_t i = 0; i < count; ++i) batch.commands.push_back(workload.next(i == 0));

    Applied applied, again;
    steady.apply(steady.meta().applied.next(), &batch, applied);
    restarted.apply(restarted.meta().applied.next(), &batch, again);
    steady.check_invariants();
    REQUIRE(steady.digest() == restarted.digest());
    compare_with_model(batch, applied);
    for (const Reply& reply : applied.replies) {
      granted += std::holds_alternative<Granted>(reply.answer);
      workload.learn(reply);
    }
    for (LeaseId lease : applied.ended) workload.forget(lease);
    if (random.chance(0.1)) record(random.chance(0.3));
    if (random.chance(0.05)) steady.take_changes();
  }

  void compare_with_model(const Batch& batch, const Applied& applied) {
    model.replies.clear();
    for (const Command& command : batch.commands) model.apply(cell_time_ms, command);
    std::vector<std::string> replies;
    for (const Reply& reply : applied.replies) {
      replies.push_back(
          SimpleModel::reply_text(reply.client, reply.number, SimpleModel::text_of(reply.answer)));
    }
    // A command's own answer and those of others that it brought about come in no order that
    // anybody relies on; tokens say in which order grants were made.
    REQUIRE(lines(replies) == lines(model.replies));
    REQUIRE(steady.meta().revision.value == model.revision());
  }

  // The changes so far reach the disk; perhaps the node restarts from there.
  void record(bool restart) {
    disk.apply(restarted.take_changes());
    REQUIRE(digest_of(disk.rows()) == restarted.digest());
    if (!restart) return;
    LockTable fresh;
    const auto problem = fresh.restore(disk.rows());
    REQUIRE_MESSAGE(!problem, *problem);
    restarted = std::move(fresh);
    restarted.check_invariants();
  }
};

}  // namespace

TEST_CASE("model: random histories agree with the simple model, restarts or not") {
  constexpr uint64_t kSeeds = 60;
  size_t granted = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    CAPTURE(seed);
    Run run(seed);
    for (int i = 0; i < 500; ++i) {
      CAPTURE(i);
      run.step();
    }
    granted += run.granted;
  }
  // The histories are worth their time only if much is granted in them.
  CHECK(granted > kSeeds * 100);
}
