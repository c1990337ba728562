// What the cell tells, as plain tuples: holdfast._values makes the dataclasses of them.
#pragma once

#include <holdfast/holdfast.h>
#include <pybind11/pybind11.h>

namespace holdfast::python {

pybind11::tuple to_python(const Owner& owner);
pybind11::tuple to_python(const Holder& holder);
pybind11::tuple to_python(const Waiter& waiter);
pybind11::tuple to_python(const LockInfo& lock);
pybind11::tuple to_python(const LeaseInfo& lease);
pybind11::tuple to_python(const NodeStatus& node);
pybind11::tuple to_python(const CellStatus& status);

template <class Row>
pybind11::list to_python(const std::vector<Row>& rows) {
  pybind11::list list;
  for (const Row& row : rows) list.append(to_python(row));
  return list;
}

// CLOCK_BOOTTIME seconds.
double to_seconds(Deadline deadline);
double to_seconds(nanoseconds duration);

}  // namespace holdfast::python
