// Waiting for the cell's thread from a Python one: with the GIL released, until an answer comes or
// a signal's handler raises.
//
// Two rules make this safe. The cell's thread never takes the GIL, so a Python program that keeps
// it for long, or that ends, holds up no renewal: what that thread has to say waits in plain C++
// for a Python thread to fetch it. And the extension runs no Python code: wherever a daemon thread
// takes the GIL back it may be ended, by unwinding its stack, because the interpreter finishes, and
// then no Python object may be on that stack. So the extension hands over plain tuples, and the
// package makes values and exceptions of them.
#pragma once

#include <holdfast/holdfast.h>
#include <pybind11/pybind11.h>
#include <semaphore.h>

#include <memory>
#include <optional>
#include <utility>

namespace holdfast::python {

// A counter that one side raises and the other waits for. post() may come from any thread.
class Signal {
 public:
  Signal();
  ~Signal();
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  void post();
  // With the GIL held; takes one. Throws error_already_set if a signal's handler raised: then
  // nothing was taken.
  void wait();

 private:
  bool take(bool bounded);

  sem_t semaphore_;
};

// One answer, given on the cell's thread and awaited on a Python one, which may leave before.
template <class T>
class Answer {
 public:
  void give(std::optional<T> value, const Error* error) {
    value_ = std::move(value);
    if (error != nullptr) error_ = *error;
    signal_.post();
  }
  // nullopt: neither a value nor an error. Throws what was given as an error.
  std::optional<T> take() {
    signal_.wait();
    if (error_) throw *error_;
    return std::move(value_);
  }

 private:
  Signal signal_;
  std::optional<T> value_;
  std::optional<Error> error_;
};

// Waits for what start(callback) begins.
template <class T, class Start>
T await_value(Start start) {
  auto answer = std::make_shared<Answer<T>>();
  start([answer](std::optional<T> value, const Error* error) {
    answer->give(std::move(value), error);
  });
  return std::move(*answer->take());
}

template <class Start>
void await_finished(Start start) {
  auto answer = std::make_shared<Answer<bool>>();
  start([answer](const Error* error) { answer->give(true, error); });
  answer->take();
}

}  // namespace holdfast::python
