// Feeds: bytes as a configuration: up to the first zero byte the file, then texts that end at zero
// bytes, each a flag (with --) or an environment variable.
// Checks: every configuration is taken, or refused with what is wrong; what --check-config prints
// of one that is taken is a file that has the same effect.
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/exit_codes.h"
#include "lockcore/base/assert.h"

namespace holdfast::fuzz {
namespace {

using daemon::Invocation;

// A file in memory, at a path.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("holdfastd.toml", MFD_CLOEXEC)) { HF_ASSERT(fd_ >= 0); }

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }
  void write(const std::string& text) {
    HF_ASSERT(ftruncate(fd_, 0) == 0);
    HF_ASSERT(pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  }

 private:
  const int fd_;
};

Invocation read(const std::vector<std::string>& flags, const std::vector<std::string>& variables) {
  std::vector<const char*> argv{"holdfastd"};
  for (const std::string& flag : flags) argv.push_back(flag.c_str());
  const int argc = static_cast<int>(argv.size());
  argv.push_back(nullptr);
  std::vector<const char*> environment;
  for (const std::string& variable : variables) environment.push_back(variable.c_str());
  environment.push_back(nullptr);
  return daemon::read_configuration(argc, argv.data(), environment.data());
}

void check(std::string_view bytes) {
  static MemoryFile file;
  std::vector<std::string> flags, variables;
  size_t end = std::min(bytes.find('\0'), bytes.size());
  file.write(std::string(bytes.substr(0, end)));
  while (end < bytes.size()) {
    bytes.remove_prefix(end + 1);
    end = std::min(bytes.find('\0'), bytes.size());
    std::string text(bytes.substr(0, end));
    if (text.starts_with("--config")) continue;  // of another file, which might be a terminal
    (text.starts_with("-") ? flags : variables).push_back(std::move(text));
  }
  variables.push_back("HOLDFASTD_CONFIG=" + file.path());

  const Invocation taken = read(flags, variables);
  if (taken.action == Invocation::Action::kFail) {
    HF_ASSERT(taken.text.starts_with("holdfastd: "));
    HF_ASSERT(taken.exit_code == daemon::kExitUsage || taken.exit_code == daemon::kExitConfig);
    return;
  }
  if (taken.action == Invocation::Action::kPrint) return;  // help and the like
  HF_ASSERT(!taken.config.listen.empty());
  HF_ASSERT(!taken.config.cluster.empty());
  flags.push_back("--check-config");
  const Invocation printed = read(flags, variables);
  HF_ASSERT(printed.action == Invocation::Action::kPrint);
  file.write(printed.text);
  const Invocation again = read({"--check-config"}, {"HOLDFASTD_CONFIG=" + file.path()});
  HF_ASSERT(again.action == Invocation::Action::kPrint);
  HF_ASSERT(again.text == printed.text);
}

}  // namespace
}  // namespace holdfast::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::fuzz::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
