// Joining a living cell (--join): asks its leader, again and again, to take this empty node in as a
// learner, until that answers with the cell's record.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lockcore/base/config.h"
#include "rpc/address.h"
#include "rpc/uv_event_port.h"

namespace holdfast::daemon {

class Joiner {
 public:
  struct Self {
    base::NodeId id;
    base::Incarnation incarnation;
    std::string address;
  };
  // `joined` is called once, from a KJ event.
  Joiner(rpc::UvEventPort& port, Self self, std::vector<rpc::Address> cell,
         std::function<void(const base::Config&)> joined);
  ~Joiner();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::daemon
