// Deciding and proposing membership changes (P9), and seeing a transfer through (P7).
//
// A change is decided on the leader's applied configuration after a confirm round, one at a time,
// and changes one voter at most. It carries the version that it makes, so that one which was
// decided beside another, by an older leader, comes to nothing when it is applied.
#include "lockcore/node/admin.h"

#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"
#include "lockcore/node/node_state.h"

namespace holdfast::node {

using base::Config;
using base::Error;
using base::ErrorCode;
using base::Instant;
using base::Member;
using base::NodeId;

namespace {

Error refuse(ErrorCode code, std::string why) {
  return Error{code, std::move(why), {}};
}
std::string name(NodeId id) {
  return "node " + std::to_string(id.value);
}
std::string count_of(size_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

Member* find(Config& config, NodeId id) {
  const auto at = std::ranges::find(config.members, id, &Member::id);
  return at == config.members.end() ? nullptr : &*at;
}

std::optional<Error> refuse_stranger(const Config& config, NodeId id) {
  if (config.find(id) != nullptr) return std::nullopt;
  if (config.has_removed(id)) {
    return refuse(ErrorCode::kInvalidArgument, name(id) + " was removed from the cell");
  }
  return refuse(ErrorCode::kInvalidArgument,
                name(id) + " is not a member of the cell; `lockctl members` lists them");
}

std::optional<Error> refuse_address(const Config& config, NodeId id, const std::string& address) {
  if (address.empty() || address.size() > base::kMaxAddressBytes) {
    return refuse(ErrorCode::kInvalidArgument, "an address has 1 to " +
                                                   std::to_string(base::kMaxAddressBytes) +
                                                   " bytes, and is HOST:PORT");
  }
  for (const Member& member : config.members) {
    if (member.id != id && member.address == address) {
      return refuse(ErrorCode::kInvalidArgument,
                    address + " is the address of " + name(member.id) + " already");
    }
  }
  return std::nullopt;
}

// What a leader knows of those who vote and learn, as of now.
struct View {
  const paxos::Replica& replica;
  NodeId self;
  base::Duration patience;
  Instant now;

  std::optional<paxos::Replica::PeerView> peer(NodeId id) const {
    for (const auto& view : replica.peers()) {
      if (view.node == id) return view;
    }
    return std::nullopt;
  }
  bool answers(NodeId id) const {
    if (id == self) return true;
    const auto view = peer(id);
    return view && view->connected && view->heard_at != base::kNever &&
           now - view->heard_at < patience;
  }
  // Enough of the voters of `next` answer now: else the change would be the cell's last.
  std::optional<Error> refuse_lost_majority(const Config& next) const {
    size_t alive = 0;
    std::string silent;
    for (const Member& member : next.members) {
      if (!member.voter) continue;
      if (answers(member.id)) {
        ++alive;
      } else {
        silent += (silent.empty() ? "" : ", ") + name(member.id);
      }
    }
    const size_t needed = next.voters() / 2 + 1;
    if (alive >= needed) return std::nullopt;
    return refuse(ErrorCode::kConflict, "the cell would stop: of its " +
                                            count_of(next.voters(), "voter") + " then, " +
                                            std::to_string(needed) + " must answer, and " + silent +
                                            " does not answer " + name(self) + ", which leads");
  }
};

Decision decide(const Config& now, const AddMember& request) {
  if (!request.id) return refuse(ErrorCode::kInvalidArgument, "a node's id is a number from 1 on");
  if (now.has_removed(request.id)) {
    return refuse(ErrorCode::kInvalidArgument,
                  name(request.id) +
                      " was a member before: an id is never used again. Take another one, with an "
                      "empty data directory");
  }
  if (auto error = refuse_address(now, request.id, request.address)) return *error;
  Change change{now, {}};
  if (Member* known = find(change.next, request.id)) {
    if (known->incarnation && request.incarnation && known->incarnation != request.incarnation) {
      return refuse(ErrorCode::kConflict,
                    name(request.id) +
                        " is a member with another disk. If that was lost or wiped, bring the node "
                        "back under a new id with `lockctl member replace " +
                        std::to_string(request.id.value) + " NEW=HOST:PORT`");
    }
    const bool comes = request.incarnation && !known->incarnation;
    if (!comes && request.incarnation) return change;  // its first answer was lost
    if (known->address != request.address && !comes) {
      return refuse(ErrorCode::kConflict, name(request.id) + " is a member at " + known->address +
                                              "; `lockctl member update` gives it another address");
    }
    if (!comes) return change;
    known->incarnation = request.incarnation;
    known->address = request.address;
    change.note = name(request.id) + " has come, at " + request.address;
    return change;
  }
  if (now.members.size() >= base::kMaxMembers) {
    return Error{ErrorCode::kResourceExhausted,
                 "the cell has " + count_of(now.members.size(), "member") + ", as many as it may",
                 {{"limit", "members"}, {"value", std::to_string(base::kMaxMembers)}}};
  }
  change.next.members.push_back({request.id, request.incarnation, request.address, false});
  std::ranges::sort(change.next.members, {}, &Member::id);
  change.note = name(request.id) + " at " + request.address + " is a learner";
  return change;
}

Decision decide(const Config& now, const PromoteMember& request, const View& view) {
  if (auto error = refuse_stranger(now, request.id)) return *error;
  Change change{now, {}};
  Member& member = *find(change.next, request.id);
  if (member.voter) return change;
  if (now.voters() >= base::kMaxCellVoters) {
    return Error{ErrorCode::kResourceExhausted,
                 "the cell has " + count_of(now.voters(), "voter") + ", as many as it may",
                 {{"limit", "voters"}, {"value", std::to_string(base::kMaxCellVoters)}}};
  }
  if (!member.incarnation) {
    return refuse(ErrorCode::kConflict, name(request.id) +
                                            " has not joined yet: start it with --id " +
                                            std::to_string(request.id.value) + " --join");
  }
  if (!view.answers(request.id)) {
    return refuse(ErrorCode::kConflict, name(request.id) + " does not answer " + name(view.self) +
                                            ", which leads: how far it is isn't known");
  }
  const base::Slot chosen = view.replica.chosen_upto();
  const base::Slot has = std::min(chosen, view.peer(request.id)->applied);
  const uint64_t lag = chosen.value - has.value;
  if (lag > base::kMaxPromotionLag && !HF_MUTANT(laggard_promoted)) {
    return Error{ErrorCode::kConflict,
                 name(request.id) + " is " + std::to_string(lag) + " slots behind, at " +
                     std::to_string(has.value) + " of " + std::to_string(chosen.value) +
                     ": it can be promoted once it is within " +
                     std::to_string(base::kMaxPromotionLag),
                 {{"lag", std::to_string(lag)},
                  {"applied", std::to_string(has.value)},
                  {"chosen", std::to_string(chosen.value)}}};
  }
  member.voter = true;
  change.note = name(request.id) + " is a voter";
  if (auto error = view.refuse_lost_majority(change.next)) return *error;
  return change;
}

Decision decide(const Config& now, const RemoveMember& request, const View& view) {
  if (now.has_removed(request.id)) return Change{now, {}};
  if (auto error = refuse_stranger(now, request.id)) return *error;
  Change change{now, {}};
  const bool voter = now.find(request.id)->voter;
  if (voter && now.voters() == 1) {
    return refuse(ErrorCode::kConflict, name(request.id) + " is the last voter");
  }
  if (now.removed.size() >= base::kMaxRemovedMembers) {
    return Error{
        ErrorCode::kResourceExhausted,
        "the cell has had " + count_of(now.removed.size(), "former member"),
        {{"limit", "removedMembers"}, {"value", std::to_string(base::kMaxRemovedMembers)}}};
  }
  std::erase_if(change.next.members, [&](const Member& member) { return member.id == request.id; });
  change.next.removed.push_back(request.id);
  std::ranges::sort(change.next.removed);
  if (voter && HF_MUTANT(swaps_voters)) {
    for (Member& member : change.next.members) {
      if (member.voter || !member.incarnation) continue;
      member.voter = true;
      break;
    }
  }
  change.note = name(request.id) + " is removed";
  if (voter) {
    if (auto error = view.refuse_lost_majority(change.next)) return *error;
  }
  return change;
}

Decision decide(const Config& now, const UpdateMember& request) {
  if (auto error = refuse_stranger(now, request.id)) return *error;
  if (auto error = refuse_address(now, request.id, request.address)) return *error;
  Change change{now, {}};
  Member& member = *find(change.next, request.id);
  if (member.address == request.address) return change;
  member.address = request.address;
  change.note = name(request.id) + " is at " + request.address;
  return change;
}

}  // namespace

void Node::on_admin(ClientRef ref, AdminRequest request, Instant now, Effects& fx) {
  State& state = *state_;
  state.follow_role(fx);
  if (!state.is_active()) {
    fx.admin.push_back(AdminReply{ref, state.not_leader(), {}, {}});
  } else if (const auto* transfer = std::get_if<TransferLeader>(&request);
             transfer != nullptr && transfer->to == state.options.paxos.self) {
    fx.admin.push_back(AdminReply{ref, std::nullopt, transfer->to, state.replica.config()});
  } else if (transfer != nullptr) {
    state.begin_transfer(ref, transfer->to, false, now, fx);
  } else if (!state.wait_for_confirm(AdminCall{ref, std::move(request)})) {
    fx.admin.push_back(AdminReply{
        ref, refuse(ErrorCode::kResourceExhausted, "too many calls wait; try again"), {}, {}});
  }
}

void Node::State::begin_transfer(ClientRef ref, NodeId to, bool leaves, Instant now, Effects& fx) {
  std::optional<Error> error;
  if (change) {
    error = refuse(ErrorCode::kConflict, "a membership change is under way; try again in a moment");
  } else {
    error = replica.hand_over(to, now, fx.paxos);
  }
  if (error) {
    fx.admin.push_back(AdminReply{ref, std::move(error), {}, {}});
    return;
  }
  transfer =
      PendingTransfer{ref, *replica.handing_over(), leaves, now + options.paxos.election * 3};
}

// A transfer is over when another leader is heard, or when this one leads on.
void Node::State::answer_transfer(Instant now, Effects& fx) {
  if (!transfer) return;
  AdminReply reply{transfer->ref, std::nullopt, replica.leader(), replica.config()};
  const bool led_on = is_active() && !replica.handing_over();
  if (led_on || (!is_active() && now >= transfer->until)) {
    reply.error = refuse(led_on ? ErrorCode::kConflict : ErrorCode::kUnavailable,
                         name(transfer->to) + " did not take over in time" +
                             (led_on ? "; " + name(options.paxos.self) + " leads on" : ""));
  } else if (is_active() || !replica.leader() || replica.leader() == options.paxos.self) {
    return;
  } else if (transfer->leaves) {
    reply.error = not_leader();  // who now leads is to be asked
  }
  fx.admin.push_back(std::move(reply));
  transfer.reset();
}

// A confirm round since the request came is through: this node leads, and its applied state is new
// enough to decide on.
void Node::State::decide_change(const AdminCall& call, Instant now, Effects& fx) {
  const Config& config = replica.config();
  const View view{replica, options.paxos.self, options.paxos.election, now};
  Decision decision = std::visit(
      [&](const auto& request) -> Decision {
        if constexpr (requires { decide(config, request, view); }) {
          return decide(config, request, view);
        } else if constexpr (requires { decide(config, request); }) {
          return decide(config, request);
        }
        HF_ASSERT(false);  // a transfer isn't decided here
        return refuse(ErrorCode::kInternal, {});
      },
      call.request);
  if (auto* error = std::get_if<Error>(&decision)) {
    fx.admin.push_back(AdminReply{call.ref, std::move(*error), {}, {}});
    return;
  }
  auto& decided = std::get<Change>(decision);
  if (decided.note.empty()) {
    fx.admin.push_back(AdminReply{call.ref, std::nullopt, replica.leader(), config});
    return;
  }
  if (change || transfer) {
    fx.admin.push_back(
        AdminReply{call.ref,
                   refuse(ErrorCode::kConflict,
                          change ? "another membership change is under way: " + change->body.note +
                                       "; they are made one at a time, try again in a moment"
                                 : "the leader is handing over; try again in a moment"),
                   {},
                   {}});
    return;
  }
  const auto* removal = std::get_if<RemoveMember>(&call.request);
  if (removal != nullptr && removal->id == options.paxos.self) {
    return begin_transfer(call.ref, {}, true, now, fx);  // P9: it hands over first
  }
  decided.next.version = config.version.next();
  change = PendingChange{call.ref, {std::move(decided.next), std::move(decided.note)}, {}};
}

void Node::State::propose_change(Instant now, WallClock wall, Effects& fx) {
  if (!change || change->slot || !is_active() || !replica.can_propose()) return;
  locks::Batch batch{cell_time_ms(now), wall.ms, {}};
  batch.commands.push_back(locks::Command{{}, change->body});
  std::string bytes = locks::encode_batch(batch);
  change->slot = replica.propose(base::EntryKind::kReconfigure, std::move(bytes), now, fx.paxos);
}

// A Reconfigure is applied: whatever it said, the ballot that it was proposed in is over.
void Node::State::on_reconfigured(base::Slot slot, Instant now, Effects& fx) {
  const bool as_founded = !table.config().version;
  const Config config = as_founded ? replica.config() : table.config();
  if (change && change->slot == slot) {
    AdminReply reply{change->ref, std::nullopt, options.paxos.self, config};
    reply.config.cell = replica.config().cell;
    if (config.version != change->body.config.version) {
      reply.error = refuse(ErrorCode::kConflict, "another membership change came first");
    }
    fx.admin.push_back(std::move(reply));
    change.reset();
  }
  replica.on_reconfigured(slot, config, now, fx.paxos);
  record_soon = std::max(record_soon, slot);  // who was removed waits for that
  follow_role(fx);
}

}  // namespace holdfast::node
