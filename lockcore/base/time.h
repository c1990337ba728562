// Instants and durations as plain numbers. The core reads no clock: `now` is always an argument.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace holdfast::base {

// A length of time, in nanoseconds.
struct Duration {
  int64_t ns = 0;

  constexpr auto operator<=>(const Duration&) const = default;
  static constexpr Duration from_ms(int64_t ms) { return {ms * 1'000'000}; }
  static constexpr Duration from_us(int64_t us) { return {us * 1'000}; }
  // Rounded up: a lease must never be cut short by arithmetic.
  constexpr int64_t ms_ceil() const { return (ns + 999'999) / 1'000'000; }
  constexpr int64_t ms_floor() const { return ns / 1'000'000; }
  friend constexpr Duration operator+(Duration a, Duration b) { return {a.ns + b.ns}; }
  friend constexpr Duration operator-(Duration a, Duration b) { return {a.ns - b.ns}; }
  friend constexpr Duration operator*(Duration a, int64_t k) { return {a.ns * k}; }
  friend constexpr Duration operator/(Duration a, int64_t k) { return {a.ns / k}; }
};

// A reading of this process's CLOCK_BOOTTIME, in nanoseconds (DESIGN 4).
struct Instant {
  int64_t ns = 0;

  constexpr auto operator<=>(const Instant&) const = default;
  friend constexpr Instant operator+(Instant a, Duration d) { return {a.ns + d.ns}; }
  friend constexpr Instant operator-(Instant a, Duration d) { return {a.ns - d.ns}; }
  friend constexpr Duration operator-(Instant a, Instant b) { return {a.ns - b.ns}; }
};

constexpr Instant kNever{std::numeric_limits<int64_t>::max()};

}  // namespace holdfast::base
