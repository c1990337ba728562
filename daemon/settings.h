// The table of settings, and their values as written in flags, environment and file.
//
// One table gives all three their names: --data-dir, HOLDFASTD_DATA_DIR, data-dir = "...".
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::daemon {

enum class SettingKind : uint8_t { kText, kNumber, kDuration, kList };

struct Setting {
  std::string_view key;
  SettingKind kind;
  std::string_view placeholder;
  std::string_view help;
};

constexpr std::array<Setting, 15> kSettings{{
    {"id", SettingKind::kNumber, "N",
     "This node's id: permanent, never given to another (default 1)"},
    {"name", SettingKind::kText, "NAME", "This node's name, for people (default node-ID)"},
    {"data-dir", SettingKind::kText, "DIR",
     "Where the cell's state lives (default /var/lib/holdfast as root, else "
     "$XDG_STATE_HOME/holdfast)"},
    {"listen", SettingKind::kList, "HOST:PORT|unix:PATH",
     "Where to listen for clients and peers; may be repeated (default: this node's address in "
     "--cluster, else a unix socket and 127.0.0.1:7420)"},
    {"advertise", SettingKind::kText, "HOST:PORT",
     "Where others reach this node (default: its address in --cluster, else the first --listen)"},
    {"cluster", SettingKind::kList, "ID=HOST:PORT,...",
     "All 1, 3 or 5 nodes that found the cell, the same list on each (default: this node alone)"},
    {"join", SettingKind::kList, "HOST:PORT,...",
     "Nodes of a living cell, which takes this one in as a learner if its data directory is empty"},
    {"heartbeat", SettingKind::kDuration, "DURATION",
     "Between a leader's heartbeats (default 50ms)"},
    {"election", SettingKind::kDuration, "DURATION",
     "Without a leader's word before an election; at least 4 heartbeats (default 500ms)"},
    {"busy-poll", SettingKind::kDuration, "DURATION",
     "Look so long for the next event before sleeping, while busy; 0ms: never (default 1ms)"},
    {"log-slots", SettingKind::kNumber, "N",
     "Slots of the log to keep for nodes that were away; a live one may make it 4 times as many "
     "(default 100000)"},
    {"log-bytes", SettingKind::kNumber, "BYTES", "And how many bytes of them (default 67108864)"},
    {"scrub-interval", SettingKind::kDuration, "DURATION",
     "Between two looks at every row and page of the databases, for damage (default 6h)"},
    {"log-level", SettingKind::kText, "LEVEL", "trace, debug, info, warn or error (default info)"},
    {"log-format", SettingKind::kText, "FORMAT", "text or json (default text)"},
}};

// A value as somebody wrote it, and where: "--id", "HOLDFASTD_ID", "/etc/x.toml:3: id".
struct Given {
  std::vector<std::string> values;
  std::string origin;
  bool by_flag = false;
};
using GivenSettings = std::map<std::string, Given, std::less<>>;

struct Problem {
  std::string text;
  bool usage = false;  // of the command line itself: exit 2, not 78
};

struct CommandLine {
  GivenSettings settings;
  std::string config_file;  // empty: not given
  bool check_config = false;
  bool force_new_cell = false;
  bool version = false;
  std::string help;  // not empty: asked for
};

CommandLine read_flags(int argc, const char* const* argv, std::vector<Problem>& problems);

// `config_file` is filled from HOLDFASTD_CONFIG.
GivenSettings read_environment(const char* const* environment, std::string& config_file,
                               std::vector<Problem>& problems);

GivenSettings read_file(const std::string& path, std::vector<Problem>& problems);
// The text of a file that would bring these settings about.
std::string write_as_file(const GivenSettings& settings);

}  // namespace holdfast::daemon
