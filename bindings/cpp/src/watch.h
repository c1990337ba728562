// Watches of a cell: what they share with each other and with the engine.
//
// A feed asks the cell for events, again and again, from where it is; the readers of one name share
// one feed, so that a change is one message, however many wait for it here. A reader whose queue is
// full leaves its feed, and goes on with one of its own from where it was.
#pragma once

#include <holdfast/holdfast.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "bindings/cpp/src/cell_state.h"

namespace holdfast::detail {

struct Feed : std::enable_shared_from_this<Feed> {
  Feed(Engine& engine_of_cell, std::string prefix, bool is_exact, uint64_t from)
      : engine(engine_of_cell), name(std::move(prefix)), exact(is_exact), cursor(from) {}

  // All on the engine's thread.
  void join(const std::shared_ptr<WatchState>& reader);
  void leave(const WatchState* reader);  // null: those that are gone
  void ask();
  void on_page(Outcome&& outcome);

  Engine& engine;
  const std::string name;
  const bool exact;
  uint64_t cursor;           // everything through it was handed to the readers
  Core::AcquireId call = 0;  // the question under way
  std::vector<std::weak_ptr<WatchState>> readers;
};

struct WatchState : std::enable_shared_from_this<WatchState> {
  WatchState(std::shared_ptr<CellState> of_cell, std::string prefix, bool is_exact)
      : cell(std::move(of_cell)), name(std::move(prefix)), exact(is_exact) {}
  ~WatchState();

  // From any thread.
  std::optional<Event> next(std::optional<nanoseconds> timeout);
  void close();
  // Is that the event which next() returns next?
  bool comes_next(uint64_t revision, std::string_view type) const;

  // On the engine's thread.
  void begin(uint64_t after, bool shares);
  void take(const EventsPage& page);
  void call_back(const EventsPage& page);
  void fail(const Error& why);

  const std::shared_ptr<CellState> cell;
  const std::string name;
  const bool exact;
  // Set before it begins. With `on_event` nothing is queued.
  std::function<void(const Event&)> on_event;
  std::function<void(const Error&)> on_end;
  std::shared_ptr<Feed> feed;  // engine; null: the queue is full, or it is over

  mutable std::mutex mutex;
  std::condition_variable changed;
  // Under the mutex.
  std::deque<Event> queue;
  uint64_t told = 0;     // what next() has returned
  uint64_t cursor = 0;   // what is in the queue, or was looked at
  bool stopped = false;  // has left its feed because the queue was full
  bool over = false;
  std::optional<Error> error;  // told once the queue is empty
};

}  // namespace holdfast::detail
