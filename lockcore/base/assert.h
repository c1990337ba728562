// HF_ASSERT: always on; a broken invariant in the core ends the process.
#pragma once

namespace holdfast::base {

// Prints the condition and its place to stderr and aborts.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace holdfast::base

#define HF_ASSERT(condition)                                              \
  do {                                                                    \
    if (!(condition)) [[unlikely]]                                        \
      ::holdfast::base::assertion_failed(#condition, __FILE__, __LINE__); \
  } while (false)
