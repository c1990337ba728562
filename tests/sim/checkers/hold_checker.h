// Oracle: what the library tells those who acquire and release is true, then and ever after.
//
// "Granted" is this acquire's own grant, by the chosen commands; of one acquire there is one grant
// at most. After a sure "no" (not acquired, cancelled, refused) it neither holds nor waits, and
// never will. After "released" nobody holds with that token. Acquires are told apart by their
// reasons, which travel in the commands.
//
// With the model checker this makes linearizable histories of what callers are told: an answer is
// that of its command's place in the log, and a command is chosen after its call began and before
// its answer is told. So an operation that ended before another one began has the earlier slot:
// the order of the log is the order of real time, and nothing remains to be searched for.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "tests/sim/checkers/model_checker.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class HoldChecker final : public ModelChecker::Listener {
 public:
  // One acquire of one caller; its reason is its number.
  using Acquire = uint64_t;

  HoldChecker(World& world, ModelChecker& model) : world_(world), model_(model) {
    model.set_listener(this);
  }

  Acquire begin(const std::string& lock);
  // -- what its caller is told --------------------------------------------------------------------
  void on_granted(Acquire acquire, base::Token token);
  void on_refused(Acquire acquire);
  // It is refused because it would wait for itself: then its caller held something that it knew of.
  void on_deadlock(Acquire acquire);
  void on_released(Acquire acquire);

  void on_command(const locks::Command& command) override;
  void on_outcome(const base::AnswerKey& key, const std::string& outcome) override;

 private:
  struct Fate {
    std::string lock;
    bool refused = false;
    bool holds_known = false;  // when it was chosen, its caller held what it had been told of
    base::LeaseId lease;       // as the command said; 0: none was chosen yet
    base::HolderId holder;
    std::string granted;  // "token 12"
    base::Token token;    // as its caller was told
  };
  void fail(Acquire acquire, const std::string& what);

  World& world_;
  const ModelChecker& model_;
  Acquire last_ = 0;
  std::unordered_map<Acquire, Fate> fates_;
  std::map<base::AnswerKey, Acquire> by_number_;
  std::unordered_set<base::Token> told_;
};

}  // namespace holdfast::sim
