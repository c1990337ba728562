#include "tests/sim/schedule.h"

#include <algorithm>
#include <functional>

#include "lockcore/base/random.h"
#include "tests/sim/checkers/clock_checker.h"

namespace holdfast::sim {
namespace {

class Drawing {
 public:
  explicit Drawing(const Options& options)
      : options_(options), random_(base::Random(~options.seed).next()) {}

  Faults draw() {
    draw_weather();
    draw_processes();
    draw_partitions();
    draw_disks();
    draw_clocks();
    draw_clients();
    draw_usurpers();
    draw_lost_disks();
    draw_programs();
    draw_members();
    draw_odd_clocks();
    draw_rot();
    std::ranges::stable_sort(faults_, {}, &Fault::at_ms);
    return std::move(faults_);
  }

 private:
  int64_t between(int64_t low, int64_t high) {
    return static_cast<int64_t>(
        random_.between(static_cast<uint64_t>(low), static_cast<uint64_t>(high)));
  }
  bool often(double likelihood) { return random_.chance(likelihood); }
  void add(FaultKind kind, int64_t at_ms, int64_t for_ms, Targets who, Targets whom = 0,
           int64_t how = 0) {
    faults_.push_back({kind, at_ms, for_ms, who, whom, how});
  }
  // Calls `draw` for moments of the run, if this seed has such faults at all. As likely every
  // 500 to 1000 ms as every 8 to 16 s: rare faults let much happen meanwhile.
  void sometimes(double likelihood, const std::function<void(int64_t at_ms)>& draw) {
    if (!often(likelihood)) return;
    const int64_t floor_ms = 500 << random_.below(5);
    const int64_t every_ms = between(floor_ms, 2 * floor_ms);
    const int64_t end = kCalmStartMs + options_.run_ms;
    for (int64_t at = kCalmStartMs + between(0, 2 * every_ms); at < end;
         at += between(1, 2 * every_ms)) {
      draw(at);
    }
  }

  Targets any_node() { return Targets{1} << between(1, options_.nodes); }
  Targets leader_or_any() { return often(0.4) ? kLeader : any_node(); }
  int64_t last_client() const { return options_.clients + options_.programs - 1; }
  Targets any_client() { return Targets{1} << between(0, last_client()); }
  Targets any_program() { return Targets{1} << between(options_.clients, last_client()); }
  Targets some(int64_t first, int64_t last) {
    Targets targets = 0;
    for (int64_t i = first; i <= last; ++i) targets |= Targets{often(0.5)} << i;
    return targets != 0 ? targets : Targets{1} << first;
  }
  Targets some_nodes() { return often(0.6) ? kEverybody : some(1, options_.nodes); }
  // Short ones and long ones alike.
  int64_t up_to(int64_t most_ms) {
    return between(1, std::max<int64_t>(1, most_ms >> random_.below(4)));
  }

  void draw_weather();
  void draw_processes();
  void draw_partitions();
  void draw_disks();
  void draw_clocks();
  void draw_clients();
  void draw_usurpers();
  void draw_lost_disks();
  void draw_programs();
  void draw_members();
  void draw_odd_clocks();
  void draw_rot();

  const Options& options_;
  base::Random random_;
  Faults faults_;
};

// What makes messages unreliable, for the whole run or for a part of it.
void Drawing::draw_weather() {
  const auto weather = [this](double likelihood, FaultKind kind, int64_t most) {
    if (!often(likelihood)) return;
    const int64_t at = kCalmStartMs + (often(0.5) ? 0 : between(0, options_.run_ms / 2));
    const int64_t rest = kCalmStartMs + options_.run_ms - at;
    add(kind, at, often(0.5) ? rest : between(1, rest), 0, 0, between(1, most));
  };
  weather(0.6, FaultKind::kLoss, 150);
  weather(0.4, FaultKind::kTwice, 100);
  weather(0.5, FaultKind::kLate, 50);
}

void Drawing::draw_processes() {
  sometimes(0.6, [this](int64_t at) {
    const Targets who = often(0.1) ? kEverybody : leader_or_any();
    add(FaultKind::kCrash, at, between(1, 3'000), who);
  });
  sometimes(0.3, [this](int64_t at) {
    add(FaultKind::kCrashWithin, at, between(1, 2'000), leader_or_any(), 0, between(0, 6));
  });
  if (often(0.1)) {
    add(FaultKind::kStorm, kCalmStartMs + between(0, options_.run_ms), between(1'000, 8'000),
        some_nodes(), 0, between(50, 1'500));
  }
  sometimes(0.4, [this](int64_t at) {
    const FaultKind kind = often(0.7) ? FaultKind::kPause : FaultKind::kSuspend;
    add(kind, at, up_to(3 * options_.ttl_ms), leader_or_any());
  });
}

void Drawing::draw_partitions() {
  const auto length = [this] { return up_to(6'000); };
  sometimes(0.5, [&](int64_t at) {
    add(FaultKind::kPartition, at, length(), leader_or_any(), some_nodes());
  });
  sometimes(0.4, [&](int64_t at) {
    const bool out = often(0.6);
    const Targets who = leader_or_any();
    add(FaultKind::kDeaf, at, length(), out ? who : some_nodes(), out ? some_nodes() : who);
  });
  sometimes(0.2, [&](int64_t at) {
    add(FaultKind::kLarge, at, length(), leader_or_any(), some_nodes(), between(41, 600));
  });
  sometimes(0.5, [&](int64_t at) {
    add(FaultKind::kCut, at, 0, leader_or_any(), some_nodes(), often(0.5) ? 1 : 0);
  });
}

void Drawing::draw_disks() {
  sometimes(0.4, [this](int64_t at) { add(FaultKind::kStall, at, up_to(4'000), leader_or_any()); });
  sometimes(0.2, [this](int64_t at) {
    add(FaultKind::kSlow, at, up_to(8'000), leader_or_any(), 0, between(1, 60));
  });
  sometimes(0.15,
            [this](int64_t at) { add(FaultKind::kFull, at, between(1, 2'000), leader_or_any()); });
}

// Rates beyond ε end what the belief oracle may say, and so are rare.
void Drawing::draw_clocks() {
  sometimes(0.2, [this](int64_t at) {
    add(FaultKind::kWall, at, 0, any_node(), 0, between(-7'200'000, 7'200'000));
  });
  if (!often(0.12)) return;
  sometimes(0.7, [this](int64_t at) {
    add(FaultKind::kFreeze, at, up_to(3 * options_.ttl_ms), leader_or_any());
  });
  sometimes(0.7, [this](int64_t at) {
    add(FaultKind::kRate, at, up_to(8'000), leader_or_any(), 0, between(200, 3'000));
  });
}

void Drawing::draw_clients() {
  sometimes(0.3, [this](int64_t at) {
    add(FaultKind::kClientPause, at, up_to(3 * options_.ttl_ms), any_client());
  });
  sometimes(0.4, [this](int64_t at) {
    const Targets nodes = often(0.5) ? kLeader : some_nodes();
    add(FaultKind::kClientLost, at, up_to(3 * options_.ttl_ms), any_client(), nodes);
  });
  if (!often(0.15)) return;
  sometimes(0.7, [this](int64_t at) {
    add(FaultKind::kClientFreeze, at, up_to(3 * options_.ttl_ms), any_client());
  });
  sometimes(0.7, [this](int64_t at) {
    add(FaultKind::kClientRate, at, up_to(8'000), any_client(), 0, between(200, 3'000));
  });
}

// A leader fills slots that reach nobody, another leads for a moment, dies, and the first one's
// slots, dug up, stand above what was chosen meanwhile: where old decisions and copies come back.
void Drawing::draw_usurpers() {
  if (options_.nodes < 3) return;
  sometimes(0.35, [this](int64_t at) {
    const int64_t alone = between(20, 2 * options_.ttl_ms);
    const bool heartbeats_pass = often(0.7);
    if (heartbeats_pass) {
      add(FaultKind::kLarge, at, alone + 50, kLeader, kEverybody, between(41, 90));
    } else {
      add(FaultKind::kDeaf, at, alone + 50, kLeader, kEverybody);
    }
    if (often(0.6)) {
      add(FaultKind::kClientLost, at - between(0, options_.ttl_ms), alone + options_.ttl_ms,
          some(0, last_client()), kLeader);
    }
    // Slow disks put much of what happens in the short reign into few slots.
    if (often(0.5)) {
      add(FaultKind::kSlow, at + alone, 6'000, kEverybody, 0, between(10, 250));
    }
    const int64_t reign = options_.election_ms / 2 + up_to(3'000);
    add(FaultKind::kCrash, at + alone, reign + between(-200, 400), kLeader);
    add(FaultKind::kCrash, at + alone + reign, between(500, 4'000), kLeader);
  });
}

// P10 promises something only while a majority is left.
void Drawing::draw_lost_disks() {
  if (options_.nodes < 3 || !often(0.25)) return;
  Targets lost = 0;
  for (int64_t left = between(1, (options_.nodes - 1) / 2); left > 0; --left) {
    const Targets who = any_node();
    if ((lost & who) != 0) continue;
    lost |= who;
    const int64_t at = kCalmStartMs + between(0, options_.run_ms / 2);
    if (often(0.5)) {
      add(FaultKind::kWipe, at, 0, who);
    } else {
      add(FaultKind::kPutBack, at, between(1'000, options_.run_ms / 2), who);
    }
  }
}

void Drawing::draw_programs() {
  if (options_.programs == 0) return;
  sometimes(0.4, [this](int64_t at) {
    add(FaultKind::kClientKill, at, between(1, 3'000), any_program(), 0, often(0.5) ? 1 : 0);
  });
  sometimes(0.5, [this](int64_t at) {
    const Targets nodes = often(0.5) ? kLeader : some_nodes();
    add(FaultKind::kClientCut, at, 0, any_program(), nodes, often(0.2) ? 1 : 0);
  });
  sometimes(0.4, [this](int64_t at) {
    const Targets nodes = often(0.5) ? kLeader : some_nodes();
    add(FaultKind::kClientDeaf, at, up_to(3 * options_.ttl_ms), any_program(), nodes);
  });
  sometimes(0.4, [this](int64_t at) {
    add(FaultKind::kClientLost, at, up_to(3 * options_.ttl_ms), any_program(), some_nodes());
  });
  sometimes(0.4, [this](int64_t at) {
    add(FaultKind::kClientPause, at, up_to(3 * options_.ttl_ms), any_program());
  });
  if (often(0.2)) {
    add(FaultKind::kRefuse, kCalmStartMs, options_.run_ms, 0, 0, between(1, 100));
  }
}

// P7, P9: leaders hand over, nodes come and go. A disk that is lost while the majority is being
// exchanged may be one too many: those are other seeds' matter.
void Drawing::draw_members() {
  const int64_t last = options_.nodes + options_.spares;
  const int64_t end = options_.run_ms;
  sometimes(0.35, [&](int64_t at) {
    add(FaultKind::kTransfer, at, 0, often(0.5) ? kEverybody : Targets{1} << between(1, last));
  });
  if (options_.spares == 0) return;
  std::erase_if(faults_, [](const Fault& fault) {
    return fault.kind == FaultKind::kWipe || fault.kind == FaultKind::kPutBack;
  });
  for (int64_t spare = options_.nodes + 1; spare <= last; ++spare) {
    const Targets who = Targets{1} << spare;
    add(FaultKind::kAdd, kCalmStartMs + between(0, end / 2), between(1'000, end), who);
    sometimes(0.3, [&](int64_t at) { add(FaultKind::kCrash, at, between(1, 3'000), who); });
    sometimes(0.2,
              [&](int64_t at) { add(FaultKind::kPause, at, up_to(3 * options_.ttl_ms), who); });
  }
  for (int64_t left = between(0, last - 1); left > 0; --left) {
    const Targets who = often(0.4) ? kLeader : Targets{1} << between(1, last);
    add(FaultKind::kRemove, kCalmStartMs + between(0, end), between(1'000, end), who);
  }
  sometimes(0.3, [&](int64_t at) {
    add(FaultKind::kMove, at, between(500, 5'000), Targets{1} << between(1, last));
  });
}

// A clock, or two of five, that runs beyond ε for the rest of the run; and calm at first, so that
// its node has to find out, and others lead.
void Drawing::draw_odd_clocks() {
  if (options_.nodes < 3 || !often(0.08)) return;
  const int64_t at = kCalmStartMs + between(0, 2'000);
  const int64_t end = kCalmStartMs + options_.run_ms;
  const Targets first = leader_or_any();
  for (const Targets who : {first, any_node()}) {
    const bool slow = often(0.5);
    const int64_t how = slow ? between(850, 930) : between(1'075, 1'300);
    if (who == first || options_.nodes > 3) add(FaultKind::kRate, at, end - at, who, 0, how);
    if (often(0.7)) break;
  }
  const int64_t calm_until = at + patience_with_clocks_ms(options_, 0.85) + 500;
  std::erase_if(faults_, [&](const Fault& fault) {
    return fault.kind != FaultKind::kRate && fault.at_ms < calm_until;
  });
  std::erase_if(faults_, [&](const Fault& fault) {
    return fault.kind == FaultKind::kRate && fault.at_ms + fault.for_ms < end;
  });
}

// P11. A disk that is lost while another one is damaged may be one too many; and a clock that is to
// be found out wants all else calm.
void Drawing::draw_rot() {
  const int64_t end = kCalmStartMs + options_.run_ms;
  const bool is_other_seeds_matter = std::ranges::any_of(faults_, [&](const Fault& fault) {
    const bool is_odd_clock = fault.kind == FaultKind::kRate && fault.at_ms + fault.for_ms >= end;
    return fault.kind == FaultKind::kWipe || fault.kind == FaultKind::kPutBack || is_odd_clock;
  });
  if (options_.nodes < 3 || options_.spares != 0 || is_other_seeds_matter) return;
  sometimes(0.6, [this](int64_t at) {
    if (often(0.3)) return add(FaultKind::kRotAlive, at, 0, leader_or_any());
    add(FaultKind::kRot, at, up_to(3'000), leader_or_any(), 0, often(0.5) ? between(1, 2) : 0);
  });
}

}  // namespace

Faults draw_faults(const Options& options) {
  return Drawing(options).draw();
}

}  // namespace holdfast::sim
