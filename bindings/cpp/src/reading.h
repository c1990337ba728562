// Reads as calls of the core, and their outcomes as callers get them.
#pragma once

#include <utility>

#include "bindings/cpp/src/cell_state.h"

namespace holdfast::detail {

inline auto reading(client::ReadRequest request) {
  return
      [request = std::move(request)](Core& core, Ref ref, base::Instant now, Effects& fx) mutable {
        core.read(ref, std::move(request), now, fx);
      };
}

template <class T>
Engine::Done report_value(Callback<T> done) {
  return [done = std::move(done)](Outcome&& outcome) {
    if (auto* failure = std::get_if<Failure>(&outcome)) {
      Error error = to_error(*failure);
      return done(std::nullopt, &error);
    }
    done(std::get<T>(std::move(outcome)), nullptr);
  };
}

}  // namespace holdfast::detail
