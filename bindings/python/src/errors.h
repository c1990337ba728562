// Errors of the library as the module's one exception, Failure, with all that is known in its args:
// holdfast._errors makes of it what users see.
#pragma once

#include <holdfast/holdfast.h>
#include <pybind11/pybind11.h>

namespace holdfast::python {

// (class in holdfast._errors, code, message, [(name, value), ...])
pybind11::tuple to_python(const Error& error);

// From here on, an Error that leaves a function of the module becomes a Failure.
void define_failure(pybind11::module_& module);

}  // namespace holdfast::python
