// lockctl observe: who leads, and who comes next.
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/people.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

std::string line_of(const std::optional<Leader>& leader) {
  if (!leader) return "vacant";
  std::string text = "leader, token " + std::to_string(leader->token);
  if (!leader->value.empty()) text += ", value " + printable(leader->value);
  return text + ", " + printable(where(leader->owner) + " " + who(leader->owner));
}

}  // namespace

void add_observe(Verbs& verbs) {
  auto name = std::make_shared<std::string>();
  CLI::App* app = verbs.add(
      "observe", "Follow who leads, from now on, until ended",
      "One line for the present leader and for each change: another leader, another value of the\n"
      "same one, or that nobody leads. With -o json, one object a line: name and leader, null\n"
      "for a vacancy.\n"
      "\nExample:\n"
      "  lockctl observe jobs/scheduler");
  add_name(app, *name, "What is led");
  verbs.on(app, [name](Context& context) {
    Cell cell = context.connect();
    Observer observer = cell.observe(*name);
    while (const auto term = observer.next()) {
      context.out.line(context.globals.json ? to_json(*name, term->leader) : line_of(term->leader));
      context.out.flush();
    }
    return kExitDone;
  });
}

}  // namespace holdfast::cli
