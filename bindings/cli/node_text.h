// How the cell's nodes are shown to people, by `status` and `members` alike.
#pragma once

#include <string>

#include "bindings/cli/output.h"
#include "holdfast/holdfast.h"

namespace holdfast::cli {

// By how much its clock runs faster than the leader's: "+0.02%"; "-" as long as that isn't known.
std::string clock_text(const NodeStatus& node);

// What needs somebody's attention, below the table: a line for each.
void print_troubles(Output& out, const CellStatus& status);

}  // namespace holdfast::cli
