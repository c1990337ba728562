// Throttle: what repeats, or comes from strangers, must not fill the log.
#include "daemon/log.h"

#include <doctest/doctest.h>

namespace holdfast::daemon {
namespace {

constexpr auto kInterval = base::Duration::from_ms(10'000);
constexpr base::Instant kStart{1'000'000'000};

}  // namespace

// A refused peer knocks every second for weeks.
TEST_CASE("log: the same words come once an interval, with how many were held back") {
  Throttle throttle(kInterval);
  CHECK(throttle.admit("a", kStart) == 0);
  CHECK_FALSE(throttle.admit("a", kStart).has_value());
  CHECK_FALSE(throttle.admit("a", kStart + kInterval - base::Duration{1}).has_value());
  CHECK(throttle.admit("b", kStart) == 0);
  CHECK(throttle.admit("a", kStart + kInterval) == 2);
}

// A port scanner comes from another port each time, and a stranger's hello says what he likes.
TEST_CASE("log: ever new words are held back as well, and counted") {
  Throttle throttle(kInterval);
  size_t admitted = 0;
  for (int i = 0; i < 100'000; ++i) {
    admitted += throttle.admit("words " + std::to_string(i), kStart).has_value();
  }
  CHECK(admitted <= 100);
  CHECK(throttle.take_others() == 100'000 - admitted);
  CHECK(throttle.take_others() == 0);
  CHECK(throttle.admit("something new", kStart + kInterval) == 0);
}

}  // namespace holdfast::daemon
