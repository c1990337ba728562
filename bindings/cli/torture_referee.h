// Who believes to hold what, among the contenders of one torture run, and whether that can be.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "holdfast/holdfast.h"

namespace holdfast::cli {

// Thread-safe.
class Referee {
 public:
  // A hold was granted; it stays on record until leave(). `grant` must outlive that. What is wrong:
  // somebody else is certain of a hold that conflicts with it while this one is certain, too; or
  // the token isn't greater than those of conflicting grants that came before; or it came twice.
  // nullopt: nothing.
  std::optional<std::string> enter(const std::string& lock, const Grant& grant);
  void leave(const std::string& lock, const Grant& grant);

  // Whether a write with this hold's token would be admitted by what the lock protects.
  bool admits(const std::string& lock, const Grant& grant);

 private:
  struct Name {
    std::vector<const Grant*> believers;
    std::set<uint64_t> tokens;  // of all grants
  };

  std::mutex mutex_;
  std::map<std::string, Name> names_;
  Fence fence_;
};

}  // namespace holdfast::cli
