#include "lockcore/store/reader_thread.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace holdfast::store {
namespace {

template <class To, class From>
To widened(From from) {
  return std::visit([](auto& value) -> To { return std::move(value); }, from);
}

}  // namespace

struct ReaderThread::Impl {
  Impl(std::string file, std::function<void()> on_answer)
      : path(std::move(file)), wake(std::move(on_answer)), thread([this] { serve(); }) {}

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      closed = true;
    }
    arrived.notify_one();
    thread.join();
  }

  void serve() {
    std::optional<StateReader> reader;
    for (;;) {
      uint64_t id = 0;
      StateQuestion question;
      {
        std::unique_lock lock(mutex);
        arrived.wait(lock, [this] { return closed || !questions.empty(); });
        if (closed) return;
        id = questions.front().first;
        question = std::move(questions.front().second);
        questions.pop_front();
        if (std::exchange(is_new_path, false)) reader.emplace(path);
      }
      StateAnswer answer = answer_to(*reader, question);
      bool must_wake = false;
      {
        const std::lock_guard lock(mutex);
        must_wake = answers.empty();
        answers.push_back({id, std::move(answer)});
      }
      if (must_wake) wake();
    }
  }

  static StateAnswer answer_to(StateReader& reader, const StateQuestion& question) {
    if (const auto* events = std::get_if<EventsQuery>(&question)) {
      return widened<StateAnswer>(reader.events(*events));
    }
    return widened<StateAnswer>(reader.sql(std::get<SqlQuery>(question)));
  }

  std::mutex mutex;
  std::condition_variable arrived;
  // All under the mutex.
  std::deque<std::pair<uint64_t, StateQuestion>> questions;
  std::vector<Answered> answers;
  std::string path;
  bool is_new_path = true;
  bool closed = false;

  const std::function<void()> wake;
  std::thread thread;
};

ReaderThread::ReaderThread(std::string path, std::function<void()> wake)
    : impl_(std::make_unique<Impl>(std::move(path), std::move(wake))) {}

ReaderThread::~ReaderThread() = default;

void ReaderThread::ask(uint64_t id, StateQuestion question) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->questions.emplace_back(id, std::move(question));
  }
  impl_->arrived.notify_one();
}

void ReaderThread::forget(uint64_t id) {
  const std::lock_guard lock(impl_->mutex);
  std::erase_if(impl_->questions, [id](const auto& each) { return each.first == id; });
}

void ReaderThread::use(std::string path) {
  const std::lock_guard lock(impl_->mutex);
  impl_->path = std::move(path);
  impl_->is_new_path = true;
}

std::vector<ReaderThread::Answered> ReaderThread::drain() {
  const std::lock_guard lock(impl_->mutex);
  return std::exchange(impl_->answers, {});
}

}  // namespace holdfast::store
