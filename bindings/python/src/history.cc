#include "bindings/python/src/history.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <exception>
#include <optional>

#include "bindings/python/src/values.h"
#include "bindings/python/src/wait.h"

namespace py = pybind11;
using namespace pybind11::literals;

namespace holdfast::python {

namespace {

// How often a wait looks whether a signal has come for this thread.
constexpr nanoseconds kSlice = milliseconds(200);

// Runs `work`, which may wait, without the GIL; see Signal::wait() for why it is done by hand.
template <class T, class Work>
T without_gil(Work work) {
  std::optional<T> result;
  std::exception_ptr failure;
  PyThreadState* state = PyEval_SaveThread();
  try {
    result.emplace(work());
  } catch (...) {
    failure = std::current_exception();
  }
  PyEval_RestoreThread(state);
  if (failure) std::rethrow_exception(failure);
  return std::move(*result);
}

py::tuple to_python(const ::holdfast::Event& event) {
  return py::make_tuple(event.revision, event.type, event.name, py::bytes(event.value), event.token,
                        event.lease, python::to_python(event.owner), event.cause,
                        static_cast<double>(event.at_ms) / 1e3, event.mode, event.permits,
                        to_seconds(event.waited), to_seconds(event.held), event.note);
}

py::tuple to_python(const Blocker& blocker) {
  py::list blockers;
  for (const Blocker& next : blocker.blockers) blockers.append(to_python(next));
  return py::make_tuple(blocker.lock, blocker.kind, blocker.lease, blocker.holder, blocker.mode,
                        blocker.permits, blocker.token, blocker.position, to_seconds(blocker.age),
                        to_seconds(blocker.remaining), python::to_python(blocker.owner),
                        blocker.seen, blockers);
}

py::object to_python(const std::optional<Leader>& leader) {
  if (!leader) return py::none();
  return py::make_tuple(py::bytes(leader->value), leader->token, python::to_python(leader->owner));
}

// Waits in slices for what next(time) returns; T has_value() when there is something or all is
// over.
template <class T, class Next, class Over>
std::optional<T> wait_for_next(std::optional<int64_t> timeout_ns, Next next, Over over) {
  const Deadline start = Deadline::now();
  for (;;) {
    nanoseconds slice = kSlice;
    if (timeout_ns) {
      const nanoseconds left =
          nanoseconds(*timeout_ns) - (Deadline::now().boottime - start.boottime);
      slice = std::clamp(left, nanoseconds(0), kSlice);
    }
    auto got = without_gil<std::optional<T>>([&] { return next(slice); });
    if (got || over()) return got;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    const bool out_of_time =
        timeout_ns && Deadline::now().boottime - start.boottime >= nanoseconds(*timeout_ns);
    if (out_of_time) return std::nullopt;
  }
}

py::object next_of_watch(Watch& watch, std::optional<int64_t> timeout_ns) {
  const auto event = wait_for_next<::holdfast::Event>(
      timeout_ns, [&](nanoseconds time) { return watch.next(time); },
      [&] { return watch.closed(); });
  return event ? py::object(to_python(*event)) : py::none();
}

// A term as a tuple of one: nothing at all is None, a vacancy (None,).
py::object next_of_observer(Observer& observer, std::optional<int64_t> timeout_ns) {
  const auto term = wait_for_next<Observer::Term>(
      timeout_ns, [&](nanoseconds time) { return observer.next(time); },
      [&] { return observer.closed(); });
  return term ? py::object(py::make_tuple(to_python(term->leader))) : py::none();
}

py::list history(Cell& cell, const std::string& name, uint64_t after, int64_t max_age_ms) {
  EventsQuery query;
  query.name = name;
  query.exact = !name.empty();
  query.after = after;
  query.max_age = milliseconds(max_age_ms);
  py::list all;
  std::optional<uint64_t> end;
  for (;;) {
    const auto page = await_value<EventsPage>(
        [&](Callback<EventsPage> done) { cell.events_async(query, std::move(done)); });
    if (!end) end = page.revision;
    for (const ::holdfast::Event& event : page.events) {
      if (event.revision <= *end) all.append(to_python(event));
    }
    if (page.upto >= *end) return all;
    query.after = page.upto;
  }
}

py::tuple why(Cell& cell, const std::string& name) {
  const Why told = without_gil<Why>([&] { return cell.why(name); });
  py::list blockers;
  for (const Blocker& blocker : told.blockers) blockers.append(to_python(blocker));
  return py::make_tuple(told.name, told.text, blockers);
}

}  // namespace

void define_watches(py::module_& module) {
  py::class_<Watch>(module, "Watch")
      .def("next", &next_of_watch, "timeout_ns"_a)
      .def("close", &Watch::close)
      .def_property_readonly("closed", &Watch::closed)
      .def_property_readonly("revision", &Watch::revision);
  py::class_<Observer>(module, "Observer")
      .def("next", &next_of_observer, "timeout_ns"_a)
      .def("close", &Observer::close);
}

void define_history(py::class_<Cell>& cell) {
  cell.def("watch",
           [](Cell& self, const std::string& prefix, std::optional<uint64_t> from_revision) {
             return without_gil<Watch>([&] { return self.watch(prefix, from_revision); });
           })
      .def("observe",
           [](Cell& self, const std::string& name) {
             return without_gil<Observer>([&] { return self.observe(name); });
           })
      .def(
          "leader",
          [](Cell& self, const std::string& name) {
            return to_python(without_gil<std::optional<Leader>>([&] { return self.leader(name); }));
          })
      .def("history", &history, "name"_a, "after"_a, "max_age_ms"_a)
      .def("why", &why, "name"_a);
}

}  // namespace holdfast::python
