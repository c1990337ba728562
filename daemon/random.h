// Randomness of the operating system: for ids, nonces, seeds and secrets. The core has none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace holdfast::daemon {

uint64_t random_number();  // never 0, which means "none" everywhere
std::string random_bytes(size_t count);

}  // namespace holdfast::daemon
