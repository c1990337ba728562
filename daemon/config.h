// The daemon's configuration: flags, environment and file, merged and checked.
//
// Flag beats environment beats file. Every problem is found in one go, so that the operator
// corrects them in one go; each names where the value came from and what would be right.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lockcore/base/limits.h"
#include "lockcore/base/log_row.h"
#include "lockcore/base/time.h"
#include "rpc/address.h"

namespace holdfast::daemon {

enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarn, kError };
enum class LogFormat : uint8_t { kText, kJson };

struct Config {
  base::NodeId id{1};
  std::string name;
  std::string data_dir;
  std::vector<rpc::Address> listen;
  std::string advertise;              // where peers and clients reach this node
  std::vector<base::Member> cluster;  // by id; a single node is a cell of itself
  std::vector<rpc::Address> join;     // nodes of a living cell; `cluster` is empty then
  base::Duration heartbeat;
  base::Duration election;
  base::Duration busy_poll;
  uint64_t log_slots = 0;  // so much of the log is kept behind what is recorded
  uint64_t log_bytes = 0;
  // Between two looks at all of the databases.
  base::Duration scrub_interval = base::Duration::from_ms(base::kDefaultScrubIntervalMs);
  bool force_new_cell = false;  // at this start
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
};

// What the command line asked for.
struct Invocation {
  enum class Action : uint8_t { kServe, kPrint, kFail } action = Action::kServe;
  Config config;      // kServe
  std::string text;   // kPrint: for stdout; kFail: the problems, for stderr
  int exit_code = 0;  // kPrint, kFail
};

// `environment` as in environ.
Invocation read_configuration(int argc, const char* const* argv, const char* const* environment);

}  // namespace holdfast::daemon
