#include "bindings/cli/verb.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <limits>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/text.h"
#include "lockcore/base/limits.h"
#include "lockcore/locks/command.h"
#include "lockcore/locks/validate.h"

namespace holdfast::cli {
namespace {

constexpr char kShield = '\x01';

// Takes the mark off and hands the value on.
CLI::Option* add_value(CLI::App* app, const char* name, const char* type, const char* help,
                       std::function<void(const std::string&)> take) {
  auto* option = app->add_option_function<std::string>(
      name, [take = std::move(take)](const std::string& value) { take(unshielded(value)); }, help);
  // Where two values are given, the later one counts, as with most Unix tools.
  return option->type_name(type)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

// "--wait" of "-w,--wait": what a message calls it.
std::string long_name(const std::string& name) {
  return name.substr(name.find(',') + 1);
}

[[noreturn]] void reject(const char* name, const std::string& value, const std::string& why) {
  throw CLI::ValidationError(long_name(name), "'" + printable(value) + "' is not " + why);
}

void check(const char* name, const std::optional<base::Error>& error) {
  if (error) throw CLI::ValidationError(name, error->message);
}

}  // namespace

CellOptions Context::cell_options() const {
  CellOptions options;
  options.endpoints = globals.endpoints;
  options.request_timeout = globals.timeout;
  options.program = "lockctl";
  return options;
}

void Context::verbose(const std::string& message) const {
  if (globals.verbose && !globals.quiet) say(printable(message));
}

void Context::complain(const std::string& code, const std::string& message) const {
  globals.json ? write_line(error_to_json(code, message, {})) : say(printable(message));
}

void Context::complain(const Error& error) const {
  const std::string code(code_name(error.code()));
  globals.json ? write_line(error_to_json(code, error.what(), error.detail()))
               : say(printable(error.what()));
}

void Context::say_not_acquired(const AcquireOptions& options) const {
  if (globals.quiet) return;
  const bool waited = options.timeout().value_or(std::chrono::milliseconds(0)).count() > 0;
  complain(waited ? "timeout" : "wouldBlock", "not acquired: " + options.lock);
}

CLI::App* Verbs::add_under(CLI::App* parent, const char* name, const char* description,
                           const char* details_and_example) {
  CLI::App* verb = parent->add_subcommand(name, description);
  verb->footer(details_and_example);
  verb->fallthrough();  // global flags may stand behind the verb
  return verb;
}

const Action& Verbs::chosen() const {
  const CLI::App* app = &root_;
  for (auto parsed = app->get_subcommands(); !parsed.empty(); parsed = app->get_subcommands()) {
    app = parsed.front();
  }
  for (const auto& [verb, action] : actions_) {
    if (verb == app) return action;
  }
  throw UsageError("a verb is missing");
}

CLI::Option* add_text(CLI::App* app, const char* name, std::string& target, const char* help) {
  return add_value(app, name, "TEXT", help, [&target](const std::string& text) { target = text; });
}

CLI::Option* add_text(CLI::App* app, const char* name, std::optional<std::string>& target,
                      const char* help) {
  return add_value(app, name, "TEXT", help, [&target](const std::string& text) { target = text; });
}

CLI::Option* add_duration(CLI::App* app, const char* name,
                          std::optional<std::chrono::milliseconds>& target, const char* help) {
  return add_value(app, name, "DUR", help, [&target, name](const std::string& text) {
    target = parse_duration(text);
    if (!target) reject(name, text, "a duration; write 500ms, 10s, 2m or 1h");
  });
}

namespace {

CLI::Option* add_counted(CLI::App* app, const char* name, uint64_t least, uint64_t most,
                         const char* help, std::function<void(uint64_t)> take) {
  return add_value(
      app, name, "N", help, [take = std::move(take), name, least, most](const std::string& text) {
        uint64_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc{} || end != text.data() + text.size() || value < least ||
            value > most) {
          reject(name, text,
                 "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
        }
        take(value);
      });
}

}  // namespace

CLI::Option* add_count(CLI::App* app, const char* name, uint64_t& target, uint64_t least,
                       uint64_t most, const char* help) {
  return add_counted(app, name, least, most, help, [&target](uint64_t value) { target = value; });
}

CLI::Option* add_count(CLI::App* app, const char* name, std::optional<uint64_t>& target,
                       uint64_t least, uint64_t most, const char* help) {
  return add_counted(app, name, least, most, help, [&target](uint64_t value) { target = value; });
}

CLI::Option* add_choice(CLI::App* app, const char* name, std::string& target,
                        const std::vector<std::string>& choices, const char* help) {
  const auto list = [&choices](const char* between) {
    std::string out;
    for (const std::string& choice : choices) out += (out.empty() ? "" : between) + choice;
    return out;
  };
  auto take = [&target, name, choices, all = list(", ")](const std::string& text) {
    if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
      reject(name, text, "one of " + all);
    }
    target = text;
  };
  return add_value(app, name, "", help, std::move(take))->option_text(list("|"));
}

namespace {

CLI::Option* add_valid_name(CLI::App* app, const char* what, std::string& target,
                            const char* help) {
  auto* option = add_value(app, what, "", help, [&target, what](const std::string& name) {
    check(what, locks::validate_name(name));
    target = name;
  });
  return option->required();
}

}  // namespace

CLI::Option* add_lock(CLI::App* app, std::string& target, const char* help) {
  return add_valid_name(app, "LOCK", target, help);
}

CLI::Option* add_name(CLI::App* app, std::string& target, const char* help) {
  return add_valid_name(app, "NAME", target, help);
}

CLI::Option* add_more_locks(CLI::App* app, std::vector<std::string>& target, const char* help) {
  auto* option = app->add_option_function<std::vector<std::string>>(
      "-L,--with",
      [&target](const std::vector<std::string>& names) {
        for (const std::string& shielded : names) {
          std::string name = unshielded(shielded);
          check("-L", locks::validate_name(name));
          target.push_back(std::move(name));
        }
      },
      help);
  return option->type_name("LOCK")->allow_extra_args(false)->multi_option_policy(
      CLI::MultiOptionPolicy::TakeAll);
}

CLI::Option* add_key(CLI::App* app, std::string& target, const char* help) {
  auto* option = add_value(app, "KEY", "", help, [&target](const std::string& name) {
    check("KEY", locks::validate_name(name));
    target = name;
  });
  return option->required();
}

namespace {

template <class Target>
CLI::Option* add_beginning(CLI::App* app, const char* name, Target& target, const char* help) {
  return add_value(app, name, "", help, [&target, name](const std::string& prefix) {
    check(name, locks::validate_text("prefix", prefix, base::kMaxNameBytes));
    target = prefix;
  });
}

}  // namespace

CLI::Option* add_key_prefix(CLI::App* app, std::string& target, const char* help) {
  return add_beginning(app, "KEY", target, help)->required();
}

CLI::Option* add_prefix(CLI::App* app, std::string& target, const char* help) {
  return add_beginning(app, "PREFIX", target, help);
}

CLI::Option* add_prefix(CLI::App* app, std::optional<std::string>& target, const char* help) {
  return add_beginning(app, "PREFIX", target, help);
}

CLI::Option* add_reason(CLI::App* app, std::string& target, const char* help) {
  return add_value(app, "--reason", "TEXT", help, [&target](const std::string& text) {
    check("--reason", locks::validate_text("reason", text, base::kMaxReasonBytes));
    target = text;
  });
}

std::string unshielded(const std::string& argument) {
  return !argument.empty() && argument[0] == kShield ? argument.substr(1) : argument;
}

void shield_brackets(std::vector<std::string>& arguments) {
  for (std::string& argument : arguments) {
    size_t value = 0;
    if (argument.starts_with("--")) {
      value = argument.find('=');
      if (value == std::string::npos) continue;
      ++value;
    }
    if (value < argument.size() && argument[value] == '[') argument.insert(value, 1, kShield);
  }
}

std::optional<std::chrono::milliseconds> AcquireOptions::timeout() const {
  return no_wait ? std::chrono::milliseconds(0) : wait;
}

std::chrono::milliseconds AcquireOptions::lease_ttl() const {
  return checked_ttl(ttl);
}

Mode ModeOptions::mode() const {
  return shared ? Mode::shared : mode_named(name).value();
}

LockOptions AcquireOptions::lock_options() const {
  if (capacity == 0 && permits != 1) throw UsageError("--permits needs --capacity");
  if (permits > capacity && capacity != 0) throw UsageError("--permits is above --capacity");
  if (capacity != 0 && !more_locks.empty()) throw UsageError("-L and --capacity don't go together");
  return {.mode = mode.mode(),
          .reason = reason,
          .capacity = static_cast<uint32_t>(capacity),
          .permits = static_cast<uint32_t>(permits),
          .election = election,
          .value = value};
}

std::vector<LockWish> AcquireOptions::wishes() const {
  std::vector<LockWish> all{{lock, lock_options()}};
  for (const std::string& name : more_locks) all.push_back({name, lock_options()});
  return all;
}

void add_mode_options(CLI::App* app, ModeOptions& options, const char* shared_help) {
  static const std::vector<std::string> kModes = {
      "exclusive",        "shared",         "null",           "concurrent-read",
      "concurrent-write", "protected-read", "protected-write"};
  auto* shared = app->add_flag("-s,--shared", options.shared, shared_help);
  add_choice(app, "--mode", options.name, kModes, "What may be held beside it (exclusive)")
      ->excludes(shared)
      ->option_text("MODE");
}

void add_acquire_options(CLI::App* app, AcquireOptions& options) {
  add_lock(app, options.lock, "Name of the lock, such as billing/ledger");
  add_mode_options(app, options.mode, "Share it with other shared holders");
  constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max();
  add_count(app, "--permits", options.permits, 1, kMost, "How many of --capacity (1)");
  add_count(app, "--capacity", options.capacity, 1, kMost,
            "It is a semaphore of so many permits; all who use the name must agree")
      ->type_name("M");
  auto* no_wait = app->add_flag("-n,--no-wait", options.no_wait, "Fail at once if it is taken");
  add_duration(app, "-w,--wait", options.wait, "Wait at most that long")->excludes(no_wait);
  add_ttl_option(app, options.ttl);
  add_reason(app, options.reason, "Shown to whoever asks who holds the lock");
}

void add_ttl_option(CLI::App* app, std::optional<std::chrono::milliseconds>& ttl) {
  add_duration(app, "--ttl", ttl, "How long the lease outlives its last renewal (10s)");
}

std::chrono::milliseconds checked_ttl(const std::optional<std::chrono::milliseconds>& ttl) {
  const std::chrono::milliseconds value =
      ttl.value_or(std::chrono::milliseconds(base::kDefaultLeaseTtlMs));
  if (value.count() < static_cast<int64_t>(base::kMinLeaseTtlMs) ||
      value.count() > static_cast<int64_t>(base::kMaxLeaseTtlMs)) {
    throw UsageError("--ttl must be from 500ms to 24h");
  }
  return value;
}

}  // namespace holdfast::cli
