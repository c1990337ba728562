#include "bindings/cli/top_view.h"

#include <algorithm>

#include "bindings/cli/text.h"
#include "lockcore/base/ids.h"
#include "lockcore/base/lease_text.h"

namespace holdfast::cli {
namespace {

constexpr const char* kContended =
    "SELECT lock, count(*), min(since_ms) FROM waiter GROUP BY lock ORDER BY 2 DESC, 1 LIMIT 10";
constexpr const char* kWaits =
    "SELECT w.lock, w.lease, l.host, l.pid, l.user, l.program, w.since_ms FROM waiter w"
    " JOIN lease l USING (lease) ORDER BY w.since_cell_ms, w.queued LIMIT 10";
constexpr const char* kOwners =
    "SELECT l.host, l.pid, l.user, l.program, count(*) FROM hold h JOIN lease l USING (lease)"
    " GROUP BY l.host, l.pid, l.user, l.program ORDER BY 5 DESC LIMIT 10";

std::string text(const SqlValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? "" : *text;
}
int64_t number(const SqlValue& value) {
  const auto* number = std::get_if<int64_t>(&value);
  return number == nullptr ? 0 : *number;
}

class Page {
 public:
  std::vector<std::string> lines;

  void heading(const std::string& title) {
    if (!lines.empty()) lines.emplace_back();
    lines.push_back(title);
  }
  // Rows of one table: each column as wide as its widest cell.
  void table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<size_t> widths;
    for (const auto& row : rows) {
      widths.resize(std::max(widths.size(), row.size()));
      for (size_t i = 0; i < row.size(); ++i) {
        widths[i] = std::max(widths[i], display_width(printable(row[i])));
      }
    }
    for (const auto& row : rows) {
      std::string line;
      for (size_t i = 0; i < row.size(); ++i) {
        const std::string cell = printable(row[i]);
        line += cell;
        if (i + 1 < row.size()) line += std::string(widths[i] - display_width(cell) + 2, ' ');
      }
      lines.push_back(line);
    }
  }
};

void add_nodes(Page& page, const CellStatus& status) {
  page.heading("cell " + status.cell + ", revision " + std::to_string(status.revision));
  std::vector<std::vector<std::string>> rows = {
      {"NODE", "ADDRESS", "ROLE", "APPLIED", "LAG", "LEASES", "LOCKS", "HOLDS", "WAITERS"}};
  for (const NodeStatus& node : status.nodes) {
    rows.push_back({std::to_string(node.id), node.address, node.role, std::to_string(node.applied),
                    std::to_string(node.lag), std::to_string(node.leases),
                    std::to_string(node.locks), std::to_string(node.holds),
                    std::to_string(node.waiters)});
  }
  page.table(rows);
}

}  // namespace

TopView look_at(Cell& cell) {
  TopView view;
  view.status = cell.status();
  for (const auto& row : cell.sql(kContended).rows) {
    view.contended.push_back({text(row[0]), static_cast<uint64_t>(number(row[1])), number(row[2])});
  }
  for (const auto& row : cell.sql(kWaits).rows) {
    view.waits.push_back({text(row[0]),
                          base::lease_text(base::LeaseId{static_cast<uint64_t>(number(row[1]))}),
                          text(row[2]) + ":" + std::to_string(number(row[3])), text(row[4]),
                          text(row[5]), number(row[6])});
  }
  for (const auto& row : cell.sql(kOwners).rows) {
    view.owners.push_back({text(row[0]) + ":" + std::to_string(number(row[1])), text(row[2]),
                           text(row[3]), static_cast<uint64_t>(number(row[4]))});
  }
  return view;
}

std::vector<std::string> lines_of(const TopView& view) {
  Page page;
  add_nodes(page, view.status);
  page.heading("most contended locks");
  std::vector<std::vector<std::string>> rows = {{"LOCK", "WAITERS", "LONGEST"}};
  for (const auto& lock : view.contended) {
    rows.push_back({lock.lock, std::to_string(lock.waiters), format_age(lock.oldest_since_ms)});
  }
  page.table(rows);
  page.heading("longest waits");
  rows = {{"LOCK", "WAITING", "LEASE", "WHERE", "WHO"}};
  for (const auto& wait : view.waits) {
    rows.push_back({wait.lock, format_age(wait.since_ms), wait.lease, wait.where,
                    wait.user + " " + wait.program});
  }
  page.table(rows);
  page.heading("busiest owners");
  rows = {{"WHERE", "HOLDS", "WHO"}};
  for (const auto& owner : view.owners) {
    rows.push_back({owner.where, std::to_string(owner.holds), owner.user + " " + owner.program});
  }
  page.table(rows);
  return page.lines;
}

}  // namespace holdfast::cli
