// The extension module holdfast._holdfast: thin classes over the C++ library. Whatever waits here
// releases the GIL and ends on a signal whose handler raises; what users see is in the package
// around it.
#include <holdfast/holdfast.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/python/src/errors.h"
#include "bindings/python/src/events.h"
#include "bindings/python/src/history.h"
#include "bindings/python/src/keys.h"
#include "bindings/python/src/values.h"
#include "bindings/python/src/wait.h"

namespace py = pybind11;
using namespace pybind11::literals;

namespace holdfast::python {

namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// -- cells ----------------------------------------------------------------------------------------

Cell connect(std::vector<std::string> endpoints, int64_t timeout_ms, std::string program) {
  CellOptions options;
  options.endpoints = std::move(endpoints);
  options.request_timeout = milliseconds(timeout_ms);
  options.program = std::move(program);
  return Cell::connect(std::move(options));
}

Session open_session(Cell& cell, int64_t ttl_ms, int64_t lock_delay_ms, std::string reason,
                     bool drop_on_disconnect, std::string lease, std::string secret,
                     std::shared_ptr<Events> events, uint64_t key) {
  SessionOptions options;
  options.drop_on_disconnect = drop_on_disconnect;
  options.lease = std::move(lease);
  options.secret = std::move(secret);
  options.ttl = milliseconds(ttl_ms);
  options.lock_delay = milliseconds(lock_delay_ms);
  options.reason = std::move(reason);
  options.on_jeopardy = [events, key](nanoseconds left) {
    events->jeopardy(key, Deadline{Deadline::now().boottime + left});
  };
  options.on_lost = [events, key](const Error& why) { events->lost(key, why); };
  return await_value<Session>([&](Callback<Session> done) {
    cell.open_session_async(std::move(options), std::move(done));
  });
}

py::list locks(Cell& cell, const std::string& prefix) {
  using Rows = std::vector<LockInfo>;
  return to_python(
      await_value<Rows>([&](Callback<Rows> done) { cell.locks_async(prefix, std::move(done)); }));
}

py::list leases(Cell& cell) {
  using Rows = std::vector<LeaseInfo>;
  return to_python(
      await_value<Rows>([&](Callback<Rows> done) { cell.leases_async(std::move(done)); }));
}

py::tuple describe(Cell& cell, const std::string& name) {
  return to_python(await_value<LockInfo>(
      [&](Callback<LockInfo> done) { cell.describe_async(name, std::move(done)); }));
}

py::tuple status(Cell& cell) {
  return to_python(await_value<CellStatus>(
      [&](Callback<CellStatus> done) { cell.status_async(std::move(done)); }));
}

// Takes a second or so if the cell doesn't answer; no signal shortens that.
void close_cell(Cell& cell) {
  std::optional<Error> failed;
  PyThreadState* state = PyEval_SaveThread();  // as in Signal::wait()
  try {
    cell.close();
  } catch (const Error& error) {
    failed = error;
  }
  PyEval_RestoreThread(state);
  if (failed) throw *failed;
}

void define_cell(py::module_& module) {
  py::class_<Cell> cells(module, "Cell");
  define_history(cells);
  define_keys(cells);
  cells.def(py::init(&connect), "endpoints"_a, "timeout_ms"_a, "program"_a)
      .def("open_session", &open_session, "ttl_ms"_a, "lock_delay_ms"_a, "reason"_a,
           "drop_on_disconnect"_a, "lease"_a, "secret"_a, "events"_a, "key"_a)
      .def("describe", &describe, "name"_a)
      .def("locks", &locks, "prefix"_a)
      .def("leases", &leases)
      .def("status", &status)
      .def("verify",
           [](Cell& cell, const std::string& name, uint64_t token) {
             return await_value<bool>(
                 [&](Callback<bool> done) { cell.verify_async(name, token, std::move(done)); });
           })
      .def("force_release",
           [](Cell& cell, const std::string& name, uint64_t token, std::string reason) {
             await_finished([&](Finished done) {
               cell.force_release_async(name, token, std::move(reason), std::move(done));
             });
           })
      .def("close", &close_cell);
}

// -- sessions -------------------------------------------------------------------------------------

// The package has looked at the mode's name.
LockOptions options_of(const std::string& mode, std::string reason, uint32_t capacity,
                       uint32_t permits) {
  return {.mode = mode_named(mode).value(),
          .reason = std::move(reason),
          .capacity = capacity,
          .permits = permits};
}

bool modes_go_together(const std::string& one, const std::string& other) {
  return go_together(mode_named(one).value(), mode_named(other).value());
}

Lock make_lock(Session& session, const std::string& name, const std::string& mode,
               std::string reason, uint32_t capacity, uint32_t permits) {
  return session.lock(name, options_of(mode, std::move(reason), capacity, permits));
}

std::optional<nanoseconds> timeout_of(std::optional<int64_t> timeout_ns) {
  if (!timeout_ns) return std::nullopt;
  return nanoseconds(*timeout_ns);
}

// Waits for what start(answer) begins, and cancels it if a signal ends the wait: what comes in
// spite of it goes with the answer. nullopt: it was not acquired, now or later.
template <class T, class Start>
std::optional<T> await_pending(Start start) {
  auto answer = std::make_shared<Answer<T>>();
  PendingAcquire pending = start([answer](std::optional<T> value, const Error* error) {
    answer->give(std::move(value), error);
  });
  try {
    return answer->take();
  } catch (const py::error_already_set&) {
    pending.cancel();
    throw;
  }
}

using Wish = std::tuple<std::string, std::string, uint32_t, uint32_t>;  // as of LockOptions

py::object acquire_all(Session& session, const std::vector<Wish>& wishes,
                       std::optional<int64_t> timeout_ns) {
  std::vector<LockWish> all;
  for (const auto& [name, mode, capacity, permits] : wishes) {
    all.push_back({name, options_of(mode, "", capacity, permits)});
  }
  auto grants = await_pending<std::vector<Grant>>([&](auto done) {
    return session.acquire_all_async(std::move(all), timeout_of(timeout_ns), std::move(done),
                                     Agent::this_thread());
  });
  if (!grants) return py::none();
  py::list out;
  for (Grant& grant : *grants) out.append(std::make_unique<Grant>(std::move(grant)));
  return out;
}

Lock make_election(Session& session, const std::string& name, std::string value) {
  return session.election(name, std::move(value));
}

void define_session(py::module_& module) {
  py::class_<Session>(module, "Session")
      .def("lock", &make_lock, "name"_a, "mode"_a, "reason"_a, "capacity"_a, "permits"_a)
      .def("election", &make_election, "name"_a, "value"_a)
      .def("acquire_all", &acquire_all, "wishes"_a, "timeout_ns"_a)
      .def("renew",
           [](Session& session) {
             await_finished([&](Finished done) { session.renew_async(std::move(done)); });
           })
      .def("close",
           [](Session& session) {
             await_finished([&](Finished done) { session.close_async(std::move(done)); });
           })
      .def_property_readonly("lease", &Session::lease)
      .def_property_readonly("secret", &Session::secret)
      .def_property_readonly("ttl_ms", [](Session& session) { return session.ttl().count(); })
      .def_property_readonly("alive", &Session::alive)
      .def_property_readonly("deadline",
                             [](Session& session) { return to_seconds(session.deadline()); });
}

// -- locks and grants -----------------------------------------------------------------------------

std::unique_ptr<Grant> acquire(Lock& lock, std::optional<int64_t> timeout_ns) {
  auto grant = await_pending<Grant>([&](auto done) {
    return lock.acquire_async(timeout_of(timeout_ns), std::move(done), Agent::this_thread());
  });
  return grant ? std::make_unique<Grant>(std::move(*grant)) : nullptr;
}

bool convert(Grant& grant, const std::string& mode, std::optional<int64_t> timeout_ns) {
  return *await_pending<bool>([&](auto done) {
    return grant.convert_async(mode_named(mode).value(), timeout_of(timeout_ns), std::move(done),
                               Agent::this_thread());
  });
}

void define_lock(py::module_& module) {
  py::class_<Lock>(module, "Lock")
      .def("acquire", &acquire, "timeout_ns"_a)
      .def("cancel", &Lock::cancel)
      .def("info", [](Lock& lock) {
        return to_python(await_value<LockInfo>(
            [&](Callback<LockInfo> done) { lock.info_async(std::move(done)); }));
      });
}

void define_grant(py::module_& module) {
  py::class_<Grant>(module, "Grant")
      .def("release",
           [](Grant& grant) {
             await_finished([&](Finished done) { grant.release_async(std::move(done)); });
           })
      .def("convert", &convert, "mode"_a, "timeout_ns"_a)
      .def("set_value",
           [](Grant& grant, std::string value) {
             await_finished(
                 [&](Finished done) { grant.set_value_async(std::move(value), std::move(done)); });
           })
      .def_property_readonly("token", &Grant::token)
      .def_property_readonly("mode", [](Grant& grant) { return mode_name(grant.mode()); })
      .def_property_readonly("held", &Grant::held)
      .def_property_readonly("deadline", [](Grant& grant) { return to_seconds(grant.deadline()); })
      .def_property_readonly("remaining",
                             [](Grant& grant) { return to_seconds(grant.remaining()); });
}

// -- events ---------------------------------------------------------------------------------------

// (session, seconds left, None) of a jeopardy, (session, None, reason) of a loss; None: closed.
py::object next_event(Events& events) {
  const std::optional<Event> event = events.next();
  if (!event) return py::none();
  if (event->lost) return py::make_tuple(event->session, py::none(), to_python(*event->lost));
  return py::make_tuple(event->session, to_seconds(event->deadline.remaining()), py::none());
}

void define_events(py::module_& module) {
  py::class_<Events, std::shared_ptr<Events>>(module, "Events")
      .def(py::init<>())
      .def("next", &next_event)
      .def("close", &Events::close);
}

}  // namespace

}  // namespace holdfast::python

PYBIND11_MODULE(_holdfast, module) {
  using namespace holdfast::python;
  module.doc() = "Private: the C++ library, for the package around it.";
  define_failure(module);
  define_events(module);
  define_watches(module);
  define_cell(module);
  define_session(module);
  define_lock(module);
  define_grant(module);
  module.def("go_together", &modes_go_together);
  module.def("this_agent", [] { return holdfast::Agent::this_thread().id; });
  module.attr("version") = std::string(holdfast::version());
}
