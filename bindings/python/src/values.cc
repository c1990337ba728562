#include "bindings/python/src/values.h"

#include <pybind11/stl.h>

namespace py = pybind11;

namespace holdfast::python {

namespace {

// A wall time in seconds, as time.time() gives it.
double wall_seconds(int64_t unix_ms) {
  return static_cast<double>(unix_ms) / 1e3;
}

}  // namespace

py::tuple to_python(const Owner& owner) {
  return py::make_tuple(owner.host, owner.pid, owner.boot_id, owner.program, owner.user,
                        owner.reason, owner.version, wall_seconds(owner.started_at_ms));
}

py::tuple to_python(const Holder& holder) {
  return py::make_tuple(holder.lease, holder.holder, holder.mode, holder.permits, holder.token,
                        wall_seconds(holder.acquired_at_ms), to_python(holder.owner));
}

py::tuple to_python(const Waiter& waiter) {
  return py::make_tuple(waiter.lease, waiter.holder, waiter.mode, waiter.permits, waiter.position,
                        wall_seconds(waiter.waiting_since_ms), to_python(waiter.owner));
}

py::tuple to_python(const NodeStatus& node) {
  return py::make_tuple(node.id, node.name, node.address, node.role, node.pid, node.version,
                        node.ballot, node.chosen, node.applied, node.recorded, node.lag,
                        node.waiting_for, node.leases, node.locks, node.holds, node.waiters,
                        node.log_bytes, node.state_bytes, node.clock_ppm, node.clock_error_ppm,
                        node.clock_trouble, node.clock_stands_back);
}

py::tuple to_python(const LockInfo& lock) {
  return py::make_tuple(lock.name, lock.kind, lock.mode, lock.capacity, to_python(lock.holders),
                        to_python(lock.waiters), to_seconds(lock.delay_remaining),
                        py::bytes(lock.value), lock.revision);
}

py::tuple to_python(const LeaseInfo& lease) {
  return py::make_tuple(lease.lease, to_seconds(lease.ttl), to_seconds(lease.remaining),
                        wall_seconds(lease.opened_at_ms), to_python(lease.owner), lease.holds,
                        lease.waits);
}

py::tuple to_python(const CellStatus& status) {
  return py::make_tuple(status.cell, status.revision, to_python(status.nodes));
}

double to_seconds(Deadline deadline) {
  return to_seconds(deadline.boottime);
}
double to_seconds(nanoseconds duration) {
  return static_cast<double>(duration.count()) / 1e9;
}

}  // namespace holdfast::python
