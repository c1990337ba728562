// All of stdin, or of a file, up to a limit.
#pragma once

#include <cstddef>
#include <string>

namespace holdfast::cli {

// `path` "-": stdin. Failure: it can't be read (exit 74), or is longer than `most` bytes.
std::string read_all(const std::string& path, size_t most);

}  // namespace holdfast::cli
