#include "daemon/client_service.h"

#include <kj/async.h>

#include <optional>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "daemon/client_admin.h"
#include "daemon/client_reads.h"
#include "daemon/random.h"
#include "daemon/record_calls.h"
#include "daemon/waiting_call.h"
#include "lockcore/base/lease_text.h"
#include "lockcore/base/limits.h"
#include "rpc/connection.h"
#include "rpc/convert.h"
#include "rpc/key_convert.h"
#include "rpc/peer_convert.h"
#include "rpc/peer_server.h"

namespace holdfast::daemon {
namespace {

// Capabilities that one connection may keep: attach(), or an open that is refused, costs the caller
// nothing. Leases beyond that come without one, and are renewed and closed by their ids.
constexpr size_t kMaxClientsPerConnection = 4096;
constexpr size_t kMaxLeasesPerConnection = 100'000;
constexpr size_t kMaxSnapshotReadBytes = 512 * 1024;  // of one answer
// Cap'n Proto would clear 8 KiB for every answer; most take a few dozen bytes.
constexpr capnp::MessageSize kSmallAnswer{32, 0};
constexpr capnp::MessageSize kAnswerWithCapability{48, 1};

template <class Context>
kj::Promise<void> answer_now(Context& context, const base::Error& error) {
  rpc::fill_answer(error, context.getResults(kSmallAnswer).initAnswer());
  return kj::READY_NOW;
}

// Proposes the command, and calls filled(answer, results) once the answer is in the results.
template <class Context, class Filled>
kj::Promise<void> propose(NodeAccess& access, locks::Command command, Context context,
                          capnp::MessageSize size, Filled filled) {
  context.releaseParams();
  context.allowCancellation();
  return wait_for_node<node::CommandReply>(
      access, [&](node::ClientRef ref) { access.command(ref, std::move(command)); },
      [context, size, filled = kj::mv(filled)](const node::CommandReply& reply) mutable {
        auto results = context.getResults(size);
        rpc::fill_answer(reply.answer, results.initAnswer());
        filled(reply.answer, results);
      });
}

template <class Context>
kj::Promise<void> propose(NodeAccess& access, locks::Command command, Context context) {
  return propose(access, std::move(command), context, kSmallAnswer, [](auto&, auto&) {});
}

// Reads the whole table by the leader's word; fill(context) runs then, or the error is told.
template <class Context, class Fill>
kj::Promise<void> read(NodeAccess& access, Context context, Fill fill,
                       void (NodeAccess::*how)(node::ClientRef) = &NodeAccess::read) {
  context.allowCancellation();
  return wait_for_node<node::ReadReply>(
      access, [&access, how](node::ClientRef ref) { (access.*how)(ref); },
      [context, fill = kj::mv(fill)](const node::ReadReply& reply) mutable {
        if (reply.error) {
          rpc::fill_error(*reply.error, context.getResults(kSmallAnswer).initError());
        } else {
          fill(context);
        }
      });
}

// On whose behalf a capability's calls are made, or why none can be.
struct Caller {
  base::ClientId client;
  std::optional<base::Error> refusal;  // the answer to whatever is pipelined behind a failed call
};

// The operation's id as the command will carry it. On a pipelined call the client can't know its
// own id yet, and leaves it out.
rpc::Read<locks::OpId> read_op(const Caller& caller, wire::OpId::Reader from) {
  if (caller.refusal) return *caller.refusal;
  auto read = rpc::read_op(from);
  if (auto* op = std::get_if<locks::OpId>(&read)) {
    if (!op->client) op->client = caller.client;
    if (op->client != caller.client) {
      return base::Error{base::ErrorCode::kInvalidArgument,
                         fmt::format("the operation is client {}'s, the capability client {}'s",
                                     op->client.value, caller.client.value),
                         {}};
    }
  }
  return read;
}

std::optional<base::Error> refusal_of(const locks::Answer& answer) {
  const auto* error = std::get_if<base::Error>(&answer);
  return error == nullptr ? std::nullopt : std::optional(*error);
}

// Reads the operation and its body, lets `adjust` complete the body, and proposes both.
template <class Body, class Context, class Adjust>
kj::Promise<void> propose_read(NodeAccess& access, const Caller& caller, Context context,
                               rpc::Read<Body> read_body, Adjust adjust) {
  auto op = read_op(caller, context.getParams().getOp());
  if (auto* error = std::get_if<base::Error>(&op)) return answer_now(context, *error);
  if (auto* error = std::get_if<base::Error>(&read_body)) return answer_now(context, *error);
  Body& body = std::get<Body>(read_body);
  if (std::optional<base::Error> wrong = adjust(body)) return answer_now(context, *wrong);
  return propose(access, locks::Command{std::get<locks::OpId>(std::move(op)), std::move(body)},
                 context);
}

template <class Body, class Context>
kj::Promise<void> propose_read(NodeAccess& access, const Caller& caller, Context context,
                               rpc::Read<Body> read_body) {
  return propose_read(access, caller, context, std::move(read_body),
                      [](Body&) { return std::optional<base::Error>(); });
}

// A connection, as long as any of its capabilities or calls lives, and how many it keeps.
struct Kept {
  explicit Kept(NodeAccess& to) : access(to), access_alive(to.alive()), via(to.name_connection()) {}
  ~Kept() {
    if (*access_alive) access.disconnected(via);
  }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  NodeAccess& access;
  const std::shared_ptr<const bool> access_alive;
  const uint64_t via;
  size_t clients = 0;
  size_t leases = 0;
};
// Counts one, as long as it lives.
class Counted {
 public:
  Counted(std::shared_ptr<Kept> kept, size_t Kept::*kind) : kept_(std::move(kept)), kind_(kind) {
    ++(*kept_.*kind_);
  }
  ~Counted() { --(*kept_.*kind_); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  const std::shared_ptr<Kept>& kept() const { return kept_; }

 private:
  const std::shared_ptr<Kept> kept_;
  size_t Kept::*const kind_;
};

class LeaseServer final : public wire::Lease::Server {
 public:
  LeaseServer(NodeAccess& access, Caller caller, base::LeaseId lease, std::shared_ptr<Kept> kept)
      : access_(access),
        caller_(std::move(caller)),
        lease_(lease),
        counted_(std::move(kept), &Kept::leases) {}

  kj::Promise<void> acquire(AcquireContext context) override {
    return propose_read(access_, caller_, context,
                        rpc::read_acquire(context.getParams().getAcquire()),
                        [this](locks::Acquire& acquire) { return complete(acquire.lease); });
  }
  kj::Promise<void> release(ReleaseContext context) override {
    return propose_read(access_, caller_, context,
                        rpc::read_release(context.getParams().getRelease()),
                        [this](locks::Release& release) { return complete(release.lease); });
  }
  kj::Promise<void> close(CloseContext context) override {
    return propose_read(access_, caller_, context,
                        rpc::Read<locks::CloseLease>(locks::CloseLease{lease_}));
  }
  kj::Promise<void> renew(RenewContext context) override {
    if (caller_.refusal) {
      rpc::fill_error(*caller_.refusal, context.getResults(kSmallAnswer).initError());
      return kj::READY_NOW;
    }
    context.allowCancellation();
    return wait_for_node<node::RenewReply>(
        access_,
        [this](node::ClientRef ref) {
          access_.renew(ref, {{lease_}, caller_.client, counted_.kept()->via});
        },
        [context](const node::RenewReply& reply) mutable {
          auto results = context.getResults(kSmallAnswer);
          if (reply.error) {
            rpc::fill_error(*reply.error, results.initError());
          } else {
            results.setAlive(reply.leases.front() == node::Renewal::kAlive);
          }
        });
  }

 private:
  std::optional<base::Error> complete(base::LeaseId& lease) const {
    if (!lease) lease = lease_;
    if (lease == lease_) return std::nullopt;
    return base::Error{base::ErrorCode::kInvalidArgument,
                       fmt::format("the request names lease {}, the capability lease {}",
                                   base::lease_text(lease), base::lease_text(lease_)),
                       {}};
  }

  NodeAccess& access_;
  const Caller caller_;
  const base::LeaseId lease_;
  const Counted counted_;
};

class ClientRecordServer final : public wire::ClientRecord::Server {
 public:
  ClientRecordServer(NodeAccess& access, Caller caller, std::shared_ptr<Kept> kept)
      : access_(access), caller_(std::move(caller)), counted_(std::move(kept), &Kept::clients) {}

  kj::Promise<void> openLease(OpenLeaseContext context) override {
    auto params = context.getParams();
    auto op = read_op(caller_, params.getOp());
    auto open = rpc::read_open_lease(params.getOpen());
    auto* error = std::get_if<base::Error>(&op);
    if (error == nullptr) error = std::get_if<base::Error>(&open);
    if (error != nullptr) return refuse_lease(context, std::move(*error));
    locks::OpenLease& body = std::get<locks::OpenLease>(open);
    // Drawn here and not in the core: it travels in the command, so that every node knows the same.
    if (body.secret.empty()) body.secret = random_bytes(base::kSecretBytes);
    locks::Command command{std::get<locks::OpId>(std::move(op)), std::move(body)};
    return propose(access_, std::move(command), context, kAnswerWithCapability,
                   [this](const locks::Answer& answer, auto& results) {
                     const auto* opened = std::get_if<locks::LeaseOpened>(&answer);
                     give_lease(results, refusal_of(answer),
                                opened == nullptr ? base::LeaseId{} : opened->lease);
                   });
  }
  kj::Promise<void> closeLease(CloseLeaseContext context) override {
    locks::CloseLease close{base::LeaseId{context.getParams().getLease()}};
    return propose_read(access_, caller_, context, rpc::Read<locks::CloseLease>(close));
  }
  kj::Promise<void> acquire(AcquireContext context) override {
    return propose_read(access_, caller_, context,
                        rpc::read_acquire(context.getParams().getAcquire()));
  }
  kj::Promise<void> cancelWait(CancelWaitContext context) override {
    locks::CancelWait cancel{context.getParams().getTarget()};
    return propose_read(access_, caller_, context, rpc::Read<locks::CancelWait>(cancel));
  }
  kj::Promise<void> release(ReleaseContext context) override {
    return propose_read(access_, caller_, context,
                        rpc::read_release(context.getParams().getRelease()));
  }
  kj::Promise<void> convert(ConvertContext context) override {
    return propose_read(access_, caller_, context,
                        rpc::read_convert(context.getParams().getConvert()));
  }
  kj::Promise<void> setHoldValue(SetHoldValueContext context) override {
    return propose_read(access_, caller_, context,
                        rpc::read_set_value(context.getParams().getSet()));
  }
  kj::Promise<void> forceRelease(ForceReleaseContext context) override {
    return propose_read(access_, caller_, context, rpc::read_force(context.getParams().getForce()));
  }
  kj::Promise<void> txn(TxnContext context) override {
    return propose_read(access_, caller_, context, rpc::read_txn(context.getParams().getTxn()));
  }
  kj::Promise<void> setPolicy(SetPolicyContext context) override {
    return propose_read(access_, caller_, context,
                        rpc::read_set_policy(context.getParams().getPolicy()));
  }
  kj::Promise<void> adoptLease(AdoptLeaseContext context) override {
    return propose_read(access_, caller_, context,
                        rpc::read_adopt_lease(context.getParams().getAdopt()));
  }
  kj::Promise<void> forget(ForgetContext context) override {
    return propose_read(access_, caller_, context,
                        rpc::Read<locks::ForgetClient>(locks::ForgetClient{}));
  }

 private:
  kj::Promise<void> refuse_lease(OpenLeaseContext& context, base::Error error) {
    auto results = context.getResults(kAnswerWithCapability);
    rpc::fill_answer(error, results.initAnswer());
    give_lease(results, std::move(error), base::LeaseId{});
    return kj::READY_NOW;
  }
  template <class Results>
  void give_lease(Results& results, std::optional<base::Error> refusal, base::LeaseId lease) {
    if (counted_.kept()->leases >= kMaxLeasesPerConnection) return;
    results.setLease(kj::heap<LeaseServer>(access_, Caller{caller_.client, std::move(refusal)},
                                           lease, counted_.kept()));
  }

  NodeAccess& access_;
  const Caller caller_;
  const Counted counted_;
};

// One per connection, which may keep only so many capabilities.
class CellServer final : public wire::Cell::Server {
 public:
  CellServer(NodeAccess& access, const Identity& identity)
      : access_(access), identity_(identity), kept_(std::make_shared<Kept>(access)) {}

  // `register` is a keyword of C++: the schema compiler calls it register_.
  kj::Promise<void> register_(RegisterContext context) override {
    locks::Command command{{}, locks::RegisterClient{context.getParams().getTtlMs()}};
    return propose(access_, std::move(command), context, kAnswerWithCapability,
                   [this](const locks::Answer& answer, auto& results) {
                     const auto* registered = std::get_if<locks::ClientRegistered>(&answer);
                     Caller caller{registered == nullptr ? base::ClientId{} : registered->client,
                                   refusal_of(answer)};
                     results.setClient(client(std::move(caller)));
                   });
  }
  kj::Promise<void> attach(AttachContext context) override {
    Caller caller{base::ClientId{context.getParams().getClient()}, std::nullopt};
    context.getResults(kAnswerWithCapability).setClient(client(std::move(caller)));
    return kj::READY_NOW;
  }
  kj::Promise<void> renew(RenewContext context) override {
    auto leases = rpc::read_leases(context.getParams().getLeases());
    if (auto* error = std::get_if<base::Error>(&leases)) {
      rpc::fill_error(*error, context.getResults(kSmallAnswer).initError());
      return kj::READY_NOW;
    }
    const base::ClientId caller{context.getParams().getClient()};
    context.releaseParams();
    context.allowCancellation();
    return wait_for_node<node::RenewReply>(
        access_,
        [&](node::ClientRef ref) {
          access_.renew(
              ref, {std::get<std::vector<base::LeaseId>>(std::move(leases)), caller, kept_->via});
        },
        [context](const node::RenewReply& reply) mutable {
          auto size = kSmallAnswer;
          size.wordCount += reply.leases.size() / 64;
          auto results = context.getResults(size);
          if (reply.error) {
            rpc::fill_error(*reply.error, results.initError());
            return;
          }
          auto alive = results.initAlive(static_cast<unsigned>(reply.leases.size()));
          for (unsigned i = 0; i < reply.leases.size(); ++i) {
            alive.set(i, reply.leases[i] == node::Renewal::kAlive);
          }
        });
  }
  kj::Promise<void> describe(DescribeContext context) override {
    return read(access_, context, [this](DescribeContext& asked) {
      fill_describe(access_.node(), asked.getParams(), asked.getResults());
    });
  }
  kj::Promise<void> locks(LocksContext context) override {
    return read(access_, context, [this](LocksContext& asked) {
      fill_locks(access_.node(), asked.getParams(), asked.getResults());
    });
  }
  kj::Promise<void> lease(LeaseContext context) override {
    return read(access_, context, [this](LeaseContext& asked) {
      fill_lease(access_.node(), asked.getParams(), asked.getResults());
    });
  }
  kj::Promise<void> leases(LeasesContext context) override {
    return read(access_, context, [this](LeasesContext& asked) {
      fill_leases(access_.node(), asked.getParams(), asked.getResults());
    });
  }
  kj::Promise<void> verify(VerifyContext context) override {
    return read(access_, context, [this](VerifyContext& asked) {
      fill_verify(access_.node().table(), asked.getParams(), asked.getResults());
    });
  }
  kj::Promise<void> transferLeader(TransferLeaderContext context) override {
    return transfer_leader(access_, context);
  }
  kj::Promise<void> changeMember(ChangeMemberContext context) override {
    return change_member(access_, context);
  }
  kj::Promise<void> get(GetContext context) override {
    if (context.getParams().getStale()) {
      fill_get(access_.node(), context.getParams(), context.getResults());
      return kj::READY_NOW;
    }
    const auto fill = [this](GetContext& asked) {
      fill_get(access_.node(), asked.getParams(), asked.getResults());
    };
    return read(access_, context, fill, &NodeAccess::read_here);
  }
  kj::Promise<void> keys(KeysContext context) override {
    if (context.getParams().getStale()) {
      fill_keys(access_.node(), context.getParams(), context.getResults());
      return kj::READY_NOW;
    }
    const auto fill = [this](KeysContext& asked) {
      fill_keys(access_.node(), asked.getParams(), asked.getResults());
    };
    return read(access_, context, fill, &NodeAccess::read_here);
  }
  kj::Promise<void> policies(PoliciesContext context) override {
    return read(access_, context, [this](PoliciesContext& asked) {
      fill_policies(access_.node().table(), asked.getResults());
    });
  }
  kj::Promise<void> why(WhyContext context) override {
    return read(access_, context, [this](WhyContext& asked) {
      fill_why(access_.node(), asked.getParams(), asked.getResults());
    });
  }
  kj::Promise<void> events(EventsContext context) override {
    return answer_events(access_, context);
  }
  kj::Promise<void> sql(SqlContext context) override { return answer_sql(access_, context); }
  kj::Promise<void> status(StatusContext context) override {
    if (context.getParams().getVerify()) access_.verify();
    fill_status(access_, identity_, context.getResults().initStatus());
    return kj::READY_NOW;
  }

 private:
  kj::Own<ClientRecordServer> client(Caller caller) {
    if (kept_->clients >= kMaxClientsPerConnection) {
      kj::throwFatalException(KJ_EXCEPTION(OVERLOADED,
                                           "too many client capabilities are kept on "
                                           "this connection: drop some"));
    }
    return kj::heap<ClientRecordServer>(access_, std::move(caller), kept_);
  }

  NodeAccess& access_;
  const Identity& identity_;
  const std::shared_ptr<Kept> kept_;
};

// What operators ask of this node, whatever its role.
class OperatorServer final : public wire::Operator::Server {
 public:
  explicit OperatorServer(NodeAccess& access) : access_(access) {}

  kj::Promise<void> readSnapshot(ReadSnapshotContext context) override {
    auto asked = context.getParams();
    const size_t bytes = std::min<uint64_t>(asked.getMaxBytes(), kMaxSnapshotReadBytes);
    context.allowCancellation();
    return access_
        .read_snapshot(asked.getId(), asked.getOffset(), bytes, base::Slot{asked.getAtLeast()})
        .then([context](base::SnapshotPart&& part) mutable {
          if (part.id != 0) return rpc::fill_snapshot_part(part, context.getResults().initPart());
          rpc::fill_error({base::ErrorCode::kCompacted,
                           "the snapshot is not to be had (any more): begin anew; a cell in which "
                           "nothing was ever recorded has none",
                           {}},
                          context.getResults(kSmallAnswer).initError());
        });
  }

  kj::Promise<void> barrier(BarrierContext context) override {
    const auto proposed = access_.propose_barrier();
    if (const auto* error = std::get_if<base::Error>(&proposed)) {
      rpc::fill_error(*error, context.getResults().initError());
    } else {
      context.getResults(kSmallAnswer).setSlot(std::get<base::Slot>(proposed).value);
    }
    return kj::READY_NOW;
  }

 private:
  NodeAccess& access_;
};

class HoldfastServer final : public wire::Holdfast::Server {
 public:
  HoldfastServer(NodeAccess& access, const Identity& identity,
                 std::shared_ptr<rpc::ConnectionHandle> connection)
      : access_(access),
        cell_(kj::heap<CellServer>(access, identity)),
        connection_(std::move(connection)) {}

  kj::Promise<void> enter(EnterContext context) override {
    if (connection_->for_peers_only()) {
      kj::throwFatalException(KJ_EXCEPTION(OVERLOADED,
                                           "this node has as many connections as it "
                                           "may have: ask another one, or later"));
    }
    auto results = context.getResults();
    results.setCell(cell_);
    results.setProtocol(std::min(wire::PROTOCOL_VERSION, context.getParams().getProtocol()));
    results.setVersion(HOLDFAST_VERSION);
    return kj::READY_NOW;
  }
  kj::Promise<void> operate(OperateContext context) override {
    context.getResults(kAnswerWithCapability).setNode(kj::heap<OperatorServer>(access_));
    return kj::READY_NOW;
  }
  kj::Promise<void> peer(PeerContext context) override {
    return access_.peer_server().peer(context, connection_);
  }

 private:
  NodeAccess& access_;
  wire::Cell::Client cell_;
  const std::shared_ptr<rpc::ConnectionHandle> connection_;
};

}  // namespace

struct ClientService::State {
  NodeAccess& access;
  const Identity identity;
};

ClientService::ClientService(NodeAccess& access, Identity identity)
    : state_(new State{access, std::move(identity)}) {}

ClientService::~ClientService() = default;

capnp::Capability::Client ClientService::bootstrap(
    std::shared_ptr<rpc::ConnectionHandle> connection) {
  return kj::heap<HoldfastServer>(state_->access, state_->identity, std::move(connection));
}

}  // namespace holdfast::daemon
