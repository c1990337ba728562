#include "bindings/cli/verb.h"

#include <CLI/CLI.hpp>
#include <charconv>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/text.h"
#include "lockcore/base/limits.h"

namespace holdfast::cli {
namespace {

constexpr char kShield = '\x01';

// Takes the mark off and hands the value on.
CLI::Option* add_value(CLI::App* app, const char* name, const char* type, const char* help,
                       std::function<void(const std::string&)> take) {
  auto* option = app->add_option_function<std::string>(
      name,
      [take = std::move(take)](const std::string& value) {
        take(!value.empty() && value[0] == kShield ? value.substr(1) : value);
      },
      help);
  // Where two values are given, the later one counts, as with most Unix tools.
  return option->type_name(type)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

}  // namespace

CellOptions Context::cell_options() const {
  CellOptions options;
  options.endpoints = split_commas(globals.endpoints);
  options.request_timeout = globals.timeout;
  options.program = "lockctl";
  return options;
}

void Context::verbose(const std::string& message) const {
  if (globals.verbose && !globals.quiet) say(message);
}

void Context::notice(const std::string& message) const {
  if (!globals.quiet) say(message);
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

CLI::Option* add_duration(CLI::App* app, const char* name,
                          std::optional<std::chrono::milliseconds>& target, const char* help) {
  return add_value(app, name, "DUR", help, [&target, name](const std::string& text) {
    target = parse_duration(text);
    if (!target) {
      throw CLI::ValidationError(
          name, "'" + printable(text) + "' is not a duration; write 500ms, 10s, 2m or 1h");
    }
  });
}

CLI::Option* add_count(CLI::App* app, const char* name, uint64_t& target, uint64_t least,
                       uint64_t most, const char* help) {
  return add_value(app, name, "N", help, [&target, name, least, most](const std::string& text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
      throw CLI::ValidationError(name, "'" + printable(text) + "' is not a whole number from " +
                                           std::to_string(least) + " to " + std::to_string(most));
    }
    target = value;
  });
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

LockOptions AcquireOptions::lock_options() const {
  return {.mode = shared ? Mode::shared : Mode::exclusive, .reason = reason};
}

void add_acquire_options(CLI::App* app, AcquireOptions& options) {
  add_text(app, "LOCK", options.lock, "Name of the lock, such as billing/ledger")
      ->type_name("")
      ->required();
  app->add_flag("-s,--shared", options.shared, "Share it with other shared holders");
  auto* no_wait = app->add_flag("-n,--no-wait", options.no_wait, "Fail at once if it is taken");
  add_duration(app, "-w,--wait", options.wait, "Wait at most that long")->excludes(no_wait);
  add_ttl_option(app, options.ttl);
  add_text(app, "--reason", options.reason, "Shown to whoever asks who holds the lock");
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
