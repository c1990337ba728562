#include "bindings/cpp/src/watch.h"

#include <algorithm>

namespace holdfast {
namespace detail {

using base::Instant;

namespace {

// Events that wait for a slow reader. Beyond that they wait at the cell.
constexpr size_t kMaxQueued = 4096;
// How long a question waits at the cell when nothing happens.
constexpr uint32_t kPollMs = 30'000;

}  // namespace

// -- feeds ----------------------------------------------------------------------------------------

void Feed::join(const std::shared_ptr<WatchState>& reader) {
  reader->feed = shared_from_this();
  readers.push_back(reader);
  if (call == 0) ask();
}

void Feed::leave(const WatchState* reader) {
  std::erase_if(readers, [reader](const std::weak_ptr<WatchState>& each) {
    const auto living = each.lock();
    return living == nullptr || living.get() == reader;
  });
  if (!readers.empty() || call == 0) return;
  engine.with_core([this](Core& core, Instant now, Effects& fx) { core.cancel(call, now, fx); });
}

void Feed::ask() {
  if (engine.stopping()) return;
  client::EventsRequest request;
  request.query.name = name;
  request.query.exact = exact;
  request.query.after = cursor;
  request.wait_ms = kPollMs;
  request.stale = true;  // any node's answer is true: what is told has been chosen
  const Ref ref = engine.expect(
      [self = shared_from_this()](Outcome&& outcome) { self->on_page(std::move(outcome)); });
  call = engine.with_core([&](Core& core, Instant now, Effects& fx) {
    return core.read(ref, std::move(request), now, fx);
  });
}

void Feed::on_page(Outcome&& outcome) {
  call = 0;
  const auto told = std::exchange(readers, {});  // they may leave
  std::vector<std::shared_ptr<WatchState>> living;
  for (const auto& each : told) {
    if (auto reader = each.lock()) living.push_back(std::move(reader));
  }
  if (const auto* failure = std::get_if<Failure>(&outcome)) {
    const Error error = to_error(*failure);
    for (const auto& reader : living) reader->fail(error);
    return;
  }
  const auto& page = std::get<EventsPage>(outcome);
  cursor = std::max(cursor, page.upto);
  for (const auto& reader : living) {
    reader->take(page);
    if (reader->feed.get() == this) readers.push_back(reader);
  }
  if (!readers.empty()) ask();
}

void CellState::prune_feeds() {
  if (feeds.size() < prune_feeds_at) return;
  std::erase_if(feeds, [](const auto& each) { return each.second.expired(); });
  prune_feeds_at = std::max<size_t>(64, 2 * feeds.size());
}

// -- readers --------------------------------------------------------------------------------------

WatchState::~WatchState() {
  if (cell->forked() || feed == nullptr) return;
  cell->engine->run([gone = std::move(feed)] { gone->leave(nullptr); });
}

void WatchState::begin(uint64_t after, bool shares) {
  if (cell->engine->stopping()) return fail(to_error(CellState::closed_failure()));
  {
    const std::lock_guard lock(mutex);
    if (over) return;
    told = cursor = after;
    stopped = false;
  }
  if (!shares) {
    std::make_shared<Feed>(*cell->engine, name, exact, after)->join(shared_from_this());
    return;
  }
  cell->prune_feeds();
  std::weak_ptr<Feed>& known = cell->feeds[{name, exact}];
  std::shared_ptr<Feed> shared = known.lock();
  if (shared == nullptr) {
    shared = std::make_shared<Feed>(*cell->engine, name, exact, after);
    known = shared;
  } else if (shared->cursor > after) {
    // What the others were told meanwhile came before this watch did.
    const std::lock_guard lock(mutex);
    told = cursor = shared->cursor;
  }
  shared->join(shared_from_this());
}

// Not under the mutex: a callback may close the watch.
void WatchState::call_back(const EventsPage& page) {
  const auto self = shared_from_this();  // or drop it
  for (const Event& event : page.events) {
    {
      const std::lock_guard lock(mutex);
      if (over) break;
      if (event.revision <= cursor) continue;
      told = cursor = event.revision;
    }
    on_event(event);
  }
  const std::lock_guard lock(mutex);
  if (over) {
    feed.reset();
  } else {
    told = cursor = std::max(cursor, page.upto);
  }
}

void WatchState::take(const EventsPage& page) {
  if (on_event) return call_back(page);
  const std::lock_guard lock(mutex);
  if (over) {
    feed.reset();
    return;
  }
  for (const Event& event : page.events) {
    if (event.revision <= cursor) continue;  // it joined later
    if (queue.size() >= kMaxQueued) {
      stopped = true;
      feed.reset();
      return;
    }
    queue.push_back(event);
    cursor = event.revision;
  }
  cursor = std::max(cursor, page.upto);
  if (queue.empty()) {
    told = cursor;
  } else {
    changed.notify_all();
  }
}

void WatchState::fail(const Error& why) {
  {
    const std::lock_guard lock(mutex);
    feed.reset();
    over = true;
    // A cell that was closed here is no surprise to who closed it.
    if (why.code() != Code::cancelled) error = why;
  }
  changed.notify_all();
  if (on_end) on_end(why);
}

std::optional<Event> WatchState::next(std::optional<nanoseconds> timeout) {
  cell->check_fork();
  cell->check_may_wait();
  std::unique_lock lock(mutex);
  const auto due = [this] { return !queue.empty() || over; };
  if (!timeout) {
    changed.wait(lock, due);
  } else if (!changed.wait_for(lock, *timeout, due)) {
    return std::nullopt;
  }
  if (queue.empty()) {
    if (error) throw Error(*error);
    return std::nullopt;
  }
  Event event = std::move(queue.front());
  queue.pop_front();
  told = queue.empty() && !stopped ? std::max(cursor, event.revision) : event.revision;
  const bool goes_on = stopped && !over && queue.empty();
  if (!goes_on) return event;
  stopped = false;  // one goes on
  const uint64_t after = cursor;
  lock.unlock();
  cell->run([self = shared_from_this(), after] { self->begin(after, false); });
  return event;
}

bool WatchState::comes_next(uint64_t revision, std::string_view type) const {
  const std::lock_guard lock(mutex);
  return !queue.empty() && queue.front().revision == revision && queue.front().type == type;
}

void WatchState::close() {
  {
    const std::lock_guard lock(mutex);
    if (over) return;
    over = true;
    queue.clear();
  }
  changed.notify_all();
  if (cell->forked()) return;
  cell->engine->run([self = shared_from_this()] {
    if (const auto left = std::exchange(self->feed, nullptr)) left->leave(self.get());
  });
}

}  // namespace detail

// -- the public handles ---------------------------------------------------------------------------

namespace {

// The revision of now, as the leader says it. Throws.
uint64_t present_revision(detail::CellState& cell) {
  client::EventsRequest request;
  request.from_now = true;
  return cell
      .wait_for<EventsPage>([&](client::Core& core, client::Ref ref, base::Instant now,
                                client::Effects& fx) { core.read(ref, request, now, fx); })
      .upto;
}

void begin_watch(const std::shared_ptr<detail::CellState>& cell,
                 const std::shared_ptr<detail::WatchState>& watch,
                 std::optional<uint64_t> from_revision) {
  uint64_t after = 0;
  if (!from_revision) {
    after = present_revision(*cell);
  } else if (*from_revision > 0) {
    after = *from_revision - 1;
  }
  const bool shares = !from_revision;
  if (!cell->run([watch, after, shares] { watch->begin(after, shares); })) {
    throw detail::to_error(detail::CellState::closed_failure());
  }
}

}  // namespace

Watch Cell::watch(std::string_view prefix, std::optional<uint64_t> from_revision, bool exact) {
  state_->check_fork();
  auto watch = std::make_shared<detail::WatchState>(state_, std::string(prefix), exact);
  begin_watch(state_, watch, from_revision);
  return Watch(std::move(watch));
}

Watch Cell::watch_each(std::string_view prefix, std::function<void(const Event&)> on_event,
                       std::optional<uint64_t> from_revision, bool exact,
                       std::function<void(const Error&)> on_end) {
  state_->check_fork();
  auto watch = std::make_shared<detail::WatchState>(state_, std::string(prefix), exact);
  watch->on_event = std::move(on_event);
  watch->on_end = std::move(on_end);
  begin_watch(state_, watch, from_revision);
  return Watch(std::move(watch));
}

Watch::Watch(std::shared_ptr<detail::WatchState> state) : state_(std::move(state)) {}

std::optional<Event> Watch::next(std::optional<nanoseconds> timeout) {
  return state_->next(timeout);
}

bool Watch::closed() const {
  const std::lock_guard lock(state_->mutex);
  return state_->over && state_->queue.empty();
}

uint64_t Watch::revision() const {
  const std::lock_guard lock(state_->mutex);
  return state_->told;
}

void Watch::close() {
  state_->close();
}

}  // namespace holdfast
