// What an operator asks of the leader: to hand over, to change who belongs to the cell.
//
// All of it says how things are to be, so it may be asked again whenever its outcome is unknown:
// what is so already is answered with "done".
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "lockcore/base/config.h"
#include "lockcore/base/error.h"
#include "lockcore/base/ids.h"

namespace holdfast::node {

struct TransferLeader {
  base::NodeId to;  // 0: whoever is furthest
};
// As a learner. An incarnation comes from the node itself, when it joins; 0: it will come.
struct AddMember {
  base::NodeId id;
  std::string address;
  base::Incarnation incarnation;
};
struct PromoteMember {
  base::NodeId id;
};
struct RemoveMember {
  base::NodeId id;
};
struct UpdateMember {
  base::NodeId id;
  std::string address;
};
using AdminRequest =
    std::variant<TransferLeader, AddMember, PromoteMember, RemoveMember, UpdateMember>;

// A decision about a membership change (P9): what is to hold, or why it may not.
struct Change {
  base::Config next;  // as it is, if nothing has to be done
  std::string note;   // in words; empty: nothing has to be done
};
using Decision = std::variant<base::Error, Change>;

}  // namespace holdfast::node
