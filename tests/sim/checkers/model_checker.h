// Oracle: clients are told, and nodes hold, exactly what one machine would say and hold that
// carried out the chosen commands one after the other. So answers are linearizable, given once,
// first come first served, and waiters that may be served are.
//
// It decodes the chosen batches and carries them out on the simple model of the unit tests, which
// shares no code with the lock table.
#pragma once

#include <map>
#include <set>
#include <string>

#include "lockcore/base/log_row.h"
#include "lockcore/base/state_rows.h"
#include "lockcore/locks/command.h"
#include "tests/sim/checkers/fence_checker.h"
#include "tests/sim/world.h"
#include "tests/unit/locks/simple_model.h"

namespace holdfast::sim {

class ModelChecker {
 public:
  // Told of each command that is chosen and of each outcome, before anybody else can know of them.
  class Listener {
   public:
    virtual void on_command(const locks::Command& command) = 0;
    virtual void on_outcome(const base::AnswerKey& key, const std::string& outcome) = 0;

   protected:
    ~Listener() = default;
  };

  ModelChecker(World& world, FenceChecker& fence) : world_(world), fence_(fence) {}
  // Slots come in order.
  void on_chosen(base::Slot slot, base::EntryKind kind, const std::string& value);
  // A node told a client this answer to its operation.
  void on_told(base::NodeId node, const base::AnswerKey& key, const locks::Answer& answer);
  // A node's state is this, after rows.meta.applied.
  void on_state(base::NodeId node, const base::StateRows& rows);
  // A node's clock runs beyond ε: cell time follows no bound any more.
  void on_wild_clock() { wild_clocks_ = true; }

  void set_listener(Listener* listener) { listener_ = listener; }
  // As of the last chosen slot.
  const locks::SimpleModel& model() const { return model_; }

 private:
  void check_cell_time(uint64_t cell_time_ms);
  void note_grant(const std::string& outcome);

  World& world_;
  FenceChecker& fence_;  // is told of grants
  locks::SimpleModel model_;
  Listener* listener_ = nullptr;
  // Cell time and true time of the first batch: cell time must not run ahead of true time.
  int64_t first_cell_ms_ = -1;
  int64_t first_true_ms_ = 0;
  bool wild_clocks_ = false;
  std::map<base::AnswerKey, std::set<std::string>> outcomes_;
  std::map<base::Slot, std::string> claims_;  // of the newest slots, as text
};

}  // namespace holdfast::sim
