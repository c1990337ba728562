// Core: surveys: asking every member of the cell how it is (Cell::status).
#include <algorithm>

#include "bindings/cpp/src/core.h"

namespace holdfast::client {

using base::Instant;
using base::kNever;

namespace {

std::string hex(uint64_t value) {
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15];
  return text;
}

}  // namespace

void Core::status(Ref ref, Instant now, Effects& fx, StatusRequest asked) {
  begin_event();
  Survey survey;
  survey.id = ++last_survey_;
  survey.ref = ref;
  survey.question = asked;
  survey.deadline = survey.until = now + options_.request_timeout;
  survey.next_step = now;
  surveys_.push_back(std::move(survey));
  settle(now, fx);
}

void Core::continue_surveys(Instant now, Effects& fx) {
  for (size_t i = 0; i < surveys_.size();) {
    step_survey(surveys_[i], now, fx);
    if (survey_over(surveys_[i], now)) {
      end_survey(surveys_[i], fx);
      surveys_.erase(surveys_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

void Core::step_survey(Survey& survey, Instant now, Effects& fx) {
  using State = Router::Node::State;
  bool retry = survey.next_step <= now;
  if (retry) survey.next_step = now + kSurveyStep;
  survey.nodes.resize(router_.nodes().size());
  bool anybody = std::any_of(survey.nodes.begin(), survey.nodes.end(),
                             [](const Survey::Asked& node) { return node.status.has_value(); });
  Router::Questions questions;
  for (uint32_t i = 0; i < survey.nodes.size(); ++i) {
    Survey::Asked& asked = survey.nodes[i];
    const Router::Node& node = router_.nodes()[i];
    if (node.state == State::kUp) {
      if (!asked.asked) questions.push_back(i);
      asked.asked = true;
    } else if (node.state == State::kIdle || node.state == State::kBackingOff) {
      // Once each; again and again only while nobody at all has answered.
      bool again = !anybody && retry && node.retry_at <= now;
      if (!asked.tried || again) router_.connect(i, now, fx);
      asked.tried = true;
      asked.asked = false;
    }
  }
  ask(questions, survey.id, survey.question, now, fx);
}

void Core::on_survey_status(uint64_t id, uint32_t node, const StatusResponse& status, Instant now) {
  for (Survey& survey : surveys_) {
    if (survey.id != id) continue;
    survey.nodes[node].status = status;
    survey.until = std::min(survey.until, now + kSurveyWait);
    for (const auto& member : status.members) {
      bool known = std::any_of(router_.nodes().begin(), router_.nodes().end(),
                               [&](const auto& other) { return other.id == member.id; });
      if (!known) router_.add_node(member.address);
    }
  }
}

bool Core::survey_over(const Survey& survey, Instant now) const {
  if (survey.until <= now) return true;
  bool answered = false;
  for (uint32_t i = 0; i < router_.nodes().size(); ++i) {
    if (i >= survey.nodes.size()) return false;  // just heard of
    const Survey::Asked& asked = survey.nodes[i];
    answered |= asked.status.has_value();
    bool failed = asked.tried && router_.nodes()[i].state == Router::Node::State::kBackingOff;
    if (!asked.status && !failed) return false;
  }
  return answered;
}

void Core::end_survey(Survey& survey, Effects& fx) {
  std::vector<StatusResponse*> answers;
  for (Survey::Asked& asked : survey.nodes) {
    if (asked.status) answers.push_back(&*asked.status);
  }
  if (answers.empty()) {
    fx.completions.push_back({survey.ref, Failure{Code::unavailable,
                                                  "no node of the cell was reached in time (" +
                                                      router_.complaint() + ")",
                                                  {}}});
    return;
  }
  CellStatus cell;
  uint64_t chosen = 0;
  for (StatusResponse* answer : answers) {
    if (answer->cell != 0) cell.cell = hex(answer->cell);
    cell.revision = std::max(cell.revision, answer->revision);
    chosen = std::max(chosen, answer->node.chosen);
    auto known = [&](const NodeStatus& node) { return node.id == answer->node.id; };
    // One node may have been asked under two names.
    if (std::none_of(cell.nodes.begin(), cell.nodes.end(), known)) {
      cell.nodes.push_back(answer->node);
    }
  }
  // Whoever lags tells of a membership that is over.
  const StatusResponse& newest = **std::ranges::max_element(
      answers, {}, [](const StatusResponse* answer) { return answer->config_version; });
  cell.config_version = newest.config_version;
  for (const auto& member : newest.members) {
    for (NodeStatus& node : cell.nodes) {
      if (node.id == member.id) node.voter = member.voter;
    }
  }
  for (StatusResponse* answer : answers) {
    if (answer->config_version != newest.config_version) continue;
    for (const auto& member : answer->members) {
      auto known = [&](const NodeStatus& node) { return node.id == member.id; };
      if (std::any_of(cell.nodes.begin(), cell.nodes.end(), known)) continue;
      NodeStatus silent;
      silent.id = member.id;
      silent.address = member.address;
      silent.role = "unreachable";
      silent.voter = member.voter;
      cell.nodes.push_back(std::move(silent));
    }
  }
  for (NodeStatus& node : cell.nodes) {
    if (node.role != "unreachable") node.lag = chosen - std::min(chosen, node.applied);
  }
  std::sort(cell.nodes.begin(), cell.nodes.end(),
            [](const NodeStatus& a, const NodeStatus& b) { return a.id < b.id; });
  fx.completions.push_back({survey.ref, std::move(cell)});
}

}  // namespace holdfast::client
