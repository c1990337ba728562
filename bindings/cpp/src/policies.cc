// Cell: what admins allow: drains and quotas.
#include <holdfast/holdfast.h>

#include "bindings/cpp/src/cell_state.h"
#include "bindings/cpp/src/reading.h"

namespace holdfast {

namespace {

using base::Instant;
using client::Core;
using client::Effects;
using client::Ref;

auto setting(locks::SetPolicy body) {
  return [body = std::move(body)](Core& core, Ref ref, Instant now, Effects& fx) {
    core.set_policy(ref, body, now, fx);
  };
}

locks::SetPolicy policy(base::PolicyKind kind, std::string_view name) {
  return {{kind, std::string(name)}, false, {}, {}, {}};
}

locks::SetPolicy end_of(base::PolicyKind kind, std::string_view name) {
  locks::SetPolicy body = policy(kind, name);
  body.end = true;
  return body;
}

base::PolicyKind quota_kind(bool of_owner) {
  return of_owner ? base::PolicyKind::kOwnerQuota : base::PolicyKind::kPrefixQuota;
}

// That there is nothing to be ended is an answer, not an error.
Finished was_there(Callback<bool> done) {
  return [done = std::move(done)](const Error* error) {
    if (error == nullptr) return done(true, nullptr);
    if (error->code() == Code::not_held) return done(false, nullptr);
    done(std::nullopt, error);
  };
}

}  // namespace

void Cell::drain_async(std::string_view prefix, std::string reason, Finished done) {
  locks::SetPolicy body = policy(base::PolicyKind::kDrain, prefix);
  body.reason = std::move(reason);
  body.by = state_->who();
  state_->start(setting(std::move(body)), detail::report(std::move(done)));
}

void Cell::drain(std::string_view prefix, std::string reason) {
  detail::wait_for_finished(
      *state_, [&](Finished done) { drain_async(prefix, std::move(reason), std::move(done)); });
}

void Cell::undrain_async(std::string_view prefix, Callback<bool> done) {
  locks::SetPolicy body = end_of(base::PolicyKind::kDrain, prefix);
  body.by = state_->who();
  state_->start(setting(std::move(body)), detail::report(was_there(std::move(done))));
}

bool Cell::undrain(std::string_view prefix) {
  return detail::wait_for_value<bool>(
      *state_, [&](Callback<bool> done) { undrain_async(prefix, std::move(done)); });
}

void Cell::drains_async(Callback<std::vector<Drain>> done) {
  state_->start(
      detail::reading(client::PoliciesRequest{}),
      detail::report_value<client::PolicyList>(
          [done = std::move(done)](std::optional<client::PolicyList> list, const Error* error) {
            if (error != nullptr) return done(std::nullopt, error);
            done(std::move(list->drains), nullptr);
          }));
}

std::vector<Drain> Cell::drains() {
  return detail::wait_for_value<std::vector<Drain>>(
      *state_, [&](Callback<std::vector<Drain>> done) { drains_async(std::move(done)); });
}

void Cell::set_quota(bool of_owner, std::string_view name, QuotaLimits limits, std::string reason) {
  locks::SetPolicy body = policy(quota_kind(of_owner), name);
  body.limits = {limits.leases, limits.locks, limits.waiters, limits.bytes};
  body.reason = std::move(reason);
  body.by = state_->who();
  state_->wait_for<client::Done>(setting(std::move(body)));
}

bool Cell::end_quota(bool of_owner, std::string_view name) {
  return detail::wait_for_value<bool>(*state_, [&](Callback<bool> done) {
    locks::SetPolicy body = end_of(quota_kind(of_owner), name);
    body.by = state_->who();
    state_->start(setting(std::move(body)), detail::report(was_there(std::move(done))));
  });
}

std::vector<Quota> Cell::quotas() {
  return state_->wait_for<client::PolicyList>(detail::reading(client::PoliciesRequest{})).quotas;
}

}  // namespace holdfast
