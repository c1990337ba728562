// --force-new-cell: the majority is lost for good, and what this node knows is to go on alone.
#pragma once

#include "daemon/config.h"
#include "daemon/store.h"

namespace holdfast::daemon {

// Makes the directory that of a new cell of this one node. Everything before the last step leaves
// it as it was. Throws store::StoreError if there is nothing to go on from, or no need to.
void force_new_cell(const Config& config, OpenedStore opened);

}  // namespace holdfast::daemon
