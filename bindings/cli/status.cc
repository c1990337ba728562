// lockctl status: the cell's nodes, who leads, who lags.
#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/node_text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

void print_text(Output& out, const CellStatus& status, uint64_t leader) {
  out.line(out.bold("cell " + (status.cell.empty() ? "not founded yet" : status.cell)) +
           "  revision " + std::to_string(status.revision) + "  leader " +
           (leader == 0 ? "none" : std::to_string(leader)));
  Table table({"ID", "NAME", "ADDRESS", "ROLE", "PID", "VERSION", "BALLOT", "CHOSEN", "APPLIED",
               "RECORDED", "LAG", "CLOCK"});
  for (const NodeStatus& node : status.nodes) {
    if (node.role == "unreachable") {
      table.row({std::to_string(node.id), node.name, node.address, node.role, "", "", "", "", "",
                 "", "", ""});
      continue;
    }
    table.row({std::to_string(node.id), node.name, node.address, node.role,
               std::to_string(node.pid), node.version, node.ballot, std::to_string(node.chosen),
               std::to_string(node.applied), std::to_string(node.recorded),
               std::to_string(node.lag), clock_text(node)});
  }
  table.print(out);
  print_troubles(out, status);
}

}  // namespace

void add_status(Verbs& verbs) {
  CLI::App* app = verbs.add(
      "status", "Show the cell's nodes: roles, ballots, progress, lag",
      "CLOCK is by how much a node's clock runs faster than the leader's. Exit 69 if none\n"
      "of them leads.\n\nExample:\n  lockctl status -o json");
  verbs.on(app, [](Context& context) {
    const CellStatus status = context.connect().status();
    const uint64_t leader = leader_of(status);
    if (context.globals.json) {
      context.out.line(to_json(status));
    } else {
      print_text(context.out, status, leader);
    }
    if (leader == 0) {
      context.out.flush();
      throw Failure(kExitUnreachable, "unavailable", "no node leads at the moment");
    }
    return kExitDone;
  });
}

}  // namespace holdfast::cli
