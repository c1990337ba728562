// Cell: what an operator asks: who leads, who belongs to the cell.
#include <holdfast/holdfast.h>

#include "bindings/cpp/src/cell_state.h"

namespace holdfast {

namespace {

using base::Instant;
using client::Core;
using client::Effects;
using client::MemberRequest;
using client::Ref;

// Requests that may be repeated as they are: like reads, they are sent to whoever leads.
template <class T>
T ask(detail::CellState& cell, client::ReadRequest request) {
  return cell.wait_for<T>(
      [request = std::move(request)](Core& core, Ref ref, Instant now, Effects& fx) mutable {
        core.read(ref, std::move(request), now, fx);
      });
}

}  // namespace

uint64_t Cell::transfer_leader(uint64_t to) {
  return ask<client::Transferred>(*state_, client::TransferRequest{to}).leader;
}

Membership Cell::add_member(uint64_t id, std::string_view address) {
  return ask<Membership>(*state_,
                         MemberRequest{MemberRequest::Kind::add, id, std::string(address)});
}
Membership Cell::promote_member(uint64_t id) {
  return ask<Membership>(*state_, MemberRequest{MemberRequest::Kind::promote, id, {}});
}
Membership Cell::remove_member(uint64_t id) {
  return ask<Membership>(*state_, MemberRequest{MemberRequest::Kind::remove, id, {}});
}
Membership Cell::update_member(uint64_t id, std::string_view address) {
  return ask<Membership>(*state_,
                         MemberRequest{MemberRequest::Kind::update, id, std::string(address)});
}

}  // namespace holdfast
