// lockctl sql: a question to the record, in SQL.
#include <cmath>
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

std::string cell_text(const SqlValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return std::to_string(*number);
  if (const auto* real = std::get_if<double>(&value)) {
    char text[32];
    snprintf(text, sizeof text, "%.15g", *real);
    return text;
  }
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* blob = std::get_if<std::vector<unsigned char>>(&value)) {
    std::string text = "x'";
    for (const unsigned char byte : *blob) {
      constexpr char kDigits[] = "0123456789abcdef";
      text += {kDigits[byte >> 4], kDigits[byte & 15]};
    }
    return text + "'";
  }
  return "";
}

int sql(Context& context, const std::string& query) {
  const SqlRows found = context.connect().sql(query);
  if (context.globals.json) {
    for (const auto& row : found.rows) context.out.line(to_json(found.columns, row));
  } else {
    context.out.page();
    Table table(found.columns);
    for (const auto& row : found.rows) {
      std::vector<std::string> cells;
      for (const SqlValue& value : row) cells.push_back(cell_text(value));
      table.row(std::move(cells));
    }
    table.print(context.out);
  }
  if (found.more) {
    context.out.flush();
    say("there is more: the answer was cut after " + std::to_string(found.rows.size()) + " rows");
  }
  return kExitDone;
}

}  // namespace

void add_sql(Verbs& verbs) {
  auto query = std::make_shared<std::string>();
  CLI::App* app = verbs.add(
      "sql", "Ask the record of the leader, in SQL",
      "One SELECT over the tables lease, lock, hold, waiter, client, event, event_owner and meta,\n"
      "as they were a moment ago. Nothing can be changed, and secrets read as NULL. With -o json,\n"
      "one object a row, integers as strings.\n"
      "\nExamples:\n"
      "  lockctl sql \"SELECT lock, count(*) FROM waiter GROUP BY lock ORDER BY 2 DESC\"\n"
      "  lockctl sql \"SELECT name, sql FROM sqlite_schema\"");
  add_text(app, "QUERY", *query, "The SELECT")->required();
  verbs.on(app, [query](Context& context) { return sql(context, *query); });
}

}  // namespace holdfast::cli
