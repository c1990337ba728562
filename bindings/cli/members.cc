// lockctl members: who belongs to the cell, who votes, who learns, who lags.
#include "bindings/cli/json.h"
#include "bindings/cli/node_text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

void print_text(Output& out, const CellStatus& status) {
  const uint64_t leader = leader_of(status);
  out.line(out.bold("cell " + (status.cell.empty() ? "not founded yet" : status.cell)) +
           "  configuration " + std::to_string(status.config_version) + "  leader " +
           (leader == 0 ? "none" : std::to_string(leader)));
  Table table({"ID", "NAME", "ADDRESS", "VOTES", "ROLE", "CHOSEN", "APPLIED", "RECORDED", "LAG",
               "CLOCK", "VERSION"});
  for (const NodeStatus& node : status.nodes) {
    const std::string votes = node.voter ? "yes" : "no";
    if (node.role == "unreachable") {
      table.row({std::to_string(node.id), node.name, node.address, votes, node.role, "", "", "", "",
                 "", ""});
      continue;
    }
    table.row({std::to_string(node.id), node.name, node.address, votes, node.role,
               std::to_string(node.chosen), std::to_string(node.applied),
               std::to_string(node.recorded), std::to_string(node.lag), clock_text(node),
               node.version});
  }
  table.print(out);
  print_troubles(out, status);
}

}  // namespace

void add_members(Verbs& verbs) {
  CLI::App* app = verbs.add(
      "members", "Show who belongs to the cell: voters, learners, how far each is",
      "LAG is how many slots a node hasn't applied yet that another knows chosen. One\n"
      "that doesn't answer is `unreachable`. CLOCK is by how much its clock runs faster than\n"
      "the leader's.\n"
      "\nExample:\n  lockctl members -o json");
  verbs.on(app, [](Context& context) {
    const CellStatus status = context.connect().status();
    if (context.globals.json) {
      context.out.line(members_to_json(status));
    } else {
      print_text(context.out, status);
    }
    return 0;
  });
}

}  // namespace holdfast::cli
