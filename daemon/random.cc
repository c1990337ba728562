#include "daemon/random.h"

#include <sys/random.h>

#include "lockcore/base/assert.h"

namespace holdfast::daemon {
namespace {

// Up to 256 bytes getrandom() neither fails nor comes short, once the system has booted.
void fill(void* bytes, size_t count) {
  HF_ASSERT(count <= 256);
  HF_ASSERT(getrandom(bytes, count, 0) == static_cast<ssize_t>(count));
}

}  // namespace

uint64_t random_number() {
  uint64_t number = 0;
  while (number == 0) fill(&number, sizeof(number));
  return number;
}

std::string random_bytes(size_t count) {
  std::string bytes(count, '\0');
  fill(bytes.data(), count);
  return bytes;
}

}  // namespace holdfast::daemon
