// Calls of clients that wait for the node's answer.
//
// A call lives in the promise that the RPC system waits for: it is answered once, or destroyed
// because the caller or its connection is gone. The table gives each a name that the node can use
// without knowing whether it still lives.
#pragma once

#include <cstdint>
#include <vector>

#include "lockcore/base/assert.h"
#include "lockcore/node/effects.h"

namespace holdfast::daemon {

class Call {
 public:
  // One of these, once: whichever fits what was asked.
  virtual void on_reply(const node::CommandReply&) { HF_ASSERT(false && "asked no command"); }
  virtual void on_reply(const node::RenewReply&) { HF_ASSERT(false && "asked no renewal"); }
  virtual void on_reply(const node::ReadReply&) { HF_ASSERT(false && "asked no read"); }
  virtual void on_reply(const node::AdminReply&) {
    HF_ASSERT(false && "asked nothing of the kind");
  }

 protected:
  ~Call() = default;
};

class CallTable {
 public:
  node::ClientRef add(Call& call) {
    if (free_.empty()) {
      free_.push_back(static_cast<uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    uint32_t index = free_.back();
    free_.pop_back();
    slots_[index].call = &call;
    // The slot is used again, the name never: the generation makes the difference.
    return (static_cast<uint64_t>(++slots_[index].generation) << 32) | index;
  }

  // The call of this name, whose name ends with this; null if it is gone.
  Call* take(node::ClientRef ref) {
    auto index = static_cast<uint32_t>(ref);
    if (index >= slots_.size() || slots_[index].generation != ref >> 32) return nullptr;
    Call* call = slots_[index].call;
    if (call == nullptr) return nullptr;
    slots_[index].call = nullptr;
    free_.push_back(index);
    return call;
  }

  size_t size() const { return slots_.size() - free_.size(); }

 private:
  struct Slot {
    Call* call = nullptr;
    uint32_t generation = 0;
  };
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;  // indices of slots_ without a call
};

}  // namespace holdfast::daemon
