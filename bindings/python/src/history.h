// What happened and what happens: watches, observers, the history, why somebody waits.
#pragma once

#include <holdfast/holdfast.h>
#include <pybind11/pybind11.h>

namespace holdfast::python {

void define_watches(pybind11::module_& module);
void define_history(pybind11::class_<Cell>& cell);

}  // namespace holdfast::python
