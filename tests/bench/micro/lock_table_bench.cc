// What the lock table costs: memory for each lease with a lock, CPU time for each pair of acquire
// and release, alone and beside many other locks. Run by hand: lock_table_bench [LEASES]
#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "lockcore/locks/lock_table.h"

using namespace holdfast::locks;
using namespace holdfast::base;

namespace {

// CPU time: a machine that does something else as well doesn't spoil the figures.
double cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

double heap_bytes() {
  const auto info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

struct Bench {
  LockTable table;
  Applied applied;
  ClientId client;
  uint64_t number = 0;
  std::vector<LeaseId> leases;

  Bench() {
    apply({{{}, RegisterClient{}}, {{}, NewLeader{{1, NodeId{1}}}}});
    client = std::get<ClientRegistered>(applied.replies.at(0).answer).client;
  }

  void apply(std::vector<Command> commands) { apply(Batch{1, 1, std::move(commands)}); }
  void apply(const Batch& batch) {
    applied.clear();
    table.apply(table.meta().applied.next(), &batch, applied);
  }
  OpId next_op() {
    ++number;
    return {client, number, number, {}};
  }
  Command acquire(LeaseId lease, std::string lock) {
    return {next_op(), Acquire{lease, {1}, {1}, {{std::move(lock)}}, true, ""}};
  }

  void add_leases(size_t count) {
    const Owner owner{"host.example.org", 4242, "boot-id", "program", "user", "", "1.0", 1};
    for (size_t i = 0; i < count; ++i) {
      const OpenLease open{10'000, 0, std::string(16, 's'), owner};
      apply(Batch{1, 1, {{next_op(), open}}});
      leases.push_back(applied.opened.at(0));
      apply({acquire(leases.back(), "bench/locks/number-" + std::to_string(leases.size()))});
      if (i % 10'000 == 0) table.take_changes();
    }
    table.take_changes();
  }

  void fill(size_t count) {
    const double heap = heap_bytes(), start = cpu_ns();
    add_leases(count);
    const auto each = static_cast<double>(count);
    std::printf("%zu leases with a lock each: %.0f ns and %.0f bytes each\n", count,
                (cpu_ns() - start) / each, (heap_bytes() - heap) / each);
  }

  // Batches of 32 acquires, then of their releases, through their bytes.
  void pairs(size_t rounds) {
    constexpr size_t kBatch = 32;
    double encoding = 0, decoding = 0, applying = 0;
    size_t bytes = 0;
    const auto run = [&](const Batch& batch) {
      const double start = cpu_ns();
      const std::string encoded = encode_batch(batch);
      const double encoded_at = cpu_ns();
      std::string why;
      const auto decoded = decode_batch(encoded, why);
      const double decoded_at = cpu_ns();
      apply(*decoded);
      applying += cpu_ns() - decoded_at;
      decoding += decoded_at - encoded_at;
      encoding += encoded_at - start;
      bytes += encoded.size();
    };
    for (size_t round = 0; round < rounds; ++round) {
      Batch acquires{1, 1, {}}, releases{1, 1, {}};
      const LeaseId lease = leases.at(leases.size() / 2);
      const auto name = [](size_t i) { return "bench/pair/" + std::to_string(i); };
      for (size_t i = 0; i < kBatch; ++i) acquires.commands.push_back(acquire(lease, name(i)));
      run(acquires);
      for (size_t i = 0; i < kBatch; ++i) {
        const Token token = std::get<Granted>(applied.replies.at(i).answer).tokens.at(0);
        releases.commands.push_back({next_op(), Release{lease, name(i), token}});
      }
      run(releases);
      if (round % 64 == 0) table.take_changes();
    }
    const auto count = static_cast<double>(rounds * kBatch);
    std::printf("a pair: encode %.0f, decode %.0f, apply %.0f ns; %.0f bytes\n", encoding / count,
                decoding / count, applying / count, static_cast<double>(bytes) / count);
  }

  void restart_and_expire() {
    const double start = cpu_ns();
    LockTable fresh;
    if (const auto problem = fresh.restore(table.rows())) std::puts(problem->c_str());
    const double restored = cpu_ns();
    const auto each = static_cast<double>(leases.size());
    for (size_t i = 0; i < leases.size(); i += 5000) {
      const auto first = leases.begin() + static_cast<ptrdiff_t>(i);
      const auto rest = leases.end() - first;
      apply({{{}, ExpireLeases{{1, NodeId{1}}, {first, first + std::min<ptrdiff_t>(rest, 5000)}}}});
    }
    std::printf("rows and restore: %.0f ms; expiry: %.0f ns each\n", (restored - start) / 1e6,
                (cpu_ns() - restored) / each);
  }
};

}  // namespace

int main(int argc, char** argv) {
  Bench bench;
  bench.add_leases(1);
  bench.pairs(10'000);
  bench.fill(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 100'000);
  bench.pairs(10'000);
  bench.restart_and_expire();
}
