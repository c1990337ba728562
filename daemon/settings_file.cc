// The configuration file: TOML, one key per setting, no tables.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "daemon/nearest.h"
#include "daemon/settings.h"

namespace holdfast::daemon {
namespace {

// What is wrong with the type of this value; empty: it was put into `given`.
std::string take_value(const Setting& setting, const toml::node& node, Given& given) {
  if (setting.kind == SettingKind::kNumber) {
    if (!node.is_integer())
      return fmt::format("must be a whole number, such as {} = 1", setting.key);
    given.values.push_back(std::to_string(node.as_integer()->get()));
  } else if (const auto* text = node.as_string()) {
    given.values.push_back(text->get());
  } else if (setting.kind == SettingKind::kList && node.is_array()) {
    for (const toml::node& element : *node.as_array()) {
      const auto* element_text = element.as_string();
      if (element_text == nullptr) {
        return fmt::format("must be a list of strings: {} = [\"{}\"]", setting.key,
                           setting.placeholder);
      }
      given.values.push_back(element_text->get());
    }
  } else if (setting.kind == SettingKind::kDuration) {
    return fmt::format("must be a duration in quotes, such as {} = \"500ms\"", setting.key);
  } else {
    return fmt::format("must be a string in quotes: {} = \"{}\"", setting.key, setting.placeholder);
  }
  return "";
}

}  // namespace

GivenSettings read_file(const std::string& path, std::vector<Problem>& problems) {
  GivenSettings given;
  std::error_code error;
  bool directory = std::filesystem::is_directory(path, error);
  std::ifstream stream(path, std::ios::binary);
  if (!stream || directory) {
    problems.push_back(
        {fmt::format("{}: can't be read: {}", path, std::strerror(directory ? EISDIR : errno))});
    return given;
  }
  std::ostringstream contents;
  contents << stream.rdbuf();
  toml::table table;
  try {
    table = toml::parse(contents.view(), path);
  } catch (const toml::parse_error& wrong) {
    problems.push_back({fmt::format("{}:{}: not valid TOML: {}", path, wrong.source().begin.line,
                                    wrong.description())});
    return given;
  }
  std::vector<std::string_view> keys;
  for (const Setting& setting : kSettings) keys.push_back(setting.key);
  for (const auto& [name, node] : table) {
    std::string_view key = name.str();
    auto place = fmt::format("{}:{}", path, name.source().begin.line);
    auto setting = std::ranges::find(kSettings, key, &Setting::key);
    if (setting == kSettings.end()) {
      problems.push_back({fmt::format("{}: unknown key '{}': did you mean '{}'?", place, key,
                                      nearest(key, keys))});
      continue;
    }
    Given value{{}, fmt::format("{}: {}", place, key)};
    std::string wrong = take_value(*setting, node, value);
    if (!wrong.empty()) {
      problems.push_back({fmt::format("{} {}", value.origin, wrong)});
    } else {
      given[std::string(key)] = std::move(value);
    }
  }
  return given;
}

std::string write_as_file(const GivenSettings& settings) {
  toml::table table;
  for (const auto& [key, given] : settings) {
    auto setting = std::ranges::find(kSettings, key, &Setting::key);
    if (setting->kind == SettingKind::kNumber) {
      table.insert(key, std::stoll(given.values.front()));
    } else if (setting->kind == SettingKind::kList) {
      toml::array list;
      for (const std::string& value : given.values) list.push_back(value);
      table.insert(key, std::move(list));
    } else {
      table.insert(key, given.values.front());
    }
  }
  std::ostringstream text;
  text << toml::toml_formatter(table, toml::toml_formatter::default_flags &
                                          ~toml::format_flags::allow_literal_strings)
       << '\n';
  return text.str();
}

}  // namespace holdfast::daemon
