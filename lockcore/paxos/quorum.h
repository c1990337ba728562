// Who votes, and which sets of voters decide (P4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lockcore/base/log_row.h"
#include "lockcore/base/mutant.h"

namespace holdfast::paxos {

constexpr size_t kMaxVoters = 64;  // one bit each in a VoterSet

// A set of voters of one configuration, by their index in its Electorate.
class VoterSet {
 public:
  void add(size_t voter) { bits_ |= uint64_t{1} << voter; }
  void remove(size_t voter) { bits_ &= ~(uint64_t{1} << voter); }
  bool has(size_t voter) const { return (bits_ >> voter & 1) != 0; }
  size_t size() const { return static_cast<size_t>(__builtin_popcountll(bits_)); }
  void clear() { bits_ = 0; }

 private:
  uint64_t bits_ = 0;
};

// The voters of one configuration.
class Electorate {
 public:
  Electorate() = default;
  explicit Electorate(const base::Config& config);

  std::optional<size_t> index_of(base::NodeId node) const;  // nullopt: no voter
  bool is_voter(base::NodeId node) const { return index_of(node).has_value(); }
  size_t voters() const { return ids_.size(); }
  size_t quorum() const { return ids_.size() / 2 + (HF_MUTANT(half_is_a_quorum) ? 0 : 1); }
  bool is_quorum(VoterSet set) const { return set.size() >= quorum(); }

  // The greatest number that a quorum reached, given how far each voter is (one number a voter).
  uint64_t reached_by_quorum(std::span<const uint64_t> by_voter) const;

 private:
  std::vector<base::NodeId> ids_;
};

}  // namespace holdfast::paxos
