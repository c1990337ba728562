#include "daemon/config.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "daemon/exit_codes.h"
#include "daemon/settings.h"
#include "lockcore/base/limits.h"
#include "lockcore/locks/validate.h"
#include "rpc/limits.h"

namespace holdfast::daemon {
namespace {

constexpr const char* kDefaultFile = "/etc/holdfast/holdfastd.toml";
constexpr uint16_t kDefaultPort = 7420;
constexpr auto kShortestHeartbeat = base::Duration::from_ms(5);
constexpr auto kLongestElection = base::Duration::from_ms(600'000);
constexpr auto kLongestBusyPoll = base::Duration::from_ms(10);
constexpr auto kShortestScrubInterval = base::Duration::from_ms(1'000);
constexpr auto kLongestScrubInterval = base::Duration::from_ms(int64_t{30} * 24 * 3600 * 1000);
// Below this, one lost heartbeat would be half an election.
constexpr int64_t kHeartbeatsPerElection = 4;
constexpr size_t kMaxNodeNameBytes = 64;

// 0.0.0.0 and ::, on which one can listen but which nobody can dial.
bool is_wildcard(const rpc::Address& address) {
  return address.host == "0.0.0.0" || address.host == "::";
}

// An address that other machines can be told.
std::optional<rpc::Address> parse_reachable(std::string_view text, std::string& why) {
  auto address = rpc::parse_address(text, why);
  if (!address) return std::nullopt;
  bool is_tcp = address->kind == rpc::Address::Kind::kTcp;
  if (is_tcp && !is_wildcard(*address) && address->port != 0) return address;
  why = fmt::format("nobody can dial '{}' from elsewhere: write HOST:PORT of this machine", text);
  return std::nullopt;
}

constexpr std::array<std::string_view, 5> kLogLevels{"trace", "debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 2> kLogFormats{"text", "json"};

// Reads the merged settings one by one; gathers what is wrong with them.
class Builder {
 public:
  Builder(const GivenSettings& given, std::vector<Problem>& problems)
      : given_(given), problems_(problems) {}

  Config build();

 private:
  const Given* find(std::string_view key) const {
    auto found = given_.find(key);
    return found == given_.end() || found->second.values.empty() ? nullptr : &found->second;
  }
  void refuse(const Given& given, std::string_view why) {
    problems_.push_back({fmt::format("{}: {}", given.origin, why), given.by_flag});
  }
  // Two settings that don't fit each other: a configuration error, whoever gave them.
  void refuse_relation(const Given& given, std::string_view why) {
    problems_.push_back({fmt::format("{}: {}", given.origin, why), false});
  }
  uint64_t number(std::string_view key, uint64_t fallback, uint64_t least = 1);
  std::string text(std::string_view key, std::string fallback);
  base::Duration duration(std::string_view key, base::Duration fallback, base::Duration shortest,
                          base::Duration longest);
  template <class Enum, size_t n>
  Enum word(std::string_view key, const std::array<std::string_view, n>& words, Enum fallback);

  // The file, the log and the RPC can hold UTF-8 only: they would show another value.
  void check_texts();
  void build_timing(Config& config);
  void build_cluster(Config& config);
  void build_join(Config& config);
  void build_listen(Config& config);
  void build_advertise(Config& config);
  std::optional<base::Member> member(const Given& given, std::string_view item);
  void check_cluster(const Given& given, const Config& config);

  const GivenSettings& given_;
  std::vector<Problem>& problems_;
};

// The elements of a list setting, however they were given: repeated, or parted by commas. An empty
// text has one, an empty one: nobody means to listen nowhere.
std::vector<std::string> elements(const Given& given) {
  std::vector<std::string> all;
  for (std::string_view value : given.values) {
    for (size_t begin = 0; begin <= value.size();) {
      const size_t end = std::min(value.find(',', begin), value.size());
      std::string_view item = value.substr(begin, end - begin);
      item.remove_prefix(std::min(item.find_first_not_of(' '), item.size()));
      item.remove_suffix(item.size() - std::min(item.find_last_not_of(' ') + 1, item.size()));
      all.emplace_back(item);
      begin = end + 1;
    }
  }
  return all;
}

// A whole number from 1 to what TOML and SQLite, too, can hold.
std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value == 0 || value > std::numeric_limits<int64_t>::max()) return std::nullopt;
  return value;
}

uint64_t Builder::number(std::string_view key, uint64_t fallback, uint64_t least) {
  const Given* given = find(key);
  if (given == nullptr) return fallback;
  auto value = parse_number(given->values.front());
  if (!value || *value < least) {
    refuse(*given, fmt::format("'{}' is not a whole number from {} to {}", given->values.front(),
                               least, std::numeric_limits<int64_t>::max()));
    return fallback;
  }
  return *value;
}

std::string Builder::text(std::string_view key, std::string fallback) {
  const Given* given = find(key);
  if (given == nullptr) return fallback;
  if (given->values.front().empty()) refuse(*given, "must not be empty");
  return given->values.front();
}

std::string ms_text(base::Duration duration) {
  if (duration.ns % 1'000'000 == 0) return fmt::format("{}ms", duration.ns / 1'000'000);
  return fmt::format("{:g}ms", static_cast<double>(duration.ns) / 1e6);
}

base::Duration Builder::duration(std::string_view key, base::Duration fallback,
                                 base::Duration shortest, base::Duration longest) {
  const Given* given = find(key);
  if (given == nullptr) return fallback;
  const std::string& text = given->values.front();
  double value = 0;
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit(rest, static_cast<size_t>(text.data() + text.size() - rest));
  double scale_ms = unit == "ms"                  ? 1
                    : unit == "s" || unit.empty() ? 1e3
                    : unit == "m"                 ? 60e3
                    : unit == "h"                 ? 3600e3
                                                  : 0;
  double ms = value * scale_ms;
  bool sensible = error == std::errc() && scale_ms > 0 &&
                  ms >= static_cast<double>(shortest.ms_floor()) &&
                  ms <= static_cast<double>(longest.ms_floor());
  if (!sensible) {
    refuse(*given, fmt::format("'{}' is not a duration from {} to {}: write 50ms, 2s or 1m", text,
                               ms_text(shortest), ms_text(longest)));
    return fallback;
  }
  return base::Duration::from_us(static_cast<int64_t>(ms * 1e3));
}

template <class Enum, size_t n>
Enum Builder::word(std::string_view key, const std::array<std::string_view, n>& words,
                   Enum fallback) {
  const Given* given = find(key);
  if (given == nullptr) return fallback;
  auto found = std::ranges::find(words, given->values.front());
  if (found == words.end()) {
    refuse(*given,
           fmt::format("'{}' is not one of {}", given->values.front(), fmt::join(words, ", ")));
    return fallback;
  }
  return static_cast<Enum>(found - words.begin());
}

std::string default_data_dir() {
  if (geteuid() == 0) return "/var/lib/holdfast";
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/') return fmt::format("{}/holdfast", state);
  const char* home = std::getenv("HOME");
  return home == nullptr || home[0] != '/' ? "" : fmt::format("{}/.local/state/holdfast", home);
}

std::string default_socket(const std::string& data_dir) {
  // systemd sets RUNTIME_DIRECTORY to what it made for us; of several, ours is the first.
  const char* given = std::getenv("RUNTIME_DIRECTORY");
  if (given != nullptr && given[0] == '/') {
    std::string_view first(given);
    return fmt::format("{}/holdfast.sock", first.substr(0, first.find(':')));
  }
  if (geteuid() == 0) return "/run/holdfast/holdfast.sock";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && runtime[0] == '/')
    return fmt::format("{}/holdfast/holdfast.sock", runtime);
  return data_dir + "/holdfast.sock";
}

void Builder::build_timing(Config& config) {
  config.busy_poll = duration("busy-poll", base::Duration::from_us(rpc::kDefaultBusyPollUs),
                              base::Duration{}, kLongestBusyPoll);
  config.scrub_interval =
      duration("scrub-interval", base::Duration::from_ms(base::kDefaultScrubIntervalMs),
               kShortestScrubInterval, kLongestScrubInterval);
  config.heartbeat = duration("heartbeat", base::Duration::from_ms(base::kDefaultHeartbeatMs),
                              kShortestHeartbeat, kLongestElection);
  config.election = duration("election", base::Duration::from_ms(base::kDefaultElectionMs),
                             kShortestHeartbeat, kLongestElection);
  if (config.election >= config.heartbeat * kHeartbeatsPerElection) return;
  const Given* given = find("election") != nullptr ? find("election") : find("heartbeat");
  if (given == nullptr) return;
  refuse_relation(*given, fmt::format("an election of {}ms must be at least {} times the heartbeat "
                                      "of {}ms: {}ms or more",
                                      config.election.ms_floor(), kHeartbeatsPerElection,
                                      config.heartbeat.ms_ceil(),
                                      (config.heartbeat * kHeartbeatsPerElection).ms_ceil()));
}

std::optional<base::Member> Builder::member(const Given& given, std::string_view item) {
  size_t equals = item.find('=');
  auto id = parse_number(item.substr(0, equals));
  if (equals == std::string_view::npos || !id) {
    refuse(given, fmt::format("'{}' is not ID=HOST:PORT, such as 1=node1.example.org:7420", item));
    return std::nullopt;
  }
  std::string why;
  auto address = parse_reachable(item.substr(equals + 1), why);
  if (!address) {
    refuse(given, why);
    return std::nullopt;
  }
  return base::Member{base::NodeId{*id}, {}, address->text(), true};
}

void Builder::build_cluster(Config& config) {
  const Given* given = find("cluster");
  if (given == nullptr) return;
  size_t problems_before = problems_.size();
  for (const std::string& item : elements(*given)) {
    if (auto parsed = member(*given, item)) config.cluster.push_back(*parsed);
  }
  std::ranges::sort(config.cluster, {}, &base::Member::id);
  if (problems_.size() == problems_before) check_cluster(*given, config);
}

void Builder::build_join(Config& config) {
  const Given* given = find("join");
  if (given == nullptr) return;
  std::string why;
  for (const std::string& item : elements(*given)) {
    if (auto address = parse_reachable(item, why)) {
      config.join.push_back(*address);
    } else {
      refuse(*given, why);
    }
  }
  if (find("cluster") == nullptr) return;
  refuse_relation(*given,
                  "a node founds a cell (cluster) or joins one that lives (join), not both");
}

void Builder::check_cluster(const Given& given, const Config& config) {
  std::set<base::NodeId> ids;
  std::set<std::string> addresses;
  for (const base::Member& member : config.cluster) {
    if (!ids.insert(member.id).second) {
      refuse_relation(given, fmt::format("node {} is in the list twice", member.id.value));
    }
    if (!addresses.insert(member.address).second) {
      refuse_relation(given, fmt::format("address {} is in the list twice", member.address));
    }
  }
  size_t size = config.cluster.size();
  if (size != 1 && size != 3 && size != 5) {
    refuse_relation(given, fmt::format("a cell has 1, 3 or 5 nodes, not {}: {}", size,
                                       size > 5 ? "more would only make it slower"
                                                : "an even number bears no more failures than one "
                                                  "node less"));
  }
  if (!ids.contains(config.id)) {
    refuse_relation(
        given, fmt::format("node {}, which this is (--id), is not in the list", config.id.value));
  }
}

void Builder::build_listen(Config& config) {
  std::string why;
  if (const Given* given = find("listen")) {
    for (const std::string& item : elements(*given)) {
      auto address = rpc::parse_address(item, why);
      if (!address) {
        refuse(*given, why);
      } else if (address->kind == rpc::Address::Kind::kTcp && address->port == 0) {
        refuse(*given, fmt::format("'{}' has no port at which others could find it", item));
      } else if (std::ranges::find(config.listen, *address) != config.listen.end()) {
        refuse(*given, fmt::format("{} is given twice", address->text()));
      } else {
        config.listen.push_back(*address);
      }
    }
    return;
  }
  // Daemons of one machine that share a list would fight for one unix socket: only the address.
  for (const base::Member& member : config.cluster) {
    if (member.id == config.id) config.listen.push_back(*rpc::parse_address(member.address, why));
  }
  if (!config.cluster.empty()) return;
  config.listen = {{rpc::Address::Kind::kUnix, default_socket(config.data_dir), 0},
                   {rpc::Address::Kind::kTcp, "127.0.0.1", kDefaultPort}};
}

void Builder::build_advertise(Config& config) {
  std::string why;
  if (const Given* given = find("advertise")) {
    auto address = parse_reachable(given->values.front(), why);
    if (address) {
      config.advertise = address->text();
    } else {
      refuse(*given, why);
    }
    return;
  }
  for (const base::Member& member : config.cluster) {
    if (member.id == config.id) config.advertise = member.address;
  }
  if (!config.advertise.empty() || config.listen.empty()) return;
  auto tcp = std::ranges::find(config.listen, rpc::Address::Kind::kTcp, &rpc::Address::kind);
  config.advertise = (tcp != config.listen.end() ? *tcp : config.listen.front()).text();
}

void Builder::check_texts() {
  for (const auto& [key, given] : given_) {
    if (!std::ranges::all_of(given.values, locks::is_utf8)) refuse(given, "is not valid UTF-8");
  }
}

Config Builder::build() {
  Config config;
  check_texts();
  config.id = base::NodeId{number("id", 1)};
  config.name = text("name", fmt::format("node-{}", config.id.value));
  if (config.name.size() > kMaxNodeNameBytes) {
    refuse(*find("name"), fmt::format("has {} bytes, at most {} are allowed", config.name.size(),
                                      kMaxNodeNameBytes));
  }
  config.data_dir = text("data-dir", default_data_dir());
  if (config.data_dir.empty() && find("data-dir") == nullptr) {
    problems_.push_back({"there is no home directory to keep data in: give --data-dir"});
  }
  config.log_level = word("log-level", kLogLevels, LogLevel::kInfo);
  config.log_format = word("log-format", kLogFormats, LogFormat::kText);
  config.log_slots = number("log-slots", base::kDefaultLogSlots, base::kMinLogSlots);
  config.log_bytes = number("log-bytes", base::kDefaultLogBytes, base::kMinLogBytes);
  build_timing(config);
  build_cluster(config);
  build_join(config);
  build_listen(config);
  build_advertise(config);
  if (config.cluster.empty() && config.join.empty())
    config.cluster = {{config.id, {}, config.advertise, true}};
  return config;
}

// The effective configuration, as a file that would bring it about.
std::string describe(const Config& config) {
  GivenSettings settings;
  auto set = [&](std::string_view key, std::string value) {
    settings[std::string(key)].values.push_back(std::move(value));
  };
  set("id", std::to_string(config.id.value));
  set("name", config.name);
  set("data-dir", config.data_dir);
  for (const rpc::Address& address : config.listen) set("listen", address.text());
  set("advertise", config.advertise);
  for (const base::Member& member : config.cluster) {
    set("cluster", fmt::format("{}={}", member.id.value, member.address));
  }
  for (const rpc::Address& address : config.join) set("join", address.text());
  set("heartbeat", ms_text(config.heartbeat));
  set("election", ms_text(config.election));
  set("busy-poll", ms_text(config.busy_poll));
  set("log-slots", std::to_string(config.log_slots));
  set("log-bytes", std::to_string(config.log_bytes));
  set("scrub-interval", ms_text(config.scrub_interval));
  set("log-level", std::string(kLogLevels[static_cast<size_t>(config.log_level)]));
  set("log-format", std::string(kLogFormats[static_cast<size_t>(config.log_format)]));
  return write_as_file(settings);
}

Invocation failed(const std::vector<Problem>& problems) {
  std::string text;
  for (const Problem& problem : problems) text += fmt::format("holdfastd: {}\n", problem.text);
  bool usage = std::ranges::all_of(problems, &Problem::usage);
  if (usage) text += "See holdfastd --help.\n";
  return {Invocation::Action::kFail, {}, text, usage ? kExitUsage : kExitConfig};
}

}  // namespace

Invocation read_configuration(int argc, const char* const* argv, const char* const* environment) {
  std::vector<Problem> problems;
  CommandLine line = read_flags(argc, argv, problems);
  if (!line.help.empty()) return {Invocation::Action::kPrint, {}, line.help, kExitDone};
  // A command line that isn't understood is told alone: what else is wrong may follow from it.
  if (!problems.empty()) return failed(problems);
  if (line.version) {
    return {Invocation::Action::kPrint, {}, "holdfastd " HOLDFAST_VERSION "\n", kExitDone};
  }
  std::string file_of_environment;
  GivenSettings merged = std::move(line.settings);
  merged.merge(read_environment(environment, file_of_environment, problems));
  std::string file = line.config_file.empty() ? file_of_environment : line.config_file;
  std::error_code ignored;
  if (file.empty() && std::filesystem::exists(kDefaultFile, ignored)) file = kDefaultFile;
  if (!file.empty()) merged.merge(read_file(file, problems));

  Config config = Builder(merged, problems).build();
  if (!problems.empty()) return failed(problems);
  if (line.check_config) {
    return {Invocation::Action::kPrint, {}, describe(config), kExitDone};
  }
  config.force_new_cell = line.force_new_cell;
  return {Invocation::Action::kServe, std::move(config), {}, kExitDone};
}

}  // namespace holdfast::daemon
