#include "tests/sim/plan.h"

#include <algorithm>
#include <charconv>

#include "lockcore/base/mutant.h"
#include "tests/sim/schedule.h"

namespace holdfast::sim {
namespace {

std::string quoted(const std::string& text) {
  return "'" + text + "'";
}

bool take_line(Plan& plan, std::string_view line, std::string& why) {
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(word.size() + 1, line.size()));
  if (word.empty() || word.starts_with('#')) return true;
  if (word == "set") return set_options(plan.options, line, why);
  if (word == "faults") {
    auto faults = read_faults(line, why);
    if (faults) plan.faults = std::move(*faults);
    return faults.has_value();
  }
  const char* const end = line.data() + line.size();
  if (word == "seed" && std::from_chars(line.data(), end, plan.options.seed).ptr == end)
    return true;
  why = "not a line of a plan: '" + std::string(word) + "'";
  return false;
}

}  // namespace

Plan draw_plan(uint64_t seed) {
  Plan plan;
  plan.options = draw_options(seed);
  plan.faults = draw_faults(plan.options);
  return plan;
}

std::string text_of(const Plan& plan) {
  return "seed " + std::to_string(plan.options.seed) + "\nset " + describe(plan.options) +
         "\nfaults " + text_of(plan.faults) + "\n";
}

std::optional<Plan> read_plan(std::string_view text, std::string& why) {
  Plan plan;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (!take_line(plan, text.substr(0, end), why)) return std::nullopt;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return plan;
}

std::string replay_command(const Plan& plan) {
  const Plan own = draw_plan(plan.options.seed);
  std::string command = "./dev sim --seed " + std::to_string(plan.options.seed) + " --trace";
  const std::string changes = describe_changes(plan.options, own.options);
  if (!changes.empty()) command += " --set " + quoted(changes);
  if (plan.faults != own.faults) command += " --faults " + quoted(text_of(plan.faults));
  if (!base::active_mutant.empty()) command += " --mutant " + std::string(base::active_mutant);
  return command;
}

}  // namespace holdfast::sim
