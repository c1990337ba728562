#include "lockcore/paxos/quorum.h"

#include <algorithm>
#include <array>
#include <functional>

#include "lockcore/base/assert.h"

namespace holdfast::paxos {

Electorate::Electorate(const base::Config& config) {
  for (const base::Member& member : config.members) {
    if (member.voter) ids_.push_back(member.id);
  }
  HF_ASSERT(ids_.size() <= kMaxVoters);
}

std::optional<size_t> Electorate::index_of(base::NodeId node) const {
  for (size_t i = 0; i < ids_.size(); ++i) {
    if (ids_[i] == node) return i;
  }
  return std::nullopt;
}

uint64_t Electorate::reached_by_quorum(std::span<const uint64_t> by_voter) const {
  HF_ASSERT(by_voter.size() == voters());
  HF_ASSERT(voters() > 0);
  std::array<uint64_t, kMaxVoters> sorted;
  std::copy(by_voter.begin(), by_voter.end(), sorted.begin());
  const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(voters());
  std::sort(sorted.begin(), end, std::greater<>());
  return sorted[quorum() - 1];
}

}  // namespace holdfast::paxos
