// lockctl leader: who leads; handing over to another voter.
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/output.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

std::string address_of(const CellStatus& status, uint64_t id) {
  for (const NodeStatus& node : status.nodes) {
    if (node.id == id) return node.address;
  }
  return {};
}

int print(Context& context, uint64_t leader, const std::string& address) {
  if (context.globals.json) {
    context.out.line(leader_to_json(leader, address));
  } else {
    context.out.line("node " + std::to_string(leader) + " at " + address + " leads");
  }
  return kExitDone;
}

int show_leader(Context& context) {
  const CellStatus status = context.connect().status();
  const uint64_t leader = leader_of(status);
  if (leader == 0) throw Failure(kExitUnreachable, "unavailable", "no node leads at the moment");
  return print(context, leader, address_of(status, leader));
}

int transfer(Context& context, uint64_t to) {
  Cell cell = context.connect();
  const uint64_t leader = cell.transfer_leader(to);
  return print(context, leader, address_of(cell.status(), leader));
}

}  // namespace

void add_leader(Verbs& verbs) {
  CLI::App* group = verbs.add("leader", "Show who leads, or have the leader hand over",
                              "Exit 69 if nobody leads.\n\nExample:\n  lockctl leader");
  verbs.on(group, show_leader);
  auto to = std::make_shared<uint64_t>(0);
  CLI::App* app = verbs.add_under(
      group, "transfer", "Have the leader hand over to another voter",
      "To the voter with this id, or else to the one that is furthest; prints who leads then.\n"
      "Locks and leases stay as they are, and clients follow by themselves. Refused (exit 1, with\n"
      "the reason) if that voter doesn't answer or is behind.\n"
      "\nExample:\n  lockctl leader transfer 2");
  add_count(app, "ID", *to, 1, UINT32_MAX, "The voter that is to lead")->type_name("");
  verbs.on(app, [to](Context& context) { return transfer(context, *to); });
}

}  // namespace holdfast::cli
