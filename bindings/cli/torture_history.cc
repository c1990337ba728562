#include "bindings/cli/torture_history.h"

#include <capnp/compat/json.h>
#include <capnp/message.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "bindings/cli/exit_codes.h"

namespace holdfast::cli {
namespace {

constexpr const char* kHeader =
    R"({"holdfastHistory":1,"clock":"monotonic_raw","epsilon":0.01,"renewals":false,)"
    R"("complete":false})";

// Null: it isn't known.
void set_ok(capnp::JsonValue::Builder value, SeenOperation::Outcome outcome) {
  if (outcome == SeenOperation::Outcome::unknown) return value.setNull();
  value.setBoolean(outcome == SeenOperation::Outcome::done);
}

std::string line_of(const SeenOperation& seen) {
  const auto count = static_cast<unsigned>(6 + seen.details.size());
  capnp::MallocMessageBuilder memory;
  auto fields = memory.initRoot<capnp::JsonValue>().initObject(count);
  unsigned at = 0;
  const auto next = [&](const char* name) {
    fields[at].setName(name);
    return fields[at++].initValue();
  };
  next("client").setString(seen.client);
  next("op").setString(seen.op);
  for (const auto& [name, value] : seen.details) next(name.c_str()).setString(value);
  next("start").setString(std::to_string(seen.start));
  if (seen.outcome == SeenOperation::Outcome::unknown) {
    next("end").setNull();
  } else {
    next("end").setString(std::to_string(seen.end));
  }
  set_ok(next("ok"), seen.outcome);
  auto error = next("error");
  if (seen.error.empty()) {
    error.setNull();
  } else {
    error.setString(seen.error);
  }
  capnp::JsonCodec codec;
  const kj::String text = codec.encodeRaw(memory.getRoot<capnp::JsonValue>().asReader());
  return {text.begin(), text.size()};
}

}  // namespace

int64_t true_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

TortureHistory::TortureHistory(const std::string& path) : path_(path) {
  if (path.empty()) return;
  file_ = fopen(path.c_str(), "we");
  if (file_ == nullptr) throw Failure(kExitIo, "internal", path + ": " + strerror(errno));
  fprintf(file_, "%s\n", kHeader);
}

TortureHistory::~TortureHistory() {
  if (file_ != nullptr) fclose(file_);
}

void TortureHistory::write(const SeenOperation& seen) {
  if (file_ == nullptr) return;
  const std::string line = line_of(seen);
  const std::lock_guard lock(mutex_);
  fprintf(file_, "%s\n", line.c_str());
}

void TortureHistory::finish() {
  if (file_ == nullptr) return;
  if (fflush(file_) != 0 || ferror(file_) != 0) {
    throw Failure(kExitIo, "internal", path_ + ": " + strerror(errno));
  }
}

}  // namespace holdfast::cli
