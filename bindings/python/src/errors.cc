#include "bindings/python/src/errors.h"

#include <pybind11/stl.h>

namespace py = pybind11;

namespace holdfast::python {

namespace {

// The class in holdfast._errors. A code that has none of its own is an Error with that code.
const char* class_of(Code code) {
  switch (code) {
    case Code::invalid_argument: return "InvalidArgument";
    case Code::lease_not_found: return "LeaseLost";
    case Code::lease_lost: return "LeaseLost";
    case Code::not_held: return "NotHeld";
    case Code::lock_lost: return "LockLost";
    case Code::already_held: return "AlreadyHeld";
    case Code::fenced: return "Fenced";
    case Code::timeout: return "Timeout";
    case Code::cancelled: return "Cancelled";
    case Code::deadlock: return "Deadlock";
    case Code::lock_delay: return "LockDelay";
    case Code::conflict: return "Conflict";
    case Code::compacted: return "Compacted";
    case Code::not_leader: return "Unavailable";
    case Code::unavailable: return "Unavailable";
    case Code::resource_exhausted: return "ResourceExhausted";
    case Code::permission_denied: return "PermissionDenied";
    case Code::unauthenticated: return "PermissionDenied";
    case Code::forked: return "Forked";
    case Code::would_block:
    case Code::unsupported:
    case Code::internal: break;
  }
  return "Error";
}

}  // namespace

py::tuple to_python(const Error& error) {
  return py::make_tuple(class_of(error.code()), std::string(code_name(error.code())),
                        std::string(error.what()), error.detail());
}

void define_failure(py::module_& module) {
  static PyObject* failure = nullptr;
  failure = PyErr_NewException("holdfast._holdfast.Failure", PyExc_Exception, nullptr);
  module.attr("Failure") = py::handle(failure);
  py::register_local_exception_translator([](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Error& error) {
      PyErr_SetObject(failure, to_python(error).ptr());
    }
  });
}

}  // namespace holdfast::python
