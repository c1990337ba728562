// A call that waits for the node's answer, as a promise.
#pragma once

#include <kj/async.h>

#include <memory>

#include "daemon/calls.h"
#include "daemon/node_access.h"

namespace holdfast::daemon {

// It lives in the promise that the RPC system holds: when the caller drops the call or its
// connection ends, the node is told that nobody waits any more.
template <class Reply, class Done>
class WaitingCall final : public Call {
 public:
  template <class Ask>
  WaitingCall(kj::PromiseFulfiller<void>& fulfiller, NodeAccess& access, Ask&& ask, Done done)
      : fulfiller_(fulfiller), access_(access), done_(kj::mv(done)), ref_(access.begin(*this)) {
    ask(ref_);
  }
  ~WaitingCall() {
    if (*alive_) access_.drop(ref_);
  }

  void on_reply(const Reply& reply) override {
    fulfiller_.rejectIfThrows([&] { done_(reply); });
    fulfiller_.fulfill();  // after a rejection it does nothing
  }

 private:
  kj::PromiseFulfiller<void>& fulfiller_;
  NodeAccess& access_;
  const std::shared_ptr<const bool> alive_ = access_.alive();
  Done done_;
  const node::ClientRef ref_;
};

// Calls ask(ref) now and done(reply) when the node has answered.
template <class Reply, class Ask, class Done>
kj::Promise<void> wait_for_node(NodeAccess& access, Ask&& ask, Done done) {
  return kj::newAdaptedPromise<void, WaitingCall<Reply, Done>>(access, kj::fwd<Ask>(ask),
                                                               kj::mv(done));
}

}  // namespace holdfast::daemon
