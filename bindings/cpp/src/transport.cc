// Transport: connecting, calling, and what the results are as plain data.
#include "bindings/cpp/src/transport.h"

#include "bindings/cpp/src/infos.h"
#include "lockcore/base/lease_text.h"
#include "rpc/convert.h"
#include "rpc/dial.h"
#include "rpc/key_convert.h"

namespace holdfast::client {

namespace {

constexpr uint64_t kSnapshotReadBytes = 512 * 1024;
constexpr uint64_t kSlotMask = (1u << 24) - 1;  // of a RequestId: the core's op slot

std::string text_of(const kj::Exception& error) {
  return std::string(error.getDescription().begin(), error.getDescription().end());
}

}  // namespace

// -- connections ----------------------------------------------------------------------------------

void Transport::connect(ConnectionId id, const std::string& address) {
  Link& link = links_[id];
  link.task = run(id, link, address).eagerlyEvaluate([this, id](kj::Exception&& error) {
    events_.push_back(Disconnected{id, text_of(error)});
  });
}

kj::Promise<void> Transport::run(ConnectionId id, Link& link, const std::string& text) {
  std::string why;
  std::optional<rpc::Address> address = rpc::parse_address(text, why);
  if (!address) return KJ_EXCEPTION(FAILED, "not an address", why.c_str());
  return rpc::dial(port_, *address).then([this, id, &link](kj::Own<rpc::BufferedStream> stream) {
    return serve(id, link, kj::mv(stream));
  });
}

// Lasts as long as the connection.
kj::Promise<void> Transport::serve(ConnectionId id, Link& link,
                                   kj::Own<rpc::BufferedStream> stream) {
  link.client = kj::heap<rpc::Client>(kj::mv(stream));
  auto request = link.client->bootstrap().castAs<wire::Holdfast>().enterRequest();
  request.setProtocol(wire::PROTOCOL_VERSION);
  request.setLibrary(("holdfast-cpp " + std::string(version())).c_str());
  auto entered = request.send();
  link.cell = entered.getCell();  // calls on it are sent along with enter()
  events_.push_back(Connected{id});
  auto refused = entered.then([](auto&& results) -> kj::Promise<void> {
    if (results.getProtocol() < 1) return KJ_EXCEPTION(FAILED, "speaks no common protocol");
    return kj::NEVER_DONE;
  });
  return link.client->on_disconnect()
      .exclusiveJoin(kj::mv(refused))
      .then([]() -> kj::Promise<void> {
        return KJ_EXCEPTION(DISCONNECTED, "the connection was closed");
      });
}

void Transport::close(ConnectionId id) {
  links_.erase(id);
}

wire::ClientRecord::Client& Transport::record(Link& link, uint64_t client) {
  auto found = link.records.find(client);
  if (found != link.records.end()) return found->second;
  auto request = link.cell.attachRequest();
  request.setClient(client);
  return link.records.emplace(client, request.send().getClient()).first->second;
}

wire::Operator::Client& Transport::operated(Link& link) {
  if (!link.operated) {
    auto request = link.client->bootstrap().castAs<wire::Holdfast>().operateRequest();
    link.operated = request.send().getNode();
  }
  return *link.operated;
}

// -- requests -------------------------------------------------------------------------------------

void Transport::send(ConnectionId connection, RequestId id, const Request& body) {
  size_t slot = id & kSlotMask;
  if (slot >= flights_.size()) flights_.resize(slot + 1);
  auto link = links_.find(connection);
  if (link == links_.end() || link->second.client.get() == nullptr) return;  // its end is reported
  flights_[slot].request = id;
  flights_[slot].promise =
      call(link->second, id, body).eagerlyEvaluate([this, id](kj::Exception&& error) {
        fail(id, error);
      });
}

void Transport::drop(RequestId id) {
  Flight& flight = flights_[id & kSlotMask];
  if (flight.request != id) return;
  flight.promise = nullptr;
  flight.request = 0;
}

void Transport::take_events(std::vector<Event>& events) {
  events.clear();
  events.swap(events_);
}

void Transport::fail(RequestId id, const kj::Exception& error) {
  switch (error.getType()) {
    case kj::Exception::Type::DISCONNECTED: return;  // the link's own end is reported once for all
    case kj::Exception::Type::OVERLOADED:
      events_.push_back(
          Arrived{id, base::Error{base::ErrorCode::kUnavailable, text_of(error), {}}});
      return;
    case kj::Exception::Type::UNIMPLEMENTED:
      events_.push_back(Arrived{id, CallFailed{Code::unsupported, text_of(error)}});
      return;
    case kj::Exception::Type::FAILED:
      events_.push_back(Arrived{id, CallFailed{Code::internal, text_of(error)}});
  }
}

template <class Promise, class Convert>
kj::Promise<void> Transport::then(RequestId id, Promise&& promise, Convert convert) {
  return promise.then([this, id, convert](auto&& results) {
    events_.push_back(Arrived{id, convert(results)});
  });
}

template <class Promise>
kj::Promise<void> Transport::answer(RequestId id, Promise&& promise) {
  return then(id, promise,
              [](auto&& results) -> Response { return rpc::read_answer(results.getAnswer()); });
}

kj::Promise<void> Transport::register_client(Link& link, RequestId id) {
  return link.cell.registerRequest().send().then([this, id, &link](auto&& results) {
    locks::Answer answer = rpc::read_answer(results.getAnswer());
    if (const auto* registered = std::get_if<locks::ClientRegistered>(&answer)) {
      link.records.emplace(registered->client.value, results.getClient());
    }
    events_.push_back(Arrived{id, std::move(answer)});
  });
}

kj::Promise<void> Transport::mutate(Link& link, RequestId id, const locks::Command& command) {
  wire::ClientRecord::Client& client = record(link, command.op.client.value);
  if (const auto* acquire = std::get_if<locks::Acquire>(&command.body)) {
    auto request = client.acquireRequest();
    rpc::fill_op(command.op, request.initOp());
    rpc::fill_acquire(*acquire, request.initAcquire());
    return answer(id, request.send());
  }
  if (const auto* release = std::get_if<locks::Release>(&command.body)) {
    auto request = client.releaseRequest();
    rpc::fill_op(command.op, request.initOp());
    rpc::fill_release(*release, request.initRelease());
    return answer(id, request.send());
  }
  if (const auto* cancel = std::get_if<locks::CancelWait>(&command.body)) {
    auto request = client.cancelWaitRequest();
    rpc::fill_op(command.op, request.initOp());
    request.setTarget(cancel->target);
    return answer(id, request.send());
  }
  if (const auto* convert = std::get_if<locks::Convert>(&command.body)) {
    auto request = client.convertRequest();
    rpc::fill_op(command.op, request.initOp());
    rpc::fill_convert(*convert, request.initConvert());
    return answer(id, request.send());
  }
  if (const auto* set = std::get_if<locks::SetHoldValue>(&command.body)) {
    auto request = client.setHoldValueRequest();
    rpc::fill_op(command.op, request.initOp());
    rpc::fill_set_value(*set, request.initSet());
    return answer(id, request.send());
  }
  if (const auto* force = std::get_if<locks::ForceRelease>(&command.body)) {
    auto request = client.forceReleaseRequest();
    rpc::fill_op(command.op, request.initOp());
    rpc::fill_force(*force, request.initForce());
    return answer(id, request.send());
  }
  if (const auto* txn = std::get_if<locks::Txn>(&command.body)) {
    auto request = client.txnRequest();
    rpc::fill_op(command.op, request.initOp());
    rpc::fill_txn(*txn, request.initTxn());
    return answer(id, request.send());
  }
  if (const auto* policy = std::get_if<locks::SetPolicy>(&command.body)) {
    auto request = client.setPolicyRequest();
    rpc::fill_op(command.op, request.initOp());
    rpc::fill_set_policy(*policy, request.initPolicy());
    return answer(id, request.send());
  }
  if (const auto* open = std::get_if<locks::OpenLease>(&command.body)) {
    auto request = client.openLeaseRequest();
    rpc::fill_op(command.op, request.initOp());
    rpc::fill_open_lease(*open, request.initOpen());
    return answer(id, request.send());
  }
  if (const auto* adopt = std::get_if<locks::AdoptLease>(&command.body)) {
    auto request = client.adoptLeaseRequest();
    rpc::fill_op(command.op, request.initOp());
    rpc::fill_adopt_lease(*adopt, request.initAdopt());
    return answer(id, request.send());
  }
  if (const auto* close = std::get_if<locks::CloseLease>(&command.body)) {
    auto request = client.closeLeaseRequest();
    rpc::fill_op(command.op, request.initOp());
    request.setLease(close->lease.value);
    return answer(id, request.send());
  }
  KJ_REQUIRE(std::holds_alternative<locks::ForgetClient>(command.body), "not a client's command");
  auto request = client.forgetRequest();
  rpc::fill_op(command.op, request.initOp());
  return answer(id, request.send());
}

// One call for each kind of request.
struct Transport::Call {
  Transport& transport;
  Link& link;
  RequestId id;

  template <class Promise, class Convert>
  kj::Promise<void> then(Promise&& promise, Convert convert) {
    return transport.then(id, promise, std::move(convert));
  }

  kj::Promise<void> operator()(const locks::Command& command) {
    return transport.mutate(link, id, command);
  }
  kj::Promise<void> operator()(const RegisterRequest&) {
    return transport.register_client(link, id);
  }
  kj::Promise<void> operator()(const RenewRequest& renew) {
    auto request = link.cell.renewRequest();
    request.setClient(renew.client.value);
    auto leases = request.initLeases(static_cast<unsigned>(renew.leases.size()));
    for (unsigned i = 0; i < leases.size(); ++i) leases.set(i, renew.leases[i].value);
    return then(request.send(), [](auto&& results) { return renewed(results); });
  }
  kj::Promise<void> operator()(const DescribeRequest& describe) {
    auto request = link.cell.describeRequest();
    request.setName(describe.name);
    return then(request.send(), [](auto&& results) { return described(results); });
  }
  kj::Promise<void> operator()(const VerifyRequest& verify) {
    auto request = link.cell.verifyRequest();
    request.setName(verify.name);
    request.setToken(verify.token.value);
    return then(request.send(), [](auto&& results) { return verified(results); });
  }
  kj::Promise<void> operator()(const LocksRequest& list) {
    auto request = link.cell.locksRequest();
    request.setPrefix(list.prefix);
    request.setAfter(list.after);
    request.setLimit(list.limit);
    return then(request.send(), [](auto&& results) { return locks_page(results); });
  }
  kj::Promise<void> operator()(const LeaseRequest& lease) {
    auto request = link.cell.leaseRequest();
    request.setId(lease.lease.value);
    return then(request.send(), [](auto&& results) { return lease_described(results); });
  }
  kj::Promise<void> operator()(const LeasesRequest& list) {
    auto request = link.cell.leasesRequest();
    request.setAfter(list.after.value);
    request.setLimit(list.limit);
    return then(request.send(), [](auto&& results) { return leases_page(results); });
  }
  kj::Promise<void> operator()(const SnapshotRequest& snapshot) {
    auto request = transport.operated(link).readSnapshotRequest();
    request.setId(snapshot.id);
    request.setOffset(snapshot.offset);
    request.setMaxBytes(kSnapshotReadBytes);
    request.setAtLeast(snapshot.at_least.value);
    return then(request.send(), [](auto&& results) { return snapshot_part(results); });
  }
  kj::Promise<void> operator()(const TransferRequest& transfer) {
    auto request = link.cell.transferLeaderRequest();
    request.setTo(transfer.to);
    return then(request.send(), [](auto&& results) { return transferred(results); });
  }
  kj::Promise<void> operator()(const EventsRequest& events) {
    auto request = link.cell.eventsRequest();
    request.setName(events.query.name);
    request.setExact(events.query.exact);
    request.setAfter(events.query.after);
    request.setFromNow(events.from_now);
    request.setMaxAgeMs(static_cast<uint64_t>(events.query.max_age.count()));
    request.setLimit(events.query.limit);
    request.setWaitMs(events.wait_ms);
    request.setStale(events.stale);
    return then(request.send(), [](auto&& results) { return events_page(results); });
  }
  kj::Promise<void> operator()(const SqlRequest& sql) {
    auto request = link.cell.sqlRequest();
    request.setQuery(sql.query);
    return then(request.send(), [](auto&& results) { return sql_rows(results); });
  }
  kj::Promise<void> operator()(const WhyRequest& why) {
    auto request = link.cell.whyRequest();
    request.setName(why.name);
    request.setLease(why.lease.value);
    std::string name = why.name.empty() ? base::lease_text(why.lease) : why.name;
    return then(request.send(),
                [name = std::move(name)](auto&& results) { return why_told(results, name); });
  }
  kj::Promise<void> operator()(const GetRequest& get) {
    auto request = link.cell.getRequest();
    request.setKey(get.key);
    request.setStale(get.stale);
    return then(request.send(), [](auto&& results) { return key_found(results); });
  }
  kj::Promise<void> operator()(const KeysRequest& list) {
    auto request = link.cell.keysRequest();
    request.setPrefix(list.prefix);
    request.setAfter(list.after);
    request.setLimit(list.limit);
    request.setStale(list.stale);
    return then(request.send(), [](auto&& results) { return keys_page(results); });
  }
  kj::Promise<void> operator()(const MemberRequest& change) {
    auto request = link.cell.changeMemberRequest();
    auto to = request.initChange();
    to.setNode(change.node);
    switch (change.kind) {
      case MemberRequest::Kind::add: to.initAdd().setAddress(change.address); break;
      case MemberRequest::Kind::promote: to.setPromote(); break;
      case MemberRequest::Kind::remove: to.setRemove(); break;
      case MemberRequest::Kind::update: to.setUpdate(change.address); break;
    }
    return then(request.send(), [](auto&& results) { return member_changed(results); });
  }
  kj::Promise<void> operator()(const BarrierRequest&) {
    return then(transport.operated(link).barrierRequest().send(),
                [](auto&& results) { return barrier_of(results); });
  }
  kj::Promise<void> operator()(const PoliciesRequest&) {
    return then(link.cell.policiesRequest().send(),
                [](auto&& results) { return policy_list(results); });
  }
  kj::Promise<void> operator()(const StatusRequest& status) {
    auto request = link.cell.statusRequest();
    request.setVerify(status.verify);
    return then(request.send(), [](auto&& results) { return status_of(results.getStatus()); });
  }
};

kj::Promise<void> Transport::call(Link& link, RequestId id, const Request& body) {
  return std::visit(Call{*this, link, id}, body);
}

}  // namespace holdfast::client
