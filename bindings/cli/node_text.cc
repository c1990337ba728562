#include "bindings/cli/node_text.h"

#include <cstdio>

#include "bindings/cli/text.h"

namespace holdfast::cli {

std::string clock_text(const NodeStatus& node) {
  if (!node.clock_ppm) return "-";
  char out[32];
  std::snprintf(out, sizeof out, "%+.2f%%", static_cast<double>(*node.clock_ppm) / 1e4);
  return out;
}

void print_troubles(Output& out, const CellStatus& status) {
  for (const NodeStatus& node : status.nodes) {
    const std::string name = "node " + std::to_string(node.id);
    if (!node.waiting_for.empty()) out.line(name + " waits for " + printable(node.waiting_for));
    if (node.mends_through != 0) {
      out.line(name + " has a damaged disk, and doesn't vote before the others have mended it, " +
               "through slot " + std::to_string(node.mends_through));
    }
    if (node.clock_trouble.empty()) continue;
    const std::string trouble = printable(node.clock_trouble);
    out.line(node.clock_stands_back ? name + " doesn't lead, its clock is wrong: " + trouble
                                    : "by the clock of " + name + ", " + trouble);
  }
}

}  // namespace holdfast::cli
