// What nodes tell about locks, leases and themselves, from the wire into what callers see.
#pragma once

#include <string>
#include <string_view>

#include "bindings/cpp/src/messages.h"
#include "rpc/holdfast.capnp.h"

namespace holdfast::client {

Response renewed(wire::Cell::RenewResults::Reader from);
Response described(wire::Cell::DescribeResults::Reader from);
Response verified(wire::Cell::VerifyResults::Reader from);
Response locks_page(wire::Cell::LocksResults::Reader from);
Response lease_described(wire::Cell::LeaseResults::Reader from);
Response leases_page(wire::Cell::LeasesResults::Reader from);
Response barrier_of(wire::Operator::BarrierResults::Reader from);
Response snapshot_part(wire::Operator::ReadSnapshotResults::Reader from);
Response key_found(wire::Cell::GetResults::Reader from);
Response keys_page(wire::Cell::KeysResults::Reader from);
Response policy_list(wire::Cell::PoliciesResults::Reader from);
Response events_page(wire::Cell::EventsResults::Reader from);
Response sql_rows(wire::Cell::SqlResults::Reader from);
Response why_told(wire::Cell::WhyResults::Reader from, std::string name);
Response status_of(wire::NodeStatus::Reader from);
Response transferred(wire::Cell::TransferLeaderResults::Reader from);
Response member_changed(wire::Cell::ChangeMemberResults::Reader from);

Owner public_owner(const base::Owner& from);

}  // namespace holdfast::client
