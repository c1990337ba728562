// What the cell tells, as the frozen dataclasses of holdfast._values.
#pragma once

#include <holdfast/holdfast.h>
#include <pybind11/pybind11.h>

namespace holdfast::python {

pybind11::object to_python(const LockInfo& lock);
pybind11::object to_python(const LeaseInfo& lease);
pybind11::object to_python(const CellStatus& status);

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
