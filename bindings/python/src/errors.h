// Errors of the library as Python's exceptions: holdfast._errors makes them.
#pragma once

#include <holdfast/holdfast.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <string>

namespace holdfast::python {

// The exception object; `lock` and `token` say of which lock and grant it tells, where known.
pybind11::object to_exception(const Error& error, const std::optional<std::string>& lock = {},
                              std::optional<uint64_t> token = {});

// Runs `work` and throws what it throws as Python's exception about this lock.
template <class Work>
auto about(const std::string& lock, std::optional<uint64_t> token, Work work) {
  try {
    return work();
  } catch (const Error& error) {
    pybind11::object exception = to_exception(error, lock, token);
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
    throw pybind11::error_already_set();
  }
}

// From here on, any Error that leaves a function of the module becomes its exception.
void register_errors();

}  // namespace holdfast::python
