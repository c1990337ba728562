#include "lockcore/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace holdfast::base {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "holdfast: broken invariant at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace holdfast::base
