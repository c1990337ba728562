// Keys, transactions and drains, as methods of the extension's Cell.
#pragma once

#include <holdfast/holdfast.h>
#include <pybind11/pybind11.h>

namespace holdfast::python {

void define_keys(pybind11::class_<Cell>& cell);

}  // namespace holdfast::python
