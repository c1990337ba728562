// Cell: small keys and transactions.
#include <holdfast/holdfast.h>

#include <algorithm>

#include "bindings/cpp/src/cell_state.h"
#include "bindings/cpp/src/reading.h"
#include "lockcore/base/lease_text.h"
#include "lockcore/base/limits.h"

namespace holdfast {

namespace {

using base::Instant;
using client::Core;
using client::Effects;
using client::Ref;
using detail::CellState;

locks::Compare to_core(Compare compare) {
  using Target = locks::Compare::Target;
  locks::Compare to;
  switch (compare.target) {
    case Compare::Target::value: to.target = Target::kValue; break;
    case Compare::Target::version: to.target = Target::kVersion; break;
    case Compare::Target::revision: to.target = Target::kRevision; break;
    case Compare::Target::create_revision: to.target = Target::kCreate; break;
    case Compare::Target::holds: to.target = Target::kHolds; break;
  }
  to.key = std::move(compare.key);
  to.relation = static_cast<locks::Relation>(compare.relation);
  to.number = compare.number;
  to.value = std::move(compare.bytes);
  return to;
}
static_assert(static_cast<int>(Relation::greater) == static_cast<int>(locks::Relation::kGreater));

std::vector<locks::TxnOp> to_core(std::vector<TxnOp> ops) {
  std::vector<locks::TxnOp> to;
  to.reserve(ops.size());
  for (TxnOp& op : ops) {
    locks::TxnOp& out = to.emplace_back();
    switch (op.kind) {
      case TxnOp::Kind::get: out.kind = locks::TxnOp::Kind::kGet; break;
      case TxnOp::Kind::put: out.kind = locks::TxnOp::Kind::kPut; break;
      case TxnOp::Kind::remove: out.kind = locks::TxnOp::Kind::kDelete; break;
    }
    out.key = std::move(op.key);
    out.value = std::move(op.value);
    if (!op.lease.empty()) out.lease = detail::lease_named(op.lease);
    out.sequential = op.sequential;
  }
  return to;
}

TxnResult to_result(locks::TxnDone done) {
  using Kind = locks::OpResult::Kind;
  TxnResult result{done.succeeded, done.revision.value, {}};
  for (locks::OpResult& each : done.results) {
    TxnOpResult& out = result.results.emplace_back();
    switch (each.kind) {
      case Kind::kNone: break;
      case Kind::kFound: out.pair = detail::to_pair(std::move(each.row)); break;
      case Kind::kStored:
        out.kind = TxnOp::Kind::put;
        out.pair = detail::to_pair(std::move(each.row));
        break;
      case Kind::kDeleted:
      case Kind::kNotDeleted:
        out.kind = TxnOp::Kind::remove;
        out.removed = each.kind == Kind::kDeleted;
    }
  }
  return result;
}

// Reports what `convert` makes of a result.
template <class To, class From, class Convert>
Callback<From> converting(Callback<To> done, Convert convert) {
  return [done = std::move(done), convert](std::optional<From> from, const Error* error) {
    if (error != nullptr) return done(std::nullopt, error);
    try {
      done(convert(std::move(*from)), nullptr);
    } catch (const Error& wrong) {
      done(std::nullopt, &wrong);
    }
  };
}

void read_keys(const std::shared_ptr<CellState>& cell, client::KeysRequest request,
               std::vector<KeyValue> before, Callback<Cell::Dated<std::vector<KeyValue>>> done) {
  auto on_page = [cell, request, rows = std::move(before), done](
                     std::optional<client::KeysPage> page, const Error* error) mutable {
    if (error != nullptr) return done(std::nullopt, error);
    const bool more = page->more && !page->keys.empty();
    std::move(page->keys.begin(), page->keys.end(), std::back_inserter(rows));
    if (!more) {
      return done(Cell::Dated<std::vector<KeyValue>>{std::move(rows), page->as_of}, nullptr);
    }
    request.after = rows.back().key;
    read_keys(cell, std::move(request), std::move(rows), std::move(done));
  };
  cell->start(detail::reading(request), detail::report_value<client::KeysPage>(std::move(on_page)));
}

}  // namespace

namespace detail {

KeyValue to_pair(base::KeyRow row) {
  return {std::move(row.key), std::move(row.value),
          row.create.value,   row.revision.value,
          row.version,        row.lease ? base::lease_text(row.lease) : std::string()};
}

}  // namespace detail

void Cell::get_async(std::string_view key, ReadOptions options,
                     Callback<Dated<std::optional<KeyValue>>> done) {
  using Found = Dated<std::optional<KeyValue>>;
  state_->start(
      detail::reading(client::GetRequest{std::string(key), options.stale, options.anywhere}),
      detail::report_value<client::KeyFound>(
          converting<Found, client::KeyFound>(std::move(done), [](client::KeyFound found) {
            return Found{std::move(found.pair), found.as_of};
          })));
}

std::optional<KeyValue> Cell::get(std::string_view key, ReadOptions options, AsOf* as_of) {
  using Found = Dated<std::optional<KeyValue>>;
  Found found = detail::wait_for_value<Found>(
      *state_, [&](Callback<Found> done) { get_async(key, options, std::move(done)); });
  if (as_of != nullptr) *as_of = found.as_of;
  return std::move(found.value);
}

void Cell::keys_async(std::string_view prefix, ReadOptions options,
                      Callback<Dated<std::vector<KeyValue>>> done) {
  read_keys(state_,
            {std::string(prefix), {}, base::kMaxListedRows, options.stale, options.anywhere}, {},
            std::move(done));
}

std::vector<KeyValue> Cell::keys(std::string_view prefix, ReadOptions options, AsOf* as_of) {
  using Rows = Dated<std::vector<KeyValue>>;
  Rows rows = detail::wait_for_value<Rows>(
      *state_, [&](Callback<Rows> done) { keys_async(prefix, options, std::move(done)); });
  if (as_of != nullptr) *as_of = rows.as_of;
  return std::move(rows.value);
}

void Cell::txn_async(std::vector<Compare> compare, std::vector<TxnOp> then,
                     std::vector<TxnOp> orelse, Callback<TxnResult> done) {
  locks::Txn txn;
  for (Compare& each : compare) txn.compare.push_back(to_core(std::move(each)));
  txn.then = to_core(std::move(then));
  txn.orelse = to_core(std::move(orelse));
  state_->start([txn = std::move(txn)](Core& core, Ref ref, Instant now,
                                       Effects& fx) { core.txn(ref, txn, now, fx); },
                detail::report_value<locks::TxnDone>(
                    converting<TxnResult, locks::TxnDone>(std::move(done), to_result)));
}

TxnResult Cell::txn(std::vector<Compare> compare, std::vector<TxnOp> then,
                    std::vector<TxnOp> orelse) {
  return detail::wait_for_value<TxnResult>(*state_, [&](Callback<TxnResult> done) {
    txn_async(std::move(compare), std::move(then), std::move(orelse), std::move(done));
  });
}

void Cell::put_async(std::string_view key, std::string value, PutOptions options,
                     Callback<KeyValue> done) {
  std::vector<Compare> guards;
  if (options.guard) guards.push_back(*options.guard);
  auto stored = [key = std::string(key)](TxnResult result) {
    if (result.succeeded && !result.results.empty() && result.results[0].pair) {
      return std::move(*result.results[0].pair);
    }
    throw Error(Code::conflict, "key \"" + key + "\" was not put: its guard doesn't hold",
                {{"key", key}});
  };
  txn_async(std::move(guards),
            {TxnOp::put(key, std::move(value), std::move(options.lease), options.sequential)}, {},
            converting<KeyValue, TxnResult>(std::move(done), stored));
}

KeyValue Cell::put(std::string_view key, std::string value, PutOptions options) {
  return detail::wait_for_value<KeyValue>(*state_, [&](Callback<KeyValue> done) {
    put_async(key, std::move(value), std::move(options), std::move(done));
  });
}

void Cell::remove_async(std::string_view key, Callback<bool> done) {
  txn_async({}, {TxnOp::remove(key)}, {},
            converting<bool, TxnResult>(std::move(done), [](TxnResult result) {
              return !result.results.empty() && result.results[0].removed;
            }));
}

bool Cell::remove(std::string_view key) {
  return detail::wait_for_value<bool>(
      *state_, [&](Callback<bool> done) { remove_async(key, std::move(done)); });
}

Compare Grant::guard() const {
  return Compare::holds(lock(), token());
}

}  // namespace holdfast
