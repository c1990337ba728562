// What every verb is made of: its arguments, declared to CLI11, and the action behind them.
#pragma once

#include <signal.h>

#include <CLI/App.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/cli/output.h"
#include "holdfast/holdfast.h"

namespace holdfast::cli {

// How this process was started; `run` gives CMD the same.
struct Inherited {
  sigset_t mask;
  bool pipe_ignored = false;
  bool child_ignored = false;
  char* arguments = nullptr;  // the memory that `ps` shows
  size_t arguments_size = 0;
};

struct Globals {
  std::string endpoints;  // separated by commas; empty: the library's default
  std::chrono::milliseconds timeout{5000};
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  bool no_pager = false;
  ColorWhen color = ColorWhen::automatic;
};

struct Context {
  const Globals& globals;
  const Inherited& inherited;
  const CLI::App& app;               // the root, for `completion`
  std::vector<std::string> command;  // what stood behind the first "--" of `run`
  Output& out;

  CellOptions cell_options() const;
  Cell connect() const { return Cell::connect(cell_options()); }
  // On stderr: only with -v; unless -q.
  void verbose(const std::string& message) const;
  void notice(const std::string& message) const;
};

// Returns the exit code; throws Failure or holdfast::Error.
using Action = std::function<int(Context&)>;

class Verbs {
 public:
  explicit Verbs(CLI::App& root) : root_(root) {}
  CLI::App* add(const char* name, const char* description, const char* details_and_example) {
    return add_under(&root_, name, description, details_and_example);
  }
  CLI::App* add_under(CLI::App* parent, const char* name, const char* description,
                      const char* details_and_example);
  void on(const CLI::App* verb, Action action) { actions_.emplace_back(verb, std::move(action)); }
  // The action of what was typed. UsageError: a group of verbs, and none of them.
  const Action& chosen() const;

 private:
  CLI::App& root_;
  std::vector<std::pair<const CLI::App*, Action>> actions_;
};

// Options of the types that lockctl has. CLI11 splits values like "[a,b]"; these don't
// (see shield_brackets).
CLI::Option* add_text(CLI::App* app, const char* name, std::string& target, const char* help);
CLI::Option* add_duration(CLI::App* app, const char* name,
                          std::optional<std::chrono::milliseconds>& target, const char* help);
CLI::Option* add_count(CLI::App* app, const char* name, uint64_t& target, uint64_t least,
                       uint64_t most, const char* help);

// CLI11 takes a value that begins with '[' for a list and pulls it apart. A mark in front, which
// the functions above take off again, keeps it whole.
void shield_brackets(std::vector<std::string>& arguments);

// The options that run and acquire have in common.
struct AcquireOptions {
  std::string lock;
  bool shared = false;
  bool no_wait = false;
  std::optional<std::chrono::milliseconds> wait;
  std::optional<std::chrono::milliseconds> ttl;
  std::string reason;

  // 0 with -n, none without -n and -w.
  std::optional<std::chrono::milliseconds> timeout() const;
  std::chrono::milliseconds lease_ttl() const;  // UsageError: out of range
  LockOptions lock_options() const;
};
void add_acquire_options(CLI::App* app, AcquireOptions& options);
void add_ttl_option(CLI::App* app, std::optional<std::chrono::milliseconds>& ttl);
std::chrono::milliseconds checked_ttl(const std::optional<std::chrono::milliseconds>& ttl);

// A file per verb.
void add_run(Verbs& verbs);
void add_acquire(Verbs& verbs);
void add_release(Verbs& verbs);
void add_try(Verbs& verbs);
void add_held(Verbs& verbs);
void add_ls(Verbs& verbs);
void add_show(Verbs& verbs);
void add_lease(Verbs& verbs);
void add_status(Verbs& verbs);
void add_bench(Verbs& verbs);
void add_completion(Verbs& verbs);

}  // namespace holdfast::cli
