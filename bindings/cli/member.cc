// lockctl member: changing who belongs to the cell.
#include <poll.h>

#include <algorithm>
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/output.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kStep{200};  // between two looks at a node that catches up
constexpr milliseconds kDefaultWait{600'000};

struct Named {
  uint64_t id = 0;
  std::string address;
};

// "4=host:7420"
Named parse_named(const std::string& text) {
  const size_t equals = text.find('=');
  Named named;
  bool sound = equals != std::string::npos && equals > 0 && equals < 19;
  for (size_t i = 0; sound && i < equals; ++i) {
    sound = text[i] >= '0' && text[i] <= '9';
    named.id = named.id * 10 + static_cast<uint64_t>(text[i] - '0');
  }
  if (!sound || named.id == 0 || equals + 1 == text.size()) {
    throw UsageError("'" + printable(text) + "' is not ID=HOST:PORT, such as 4=10.0.0.4:7420");
  }
  named.address = text.substr(equals + 1);
  return named;
}

void print(Context& context, const Membership& membership) {
  if (context.globals.json) return context.out.line(to_json(membership));
  std::string voters, learners;
  for (const Member& member : membership.members) {
    std::string& list = member.voter ? voters : learners;
    list += (list.empty() ? "" : ", ") + std::to_string(member.id) + "=" + member.address;
  }
  context.out.line("configuration " + std::to_string(membership.version) + ": voters " + voters +
                   (learners.empty() ? "" : "; learners " + learners));
}

const NodeStatus* find(const CellStatus& status, uint64_t id) {
  const auto at = std::ranges::find(status.nodes, id, &NodeStatus::id);
  return at == status.nodes.end() ? nullptr : &*at;
}

// -- replace --------------------------------------------------------------------------------------

struct ReplaceOptions {
  uint64_t old = 0;
  std::string named;
  std::optional<milliseconds> wait;
};

// Promotes it as soon as that isn't refused any more; tells on stderr why not, whenever that
// changes.
void promote_when_ready(Context& context, Cell& cell, uint64_t id, steady_clock::time_point until) {
  std::string told;
  while (true) {
    try {
      cell.promote_member(id);
      return;
    } catch (const Error& error) {
      if (error.code() != Code::conflict || steady_clock::now() > until) throw;
      const std::string why = error.what();
      const std::string gist = why.substr(0, why.find_first_of("0123456789", 8));
      if (gist != told && !context.globals.quiet) say("waiting: " + why);
      told = gist;
    }
    poll(nullptr, 0, static_cast<int>(kStep.count()));
  }
}

// An add, a promotion and a removal, never a swap (P9). Each is harmless if it is so already, so a
// replacement that was interrupted is continued by the same command.
int replace(Context& context, const ReplaceOptions& options) {
  const Named next = parse_named(options.named);
  if (next.id == options.old) {
    throw UsageError("a node that lost its disk comes back under a new id, not as " +
                     std::to_string(next.id) + " again");
  }
  const auto until = steady_clock::now() + options.wait.value_or(kDefaultWait);
  Cell cell = context.connect();
  const auto tell = [&](const std::string& what) {
    if (!context.globals.quiet) say(what);
  };
  const std::string id = std::to_string(next.id);
  const CellStatus status = cell.status();
  const NodeStatus* old = find(status, options.old);
  const NodeStatus* known = find(status, next.id);
  if (old == nullptr && (known == nullptr || !known->voter)) {
    throw UsageError("node " + std::to_string(options.old) +
                     " is not a member of the cell; `lockctl members` lists them");
  }
  Membership membership = cell.add_member(next.id, next.address);
  if (old != nullptr && old->voter && (known == nullptr || !known->voter)) {
    tell("node " + id + " is a learner; start it, if it doesn't run: holdfastd --id " + id +
         " --listen " + next.address + " --join HOST:PORT of another node");
    promote_when_ready(context, cell, next.id, until);
    tell("node " + id + " is a voter");
  }
  membership = cell.remove_member(options.old);
  tell("node " + std::to_string(options.old) + " is removed");
  print(context, membership);
  return kExitDone;
}

void add_replace(Verbs& verbs, CLI::App* group) {
  auto options = std::make_shared<ReplaceOptions>();
  CLI::App* app = verbs.add_under(
      group, "replace", "Put a new node in the place of one that is dead or lost its disk",
      "Adds NEW as a learner, waits until it has caught up, promotes it, and removes OLD. NEW has\n"
      "an id that no node of the cell ever had, an empty data directory, and is started with\n"
      "--join, before or after. The same command continues what was interrupted.\n"
      "\nExample:\n  lockctl member replace 2 4=10.0.0.4:7420");
  add_count(app, "OLD", options->old, 1, UINT32_MAX, "The id of the node that goes")
      ->type_name("")
      ->required();
  add_text(app, "NEW", options->named, "The one that comes: ID=HOST:PORT")
      ->type_name("")
      ->required();
  add_duration(app, "-w,--wait", options->wait, "At most, for it to catch up (default 10m)");
  verbs.on(app, [options](Context& context) { return replace(context, *options); });
}

// -- one change -----------------------------------------------------------------------------------

void add_named(Verbs& verbs, CLI::App* group, const char* name, const char* description,
               const char* details, Membership (Cell::*change)(uint64_t, std::string_view)) {
  auto text = std::make_shared<std::string>();
  CLI::App* app = verbs.add_under(group, name, description, details);
  add_text(app, "NODE", *text, "ID=HOST:PORT")->type_name("")->required();
  verbs.on(app, [text, change](Context& context) {
    const Named named = parse_named(*text);
    Cell cell = context.connect();
    print(context, (cell.*change)(named.id, named.address));
    return kExitDone;
  });
}

void add_by_id(Verbs& verbs, CLI::App* group, const char* name, const char* description,
               const char* details, Membership (Cell::*change)(uint64_t)) {
  auto id = std::make_shared<uint64_t>(0);
  CLI::App* app = verbs.add_under(group, name, description, details);
  add_count(app, "ID", *id, 1, UINT32_MAX, "The node's id")->type_name("")->required();
  verbs.on(app, [id, change](Context& context) {
    Cell cell = context.connect();
    print(context, (cell.*change)(*id));
    return kExitDone;
  });
}

}  // namespace

void add_member(Verbs& verbs) {
  CLI::App* group = verbs.add(
      "member", "Add, promote, remove, replace nodes of the cell",
      "One change at a time; what would cost the cell its majority is refused with the reason\n"
      "(exit 1). Each prints the membership as it is then.\n"
      "\nExample:\n  lockctl member add 4=10.0.0.4:7420");
  group->require_subcommand(1);
  add_named(verbs, group, "add", "Add a node as a learner, which doesn't vote",
            "Its id must be one that no node of the cell ever had. Start it with an empty data\n"
            "directory and --join; a node that does so adds itself.\n"
            "\nExample:\n  lockctl member add 4=10.0.0.4:7420",
            &Cell::add_member);
  add_by_id(verbs, group, "promote", "Make a learner a voter, once it has caught up",
            "Refused as long as it hasn't joined or is too far behind, and says how far.\n"
            "\nExample:\n  lockctl member promote 4",
            &Cell::promote_member);
  add_by_id(verbs, group, "remove", "Remove a node; a leader hands over first",
            "Its id is never used again. Refused if too few of the voters that are left answer.\n"
            "\nExample:\n  lockctl member remove 4",
            &Cell::remove_member);
  add_replace(verbs, group);
  add_named(verbs, group, "update", "Tell the cell a node's new address",
            "The node itself is started with it. One after the other, all nodes may move.\n"
            "\nExample:\n  lockctl member update 2=10.0.1.2:7420",
            &Cell::update_member);
}

}  // namespace holdfast::cli
