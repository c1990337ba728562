// Preloaded into a daemon: its CLOCK_BOOTTIME runs at $SKEWED_CLOCK_RATE times its rate from the
// first look on. Its other clocks, its timers among them, run as ever.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

extern "C" int clock_gettime(clockid_t id, timespec* out) {
  const long result = syscall(SYS_clock_gettime, id, out);
  if (id != CLOCK_BOOTTIME || result != 0) return static_cast<int>(result);
  constexpr int64_t kSecond = 1'000'000'000;
  const int64_t now = out->tv_sec * kSecond + out->tv_nsec;
  static const int64_t first = now;
  static const char* const given = getenv("SKEWED_CLOCK_RATE");
  static const double rate = given != nullptr ? atof(given) : 1;
  const int64_t shown = first + static_cast<int64_t>(static_cast<double>(now - first) * rate);
  out->tv_sec = shown / kSecond;
  out->tv_nsec = shown % kSecond;
  return 0;
}
