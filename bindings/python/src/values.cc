#include "bindings/python/src/values.h"

#include <string>

namespace py = pybind11;
using namespace pybind11::literals;

namespace holdfast::python {

namespace {

py::object make(const char* name) { return py::module_::import("holdfast._values").attr(name); }

// A wall time in seconds, as time.time() gives it.
double wall_seconds(int64_t unix_ms) { return static_cast<double>(unix_ms) / 1e3; }
double seconds_of(milliseconds duration) { return static_cast<double>(duration.count()) / 1e3; }

py::object to_python(const Owner& owner) {
  return make("Owner")("host"_a = owner.host, "pid"_a = owner.pid, "boot_id"_a = owner.boot_id,
                       "program"_a = owner.program, "user"_a = owner.user,
                       "reason"_a = owner.reason, "version"_a = owner.version,
                       "started_at"_a = wall_seconds(owner.started_at_ms));
}

py::object to_python(const Holder& holder) {
  return make("Holder")("lease"_a = holder.lease, "holder"_a = holder.holder,
                        "mode"_a = holder.mode, "permits"_a = holder.permits,
                        "token"_a = holder.token,
                        "acquired_at"_a = wall_seconds(holder.acquired_at_ms),
                        "owner"_a = to_python(holder.owner));
}

py::object to_python(const Waiter& waiter) {
  return make("Waiter")("lease"_a = waiter.lease, "holder"_a = waiter.holder,
                        "mode"_a = waiter.mode, "permits"_a = waiter.permits,
                        "position"_a = waiter.position,
                        "waiting_since"_a = wall_seconds(waiter.waiting_since_ms),
                        "owner"_a = to_python(waiter.owner));
}

py::object to_python(const NodeStatus& node) {
  return make("NodeStatus")(
      "id"_a = node.id, "name"_a = node.name, "address"_a = node.address, "role"_a = node.role,
      "pid"_a = node.pid, "version"_a = node.version, "ballot"_a = node.ballot,
      "chosen"_a = node.chosen, "applied"_a = node.applied, "recorded"_a = node.recorded,
      "lag"_a = node.lag, "waiting_for"_a = node.waiting_for, "leases"_a = node.leases,
      "locks"_a = node.locks, "holds"_a = node.holds, "waiters"_a = node.waiters,
      "log_bytes"_a = node.log_bytes, "state_bytes"_a = node.state_bytes);
}

template <class Row>
py::tuple tuple_of(const std::vector<Row>& rows) {
  py::list list;
  for (const Row& row : rows) list.append(to_python(row));
  return py::tuple(list);
}

}  // namespace

py::object to_python(const LockInfo& lock) {
  return make("LockInfo")("name"_a = lock.name, "kind"_a = lock.kind, "mode"_a = lock.mode,
                          "capacity"_a = lock.capacity, "holders"_a = tuple_of(lock.holders),
                          "waiters"_a = tuple_of(lock.waiters), "delay_remaining"_a = 0.0,
                          "value"_a = py::none(), "revision"_a = lock.revision);
}

py::object to_python(const LeaseInfo& lease) {
  py::list holds;
  for (const auto& [lock, token] : lease.holds) {
    holds.append(make("Hold")("lock"_a = lock, "token"_a = token));
  }
  return make("LeaseInfo")("lease"_a = lease.lease, "ttl"_a = seconds_of(lease.ttl),
                           "remaining"_a = seconds_of(lease.remaining),
                           "opened_at"_a = wall_seconds(lease.opened_at_ms),
                           "owner"_a = to_python(lease.owner), "holds"_a = py::tuple(holds),
                           "waits"_a = lease.waits);
}

py::object to_python(const CellStatus& status) {
  py::object leader = py::none();
  for (const NodeStatus& node : status.nodes) {
    if (node.role == "leader") leader = py::int_(node.id);
  }
  return make("CellStatus")("cell"_a = status.cell, "leader"_a = leader,
                            "revision"_a = status.revision, "nodes"_a = tuple_of(status.nodes));
}

double to_seconds(Deadline deadline) { return to_seconds(deadline.boottime); }
double to_seconds(nanoseconds duration) { return static_cast<double>(duration.count()) / 1e9; }

}  // namespace holdfast::python
