#include "tests/sim/checkers/hold_checker.h"

#include <charconv>

namespace holdfast::sim {

HoldChecker::Acquire HoldChecker::begin(const std::string& lock) {
  fates_[++last_].lock = lock;
  return last_;
}

void HoldChecker::fail(Acquire acquire, const std::string& what) {
  world_.fail("acquire " + std::to_string(acquire) + " of " + fates_[acquire].lock + " " + what);
}

void HoldChecker::on_granted(Acquire acquire, base::Token token) {
  Fate& fate = fates_[acquire];
  fate.token = token;
  told_.insert(token);
  const std::string told = "token " + std::to_string(token.value);
  if (fate.granted != told) {
    fail(acquire, "was told " + told + "; by the chosen commands it has " +
                      (fate.granted.empty() ? "none" : fate.granted));
  }
}

void HoldChecker::on_refused(Acquire acquire) {
  Fate& fate = fates_[acquire];
  fate.refused = true;
  if (fate.lease && model_.model().has_claim(fate.lease, fate.holder)) {
    fail(acquire, "was told no, and yet it holds or waits");
  }
}

void HoldChecker::on_deadlock(Acquire acquire) {
  if (fates_[acquire].holds_known) return;
  fail(acquire, "was told that it would wait for itself, and holds nothing that it knows of");
}

void HoldChecker::on_released(Acquire acquire) {
  const Fate& fate = fates_[acquire];
  if (model_.model().is_held(fate.lock, fate.token)) {
    fail(acquire, "was told that it is released, and yet it is held");
  }
}

void HoldChecker::on_command(const locks::Command& command) {
  const auto* body = std::get_if<locks::Acquire>(&command.body);
  if (body == nullptr || body->reason.empty()) return;  // of a client without the library
  Acquire acquire = 0;
  std::from_chars(body->reason.data(), body->reason.data() + body->reason.size(), acquire);
  Fate& fate = fates_[acquire];
  fate.lease = body->lease;
  fate.holder = body->holder;
  for (const base::Token token : model_.model().tokens_of(body->lease, body->agent)) {
    fate.holds_known |= told_.contains(token);
  }
  by_number_[{command.op.client, command.op.number}] = acquire;
  if (fate.refused && model_.model().has_claim(fate.lease, fate.holder)) {
    fail(acquire, "was told no, and then it came to hold or wait");
  }
}

void HoldChecker::on_outcome(const base::AnswerKey& key, const std::string& outcome) {
  const auto acquire = by_number_.find(key);
  if (acquire == by_number_.end() || !outcome.starts_with("token ")) return;
  Fate& fate = fates_[acquire->second];
  if (!fate.granted.empty() && fate.granted != outcome) {
    fail(acquire->second, "is granted a second time: " + fate.granted + ", " + outcome);
  }
  fate.granted = outcome;
}

}  // namespace holdfast::sim
