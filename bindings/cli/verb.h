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

#include "bindings/cli/globals.h"
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

struct AcquireOptions;

struct Context {
  const Globals& globals;
  const Inherited& inherited;
  const CLI::App& app;               // the root, for `completion`
  std::vector<std::string> command;  // what stood behind the first "--" of `run`
  Output& out;

  CellOptions cell_options() const;
  Cell connect() const { return Cell::connect(cell_options()); }
  // On stderr: only with -v.
  void verbose(const std::string& message) const;
  // On stderr, as text or JSON.
  void complain(const std::string& code, const std::string& message) const;
  void complain(const Error& error) const;
  // That the lock is somebody else's, unless -q.
  void say_not_acquired(const AcquireOptions& options) const;
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
// (see shield_brackets). What doesn't fit the type is a usage error, whether or not a cell is
// there.
CLI::Option* add_text(CLI::App* app, const char* name, std::string& target, const char* help);
CLI::Option* add_text(CLI::App* app, const char* name, std::optional<std::string>& target,
                      const char* help);
CLI::Option* add_duration(CLI::App* app, const char* name,
                          std::optional<std::chrono::milliseconds>& target, const char* help);
CLI::Option* add_count(CLI::App* app, const char* name, uint64_t& target, uint64_t least,
                       uint64_t most, const char* help);
CLI::Option* add_count(CLI::App* app, const char* name, std::optional<uint64_t>& target,
                       uint64_t least, uint64_t most, const char* help);
// Its option text, as help shows it, is "one|other|third".
CLI::Option* add_choice(CLI::App* app, const char* name, std::string& target,
                        const std::vector<std::string>& choices, const char* help);
// The positional LOCK.
CLI::Option* add_lock(CLI::App* app, std::string& target, const char* help);
// The positional NAME of a lock, an election or a key.
CLI::Option* add_name(CLI::App* app, std::string& target, const char* help);
// Further ones, by -L.
CLI::Option* add_more_locks(CLI::App* app, std::vector<std::string>& target, const char* help);
// The positional KEY; and one that may be just the beginning of a name.
CLI::Option* add_key(CLI::App* app, std::string& target, const char* help);
CLI::Option* add_key_prefix(CLI::App* app, std::string& target, const char* help);
// The positional PREFIX of such names.
CLI::Option* add_prefix(CLI::App* app, std::string& target, const char* help);
CLI::Option* add_prefix(CLI::App* app, std::optional<std::string>& target, const char* help);
CLI::Option* add_reason(CLI::App* app, std::string& target, const char* help);

// CLI11 takes a value that begins with '[' for a list and pulls it apart. A mark in front, which
// the functions above take off again, keeps it whole.
void shield_brackets(std::vector<std::string>& arguments);
std::string unshielded(const std::string& argument);

// -s and --mode.
struct ModeOptions {
  bool shared = false;
  std::string name = "exclusive";

  Mode mode() const;
};
void add_mode_options(CLI::App* app, ModeOptions& options, const char* shared_help);

// The options that run and acquire have in common.
struct AcquireOptions {
  std::string lock;
  std::vector<std::string> more_locks;  // of `run -L`: acquired together with `lock`
  ModeOptions mode;
  uint64_t permits = 1;
  uint64_t capacity = 0;  // 0: not a semaphore
  bool election = false;
  std::string value;  // of an election's leader
  bool no_wait = false;
  std::optional<std::chrono::milliseconds> wait;
  std::optional<std::chrono::milliseconds> ttl;
  std::string reason;

  // 0 with -n, none without -n and -w.
  std::optional<std::chrono::milliseconds> timeout() const;
  std::chrono::milliseconds lease_ttl() const;  // UsageError: out of range
  LockOptions lock_options() const;
  std::vector<LockWish> wishes() const;  // `lock` comes first
};
void add_acquire_options(CLI::App* app, AcquireOptions& options);
void add_ttl_option(CLI::App* app, std::optional<std::chrono::milliseconds>& ttl);
std::chrono::milliseconds checked_ttl(const std::optional<std::chrono::milliseconds>& ttl);

// A file per verb.
void add_run(Verbs& verbs);
void add_acquire(Verbs& verbs);
void add_release(Verbs& verbs);
void add_release_force(Verbs& verbs);
void add_verify(Verbs& verbs);
void add_try(Verbs& verbs);
void add_held(Verbs& verbs);
void add_elect(Verbs& verbs);
void add_observe(Verbs& verbs);
void add_watch(Verbs& verbs);
void add_history(Verbs& verbs);
void add_why(Verbs& verbs);
void add_waits(Verbs& verbs);
void add_sql(Verbs& verbs);
void add_ls(Verbs& verbs);
void add_show(Verbs& verbs);
void add_lease(Verbs& verbs);
void add_status(Verbs& verbs);
void add_check(Verbs& verbs);
void add_snapshot(Verbs& verbs);
void add_members(Verbs& verbs);
void add_member(Verbs& verbs);
void add_leader(Verbs& verbs);
void add_bench(Verbs& verbs);
void add_key_verbs(Verbs& verbs);
void add_txn(Verbs& verbs);
void add_drain(Verbs& verbs);
void add_quota(Verbs& verbs);
void add_torture(Verbs& verbs);
void add_top(Verbs& verbs);
void add_completion(Verbs& verbs);

}  // namespace holdfast::cli
