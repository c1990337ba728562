// lockctl check: do all nodes have the same state, and are their databases whole?
#include <chrono>
#include <memory>
#include <thread>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

using Clock = std::chrono::steady_clock;

// How long to wait for a node that is busy reading its databases, and between two looks.
constexpr auto kPatience = std::chrono::minutes(2);
constexpr auto kPause = std::chrono::milliseconds(100);

bool is_there(const NodeStatus& node) {
  return node.role != "unreachable";
}

// Asks again until `is_ready` says so of every node that answers, or time has run out.
template <class Ready>
CellStatus wait_for_nodes(Cell& cell, Ready is_ready) {
  const Clock::time_point deadline = Clock::now() + kPatience;
  for (;;) {
    CellStatus status = cell.status();
    bool all = true;
    for (const NodeStatus& node : status.nodes) all &= !is_there(node) || is_ready(node);
    if (all || Clock::now() >= deadline) return status;
    std::this_thread::sleep_for(kPause);
  }
}

CellStatus compare(Cell& cell, uint64_t& slot) {
  slot = cell.compare_nodes();
  return wait_for_nodes(cell, [slot](const NodeStatus& node) { return node.digest_slot >= slot; });
}

CellStatus verify(Cell& cell) {
  const CellStatus before = cell.status_and_verify();
  return wait_for_nodes(cell, [&](const NodeStatus& node) {
    for (const NodeStatus& was : before.nodes) {
      // Another process of it began with a look at everything.
      if (was.id == node.id && was.pid == node.pid && is_there(was)) {
        return node.verifications > was.verifications;
      }
    }
    return true;
  });
}

CheckResult judge(const CellStatus& status, uint64_t slot, bool deep) {
  CheckResult result{slot, true, true, deep, {}};
  uint64_t digest = 0;
  for (const NodeStatus& node : status.nodes) {
    if (!is_there(node)) {
      result.complete = false;
      result.nodes.push_back({node.id, node.name, "unreachable", 0, ""});
      continue;
    }
    std::string verdict = "ok";
    if (node.digest_slot != slot) {
      // It got past the slot by a snapshot, or is busy, or somebody else checks as well.
      verdict = "not compared";
      result.complete = false;
    } else if (node.digest == 0) {
      verdict = "damaged";
    } else if (digest == 0) {
      digest = node.digest;
    } else if (node.digest != digest) {
      verdict = "differs";
    }
    if (!node.damage.empty()) verdict = "damaged";
    result.agrees &= verdict == "ok" || verdict == "not compared";
    result.nodes.push_back({node.id, node.name, verdict, node.digest, node.damage});
  }
  return result;
}

void print_text(Context& context, const CheckResult& result) {
  Table table({"ID", "NAME", "SLOT", "DIGEST", "VERDICT"});
  for (const CheckResult::Node& node : result.nodes) {
    table.row({std::to_string(node.id), node.name, std::to_string(result.slot),
               node.digest == 0 ? "" : hex_digits(node.digest), node.verdict});
  }
  table.print(context.out);
  for (const CheckResult::Node& node : result.nodes) {
    if (!node.damage.empty()) {
      context.out.line("node " + std::to_string(node.id) + ": " + printable(node.damage));
    }
  }
}

int check(Context& context, bool deep) {
  Cell cell = context.connect();
  if (deep) verify(cell);
  uint64_t slot = 0;
  const CellStatus status = compare(cell, slot);
  const CheckResult result = judge(status, slot, deep);
  if (context.globals.json) {
    context.out.line(to_json(result));
  } else {
    print_text(context, result);
  }
  if (!result.complete && !context.globals.quiet) say("not every node was compared");
  return result.agrees ? kExitDone : kExitNo;
}

}  // namespace

void add_check(Verbs& verbs) {
  auto deep = std::make_shared<bool>(false);
  CLI::App* app =
      verbs.add("check", "Compare the state of all nodes at one slot",
                "Exit 1 if a node that answers has another state than the others, or a damaged\n"
                "database. The cell serves on meanwhile.\n"
                "\nExample:\n"
                "  lockctl check --deep");
  app->add_flag("--deep", *deep, "Look at every page and row of the databases as well");
  verbs.on(app, [deep](Context& context) { return check(context, *deep); });
}

}  // namespace holdfast::cli
