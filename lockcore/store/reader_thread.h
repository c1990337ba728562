// The thread that reads state.db for history, watchers and people: a long question of theirs never
// keeps the loop or the writer waiting.
//
// Answers are collected by drain(), after `wake` (thread-safe) was called, as with WriterThreads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "lockcore/store/state_reader.h"

namespace holdfast::store {

using StateQuestion = std::variant<EventsQuery, SqlQuery>;
using StateAnswer = std::variant<EventsPage, SqlRows, base::Error>;

class ReaderThread {
 public:
  ReaderThread(std::string path, std::function<void()> wake);
  ~ReaderThread();  // what hasn't been begun is not answered

  // Answered in order. `id` is the caller's.
  void ask(uint64_t id, StateQuestion question);
  // Of a question that hasn't been begun; nobody waits for it any more.
  void forget(uint64_t id);
  // Another file is the record from now on.
  void use(std::string path);

  struct Answered {
    uint64_t id = 0;
    StateAnswer answer;
  };
  std::vector<Answered> drain();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::store
