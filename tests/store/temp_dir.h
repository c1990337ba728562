// A directory of a test's own, removed when it ends.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace holdfast::store_test {

class TempDir {
 public:
  TempDir() {
    // Meson runs tests in the build directory: a real filesystem, unlike many a /tmp.
    std::string pattern = (std::filesystem::current_path() / "store-test-XXXXXX").string();
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
