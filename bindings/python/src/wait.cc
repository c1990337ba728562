#include "bindings/python/src/wait.h"

#include <time.h>
#include <unistd.h>

#include <cerrno>

namespace py = pybind11;

namespace holdfast::python {

namespace {

// A signal ends the main thread's wait at once (EINTR), but not in the moment between looking for
// signals and waiting, nor if the kernel has another thread handle it. So look now and then.
constexpr long kLookForSignalsNs = 200'000'000;

// Python runs signals' handlers in the main thread only.
bool on_main_thread() {
  return gettid() == getpid();
}

timespec soon() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  time.tv_nsec += kLookForSignalsNs;
  if (time.tv_nsec >= 1'000'000'000) {
    time.tv_nsec -= 1'000'000'000;
    ++time.tv_sec;
  }
  return time;
}

}  // namespace

Signal::Signal() {
  sem_init(&semaphore_, 0, 0);
}
Signal::~Signal() {
  sem_destroy(&semaphore_);
}
void Signal::post() {
  sem_post(&semaphore_);
}

bool Signal::take(bool bounded) {
  if (!bounded) return sem_wait(&semaphore_) == 0;
  const timespec until = soon();
  return sem_clockwait(&semaphore_, CLOCK_MONOTONIC, &until) == 0;
}

void Signal::wait() {
  if (sem_trywait(&semaphore_) == 0) return;
  const bool bounded = on_main_thread();
  while (true) {
    // Not gil_scoped_release: taking the GIL back ends a daemon thread when the interpreter is
    // finishing, by unwinding the stack, which may not leave a destructor.
    PyThreadState* state = PyEval_SaveThread();
    const bool taken = take(bounded);
    PyEval_RestoreThread(state);
    if (taken) return;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
}

}  // namespace holdfast::python
