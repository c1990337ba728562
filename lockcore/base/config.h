// Who belongs to a cell: its members, voters and learners, and who was removed (P9, P10).
#pragma once

#include <string>
#include <vector>

#include "lockcore/base/ids.h"

namespace holdfast::base {

struct Member {
  NodeId id;
  Incarnation incarnation;  // 0: it was added and hasn't come yet
  std::string address;      // HOST:PORT
  bool voter = true;

  bool operator==(const Member&) const = default;
};

// Who votes. Founding makes version 1 (P10); Reconfigure makes the others (P9).
struct Config {
  CellId cell;
  ConfigVersion version;
  std::vector<Member> members;  // by id
  std::vector<NodeId> removed;  // by id: a node's id names its ballots, so it is never used again

  const Member* find(NodeId id) const {
    for (const Member& member : members) {
      if (member.id == id) return &member;
    }
    return nullptr;
  }
  bool has_removed(NodeId id) const {
    for (const NodeId gone : removed) {
      if (gone == id) return true;
    }
    return false;
  }
  size_t voters() const {
    size_t count = 0;
    for (const Member& member : members) count += member.voter;
    return count;
  }
  bool operator==(const Config&) const = default;
};

}  // namespace holdfast::base
