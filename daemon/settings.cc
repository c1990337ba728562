#include "daemon/settings.h"

#include <algorithm>
#include <cctype>
#include <cstring>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "daemon/nearest.h"

namespace holdfast::daemon {
namespace {

constexpr std::string_view kEnvironmentPrefix = "HOLDFASTD_";

std::string environment_name(std::string_view key) {
  std::string name(kEnvironmentPrefix);
  for (char c : key) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::string nearest_of(std::string_view mistyped, const std::vector<std::string>& words) {
  std::vector<std::string_view> views(words.begin(), words.end());
  return std::string(nearest(mistyped, views));
}

void report_unknown_flags(const std::vector<std::string>& extras, std::vector<Problem>& problems) {
  std::vector<std::string> flags{"--config", "--force-new-cell", "--check-config", "--version",
                                 "--help"};
  for (const Setting& setting : kSettings) flags.push_back(fmt::format("--{}", setting.key));
  auto is_flag = [](const std::string& extra) { return extra.starts_with("-"); };
  bool any_flag = std::ranges::any_of(extras, is_flag);
  for (const std::string& extra : extras) {
    if (is_flag(extra)) {
      std::string flag = extra.substr(0, extra.find('='));
      problems.push_back(
          {fmt::format("unknown flag {}: did you mean {}?", flag, nearest_of(flag, flags)), true});
    } else if (!any_flag) {  // else it may well be the unknown flag's value
      problems.push_back({fmt::format("unexpected '{}': holdfastd takes flags only", extra), true});
    }
  }
}

}  // namespace

CommandLine read_flags(int argc, const char* const* argv, std::vector<Problem>& problems) {
  CommandLine line;
  CLI::App app("The Holdfast daemon: one node of a cell that grants fenced leases and locks.",
               "holdfastd");
  app.allow_extras();
  app.set_help_flag("-h,--help", "Print this and exit");
  app.get_formatter()->column_width(34);
  app.footer(
      "Every flag but the last three is also an environment variable (HOLDFASTD_DATA_DIR)\n"
      "and, --config aside, a key of the configuration file (data-dir).\n"
      "See holdfastd(8) and holdfastd.toml(5).");
  app.add_option("--config", line.config_file,
                 "Configuration file (default /etc/holdfast/holdfastd.toml, if there is one)")
      ->type_name("FILE");
  std::map<std::string_view, std::vector<std::string>> values;
  for (const Setting& setting : kSettings) {
    // allow_extra_args(false): "--listen A B" must not swallow B.
    CLI::Option* option = app.add_option(fmt::format("--{}", setting.key), values[setting.key],
                                         std::string(setting.help));
    option->type_name(std::string(setting.placeholder))->expected(1)->allow_extra_args(false);
    option->multi_option_policy(setting.key == "listen" ? CLI::MultiOptionPolicy::TakeAll
                                                        : CLI::MultiOptionPolicy::Throw);
  }
  app.add_flag(
      "--force-new-cell", line.force_new_cell,
      "The majority is lost for good: make what this node knows a new cell of it alone, in "
      "which all leases are ended. Once, by hand: see holdfastd(8)");
  app.add_flag("--check-config", line.check_config,
               "Check the configuration, print what is in effect and exit");
  app.add_flag("--version", line.version, "Print the version and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    line.help = app.help();
    return line;
  } catch (const CLI::ArgumentMismatch& error) {
    problems.push_back(
        {fmt::format("{} (a flag takes one value; only --listen may be repeated)", error.what()),
         true});
  } catch (const CLI::ParseError& error) {
    problems.push_back({error.what(), true});
  }
  report_unknown_flags(app.remaining(), problems);
  for (auto& [key, given] : values) {
    if (given.empty()) continue;
    line.settings[std::string(key)] = {std::move(given), fmt::format("--{}", key), true};
  }
  return line;
}

GivenSettings read_environment(const char* const* environment, std::string& config_file,
                               std::vector<Problem>& problems) {
  GivenSettings given;
  std::vector<std::string> names{environment_name("config")};
  for (const Setting& setting : kSettings) names.push_back(environment_name(setting.key));
  for (; *environment != nullptr; ++environment) {
    std::string_view variable(*environment);
    if (!variable.starts_with(kEnvironmentPrefix)) continue;
    size_t equals = variable.find('=');
    std::string name(variable.substr(0, equals));
    std::string value(equals == std::string_view::npos ? "" : variable.substr(equals + 1));
    auto found = std::ranges::find(names, name);
    if (found == names.end()) {
      problems.push_back({fmt::format("environment: unknown variable {}: did you mean {}?", name,
                                      nearest_of(name, names))});
    } else if (value.empty()) {
      continue;  // as if it were not set, as shells have it
    } else if (found == names.begin()) {
      config_file = value;
    } else {
      const Setting& setting = kSettings[static_cast<size_t>(found - names.begin() - 1)];
      given[std::string(setting.key)] = {{value}, fmt::format("environment: {}", name)};
    }
  }
  return given;
}

}  // namespace holdfast::daemon
