#include "tests/sim/fault.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace holdfast::sim {
namespace {

struct Kind {
  FaultKind kind;
  std::string_view name;
  std::string_view story;  // {who}, {whom}, {how}
};

constexpr std::array kKinds = std::to_array<Kind>({
    {FaultKind::kCrash, "crash", "{who} dies"},
    {FaultKind::kCrashWithin, "crash-within", "{who} dies within a turn, after {how} effects"},
    {FaultKind::kStorm, "storm", "{who} dies and starts every {how} ms"},
    {FaultKind::kPause, "pause", "{who} stands still"},
    {FaultKind::kSuspend, "suspend", "{who} sleeps, what is sent to it is lost"},
    {FaultKind::kFreeze, "freeze", "{who} is frozen with its clock"},
    {FaultKind::kRate, "rate", "{who} has a clock at {how} thousandths of its rate"},
    {FaultKind::kWall, "wall", "{who} has its wall clock set by {how} ms"},
    {FaultKind::kPartition, "partition", "{who} and {whom} don't hear each other"},
    {FaultKind::kDeaf, "deaf", "{who} isn't heard by {whom}"},
    {FaultKind::kLarge, "large", "{who} sends nothing above {how} bytes to {whom}"},
    {FaultKind::kCut, "cut", "{who} loses its connections with {whom} (how: {how})"},
    {FaultKind::kLoss, "loss", "{how} of a thousand messages are lost"},
    {FaultKind::kTwice, "twice", "{how} of a thousand messages come twice"},
    {FaultKind::kLate, "late", "{how} of a thousand messages are late"},
    {FaultKind::kStall, "stall", "{who} has a disk that does nothing"},
    {FaultKind::kSlow, "slow", "{who} has a disk that takes {how} ms longer"},
    {FaultKind::kFull, "full", "{who} has a full disk"},
    {FaultKind::kWipe, "wipe", "{who} dies and finds its disk empty"},
    {FaultKind::kPutBack, "put-back", "{who} is copied, and the copy put back after that time"},
    {FaultKind::kRot, "rot", "{who} dies, and its disk is damaged (how: {how})"},
    {FaultKind::kRotAlive, "rot-alive", "{who} runs on with a damaged log"},
    {FaultKind::kTransfer, "transfer", "the leader hands over to {who}"},
    {FaultKind::kAdd, "add", "{who} joins and is promoted"},
    {FaultKind::kRemove, "remove", "{who} is removed from the cell"},
    {FaultKind::kMove, "move", "{who} gets another address"},
    {FaultKind::kRefuse, "refuse", "{how} of a thousand requests of programs are refused"},
    {FaultKind::kClientPause, "client-pause", "{who} stands still"},
    {FaultKind::kClientFreeze, "client-freeze", "{who} is frozen with its clock"},
    {FaultKind::kClientRate, "client-rate", "{who} has a clock at {how} thousandths of its rate"},
    {FaultKind::kClientLost, "client-lost", "{who} and {whom} don't hear each other"},
    {FaultKind::kClientDeaf, "client-deaf", "{who} doesn't hear {whom}"},
    {FaultKind::kClientCut, "client-cut", "{who} loses its connections with {whom} (how: {how})"},
    {FaultKind::kClientKill, "client-kill", "{who} dies, and comes back as another (how: {how})"},
});

const Kind& find(FaultKind kind) {
  return *std::ranges::find(kKinds, kind, &Kind::kind);
}

std::string text_of_targets(Targets targets) {
  if (targets == kEverybody) return "*";
  if (targets == kLeader) return "L";
  std::string text;
  for (int i = 0; i < 63; ++i) {
    if ((targets >> i & 1) != 0) text += (text.empty() ? "" : ".") + std::to_string(i);
  }
  return text;
}

std::string tell_targets(Targets targets, std::string_view kind) {
  if (targets == kEverybody) return "everybody";
  if (targets == kLeader) return "the leader";
  return std::string(kind) + " " + text_of_targets(targets);
}

void replace(std::string& text, std::string_view what, const std::string& by) {
  const size_t at = text.find(what);
  if (at != std::string::npos) text.replace(at, what.size(), by);
}

// Takes a number, and what is before it, off the front of `text`.
bool take_number(std::string_view& text, char mark, int64_t& number) {
  if (!text.starts_with(mark)) return true;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), number);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool take_targets(std::string_view& text, char mark, Targets& targets) {
  if (!text.starts_with(mark)) return true;
  text.remove_prefix(1);
  if (text.starts_with('*') || text.starts_with('L')) {
    targets = text[0] == '*' ? kEverybody : kLeader;
    text.remove_prefix(1);
    return true;
  }
  text = std::string_view(text.data() - 1, text.size() + 1);
  for (char before = mark; text.starts_with(before); before = '.') {
    int64_t one = -1;
    if (!take_number(text, before, one) || one < 0 || one > 62) return false;
    targets |= uint64_t{1} << one;
  }
  return true;
}

std::optional<Fault> read_fault(std::string_view text) {
  const std::string_view name = text.substr(0, text.find('@'));
  const auto kind = std::ranges::find(kKinds, name, &Kind::name);
  if (kind == kKinds.end()) return std::nullopt;
  text.remove_prefix(name.size());
  Fault fault;
  fault.kind = kind->kind;
  if (!take_number(text, '@', fault.at_ms) || !take_number(text, '+', fault.for_ms)) return {};
  if (!take_targets(text, ':', fault.who) || !take_targets(text, '>', fault.whom)) return {};
  if (!take_number(text, '=', fault.how) || !text.empty()) return {};
  return fault;
}

}  // namespace

std::string text_of(const Fault& fault) {
  std::string text = std::string(find(fault.kind).name) + "@" + std::to_string(fault.at_ms);
  if (fault.for_ms != 0) text += "+" + std::to_string(fault.for_ms);
  if (fault.who != 0) text += ":" + text_of_targets(fault.who);
  if (fault.whom != 0) text += ">" + text_of_targets(fault.whom);
  if (fault.how != 0) text += "=" + std::to_string(fault.how);
  return text;
}

std::string text_of(const Faults& faults) {
  std::string text;
  for (const Fault& fault : faults) text += (text.empty() ? "" : " ") + text_of(fault);
  return text;
}

std::string tell(const Fault& fault) {
  const bool of_clients = find(fault.kind).name.starts_with("client-");
  std::string story(find(fault.kind).story);
  replace(story, "{whom}", tell_targets(fault.whom, "node"));
  replace(story, "{who}", tell_targets(fault.who, of_clients ? "client" : "node"));
  replace(story, "{how}", std::to_string(fault.how));
  char at[32], length[32] = "";
  std::snprintf(at, sizeof at, "%8.3f s  ", static_cast<double>(fault.at_ms) / 1e3);
  if (fault.for_ms != 0) {
    std::snprintf(length, sizeof length, ", for %.3f s", static_cast<double>(fault.for_ms) / 1e3);
  }
  return at + story + length;
}

std::optional<Faults> read_faults(std::string_view text, std::string& why) {
  Faults faults;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(" ,\n"), text.size());
    if (end > 0) {
      const auto fault = read_fault(text.substr(0, end));
      if (!fault) {
        why = "not a fault: '" + std::string(text.substr(0, end)) + "'";
        return std::nullopt;
      }
      faults.push_back(*fault);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return faults;
}

}  // namespace holdfast::sim
