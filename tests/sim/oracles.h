// The oracles that watch the nodes, together: whatever a machine does is told to them.
#pragma once

#include "tests/sim/checkers/claim_checker.h"
#include "tests/sim/checkers/clock_checker.h"
#include "tests/sim/checkers/fence_checker.h"
#include "tests/sim/checkers/leader_checker.h"
#include "tests/sim/checkers/life_checker.h"
#include "tests/sim/checkers/log_checker.h"
#include "tests/sim/checkers/model_checker.h"
#include "tests/sim/checkers/state_checker.h"
#include "tests/sim/options.h"

namespace holdfast::sim {

struct Oracles {
  Oracles(World& world, const Options& options)
      : claims(world),
        clocks(world, options),
        leaders(world, log, base::Duration::from_ms(options.election_ms)),
        lives(world),
        fence(world),
        model(world, fence),
        log(world, options.voters(),
            [this](base::Slot slot, base::EntryKind kind, const std::string& value) {
              model.on_chosen(slot, kind, value);
            }),
        states(world, model) {}
  Oracles(const Oracles&) = delete;

  ClaimChecker claims;
  ClockChecker clocks;
  LeaderChecker leaders;
  LifeChecker lives;
  FenceChecker fence;
  ModelChecker model;
  LogChecker log;
  StateChecker states;
};

}  // namespace holdfast::sim
