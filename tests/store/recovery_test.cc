// Recovery: the record and the log rows above it give back the very state that was lost (DESIGN 8).
#include <doctest/doctest.h>

#include "lockcore/base/random.h"
#include "lockcore/locks/lock_table.h"
#include "tests/store/samples.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using namespace holdfast::store_test;
using base::Mode;

namespace {

// Commands of a few clients that work on a few locks, many of them refused.
class Workload {
 public:
  Workload(uint64_t seed, const locks::LockTable& of) : random(seed), table(of) {}

  locks::Batch next() {
    locks::Batch batch{cell_ms += random.below(50), 1'700'000'000'000 + cell_ms, {}};
    for (uint64_t i = random.between(1, 5); i > 0; --i) batch.commands.push_back(command());
    return batch;
  }
  void learn(const locks::Applied& applied) {
    for (const locks::Reply& reply : applied.replies) {
      if (const auto* made = std::get_if<locks::ClientRegistered>(&reply.answer)) {
        clients.push_back({made->client});
      }
    }
    leases.insert(leases.end(), applied.opened.begin(), applied.opened.end());
  }

  base::Random random;

 private:
  struct Client {
    base::ClientId id;
    uint64_t number = 0;
  };

  locks::Command command() {
    if (clients.empty() || random.chance(0.03)) return {{}, locks::RegisterClient{60'000}};
    if (random.chance(0.02)) return {{}, locks::NewLeader{{1, {1}}}};
    if (random.chance(0.02)) return {{}, locks::ExpireLeases{{1, {1}}, {lease(), lease()}}};
    Client& client = clients[random.below(clients.size())];
    locks::OpId op{client.id, ++client.number, 0, {}};
    // Some are never told of, so that there are ranges.
    if (random.chance(0.6)) op.lowest_unanswered = op.number - std::min(op.number, uint64_t{20});
    if (op.number > 3 && random.chance(0.5)) op.answered.push_back(op.number - 2);
    return {op, body(client)};
  }
  locks::Body body(const Client& client) {
    const uint64_t kind = random.below(100);
    if (kind < 15 || leases.empty()) return locks::OpenLease{1000, 0, secret(), owner()};
    if (kind < 19) return locks::CloseLease{lease()};
    if (kind < 25) return locks::CancelWait{random.between(1, client.number)};
    const std::vector<base::HoldRow> holds = table.rows().holds;
    if (kind < 65 || holds.empty()) {
      const Mode mode = random.chance(0.5) ? Mode::kShared : Mode::kExclusive;
      return locks::Acquire{lease(),
                            {random.between(1, 3)},
                            {random.below(3)},
                            {{name(), mode, 1, 0}},
                            random.chance(0.8),
                            random.chance(0.5) ? "why" : ""};
    }
    const base::HoldRow& hold = holds[random.below(holds.size())];
    return locks::Release{hold.lease, hold.lock, hold.token};
  }
  // One of the latest.
  base::LeaseId lease() {
    if (leases.empty()) return {1};
    return leases[leases.size() - 1 - random.below(std::min<size_t>(leases.size(), 10))];
  }
  std::string name() { return "ü/" + std::to_string(random.below(4)); }
  std::string secret() { return std::string(16, static_cast<char>(random.below(256))); }
  base::Owner owner() { return {"host", random.below(3), "boot", "program", "user", "", "1", 7}; }

  uint64_t cell_ms = 1;
  std::vector<Client> clients;
  std::vector<base::LeaseId> leases;
  const locks::LockTable& table;
};

// What a start makes of a directory.
locks::LockTable recover(const std::string& dir) {
  const auto log = open_log(dir);
  base::StateRows rows = open_state(dir)->load();
  const base::Slot recorded = rows.meta.applied;
  locks::LockTable table;
  const auto problem = table.restore(std::move(rows));
  REQUIRE_MESSAGE(!problem, *problem);
  for (const base::Entry& entry : log->recover(recorded).entries) {
    std::string why;
    const auto batch = locks::decode_batch(*entry.value, why);
    REQUIRE_MESSAGE(batch, why);
    locks::Applied applied;
    table.apply(entry.slot, &*batch, applied);
  }
  table.check_invariants();
  return table;
}

}  // namespace

TEST_CASE("recovery: record and log give back the state as it was, at whatever slot it ended") {
  TempDir dir(TempDir::kInMemory);
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    const std::string data = dir.path() + "/" + std::to_string(seed);
    const auto log = open_log(data);
    const auto state = open_state(data);
    locks::LockTable table;
    Workload workload(seed, table);
    for (uint64_t slot = 1; slot <= 300; ++slot) {
      const locks::Batch batch = workload.next();
      write_one(*log, entry_write(slot, locks::encode_batch(batch)));
      locks::Applied applied;
      table.apply({slot}, &batch, applied);
      workload.learn(applied);
      if (workload.random.chance(0.1)) state->write(table.take_changes());
      if (workload.random.chance(0.02)) log->checkpoint();
      if (workload.random.chance(0.02)) state->checkpoint();
      if (!workload.random.chance(0.1)) continue;
      const std::string copy = data + "-copy";
      copy_directory(data, copy);
      CHECK(recover(copy).digest() == table.digest());
      std::filesystem::remove_all(copy);
    }
    CHECK(table.counts().grants_total > 100);
  }
}
