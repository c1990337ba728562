#include "lockcore/node/waiting.h"

#include "lockcore/base/assert.h"

namespace holdfast::node {

void OperationWaits::add(const base::AnswerKey& key, ClientRef ref) {
  const bool fresh = keys_.emplace(ref, key).second;
  HF_ASSERT(fresh);
  refs_.emplace(key, ref);
}

void OperationWaits::drop(ClientRef ref) {
  const auto it = keys_.find(ref);
  if (it == keys_.end()) return;
  const auto [first, last] = refs_.equal_range(it->second);
  for (auto candidate = first; candidate != last; ++candidate) {
    if (candidate->second == ref) {
      refs_.erase(candidate);
      break;
    }
  }
  keys_.erase(it);
}

void OperationWaits::take(const base::AnswerKey& key, const std::function<void(ClientRef)>& visit) {
  const auto [first, last] = refs_.equal_range(key);
  for (auto it = first; it != last; ++it) {
    keys_.erase(it->second);
    visit(it->second);
  }
  refs_.erase(first, last);
}

void OperationWaits::take_all(const std::function<void(ClientRef)>& visit) {
  for (const auto& [ref, key] : keys_) visit(ref);
  keys_.clear();
  refs_.clear();
}

}  // namespace holdfast::node
