// A directory of a test's own, removed when it ends.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace holdfast::store_test {

class TempDir {
 public:
  enum Where {
    kOnDisk,    // in the build directory, where Meson runs tests: a real filesystem
    kInMemory,  // where no fsync takes time, for tests that bring a disk of their own
  };

  explicit TempDir(Where where = kOnDisk) {
    const char* const memory = "/dev/shm";
    const bool in_memory = where == kInMemory && std::filesystem::exists(memory);
    const auto parent = in_memory ? std::filesystem::path(memory) : std::filesystem::current_path();
    std::string pattern = (parent / "store-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // The node's data directory; not yet there.
  std::string data() const { return path_ + "/data"; }

 private:
  std::string path_;
};

}  // namespace holdfast::store_test
