// The results of clients' reads: rows of the lock table and the node's status, cut to fit a
// message.
#pragma once

#include <optional>

#include "daemon/client_service.h"
#include "lockcore/base/error.h"
#include "rpc/holdfast.capnp.h"

namespace holdfast::daemon {

void fill_describe(const node::Node& node, wire::Cell::DescribeParams::Reader asked,
                   wire::Cell::DescribeResults::Builder to);
void fill_locks(const node::Node& node, wire::Cell::LocksParams::Reader asked,
                wire::Cell::LocksResults::Builder to);
void fill_lease(const node::Node& node, wire::Cell::LeaseParams::Reader asked,
                wire::Cell::LeaseResults::Builder to);
void fill_leases(const node::Node& node, wire::Cell::LeasesParams::Reader asked,
                 wire::Cell::LeasesResults::Builder to);
void fill_verify(const locks::LockTable& table, wire::Cell::VerifyParams::Reader asked,
                 wire::Cell::VerifyResults::Builder to);
// These two may be asked of any node: they say as of when they are true.
void fill_get(const node::Node& node, wire::Cell::GetParams::Reader asked,
              wire::Cell::GetResults::Builder to);
void fill_keys(const node::Node& node, wire::Cell::KeysParams::Reader asked,
               wire::Cell::KeysResults::Builder to);
void fill_policies(const locks::LockTable& table, wire::Cell::PoliciesResults::Builder to);
void fill_why(const node::Node& node, wire::Cell::WhyParams::Reader asked,
              wire::Cell::WhyResults::Builder to);
void fill_status(const NodeAccess& access, const Identity& identity, wire::NodeStatus::Builder to);

}  // namespace holdfast::daemon
