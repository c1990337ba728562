#include "bindings/python/src/keys.h"

#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <vector>

#include "bindings/python/src/values.h"
#include "bindings/python/src/wait.h"

namespace py = pybind11;

namespace holdfast::python {

namespace {

// Rows of the package, which has looked at their words.
using CompareRow = std::tuple<std::string, std::string, std::string, uint64_t, py::bytes>;
using OperationRow = std::tuple<std::string, std::string, py::bytes, std::string, bool>;

Relation relation_of(const std::string& name) {
  if (name == "==") return Relation::equal;
  if (name == "!=") return Relation::not_equal;
  return name == "<" ? Relation::less : Relation::greater;
}

Compare compare_of(const CompareRow& row) {
  const auto& [target, key, relation_name, number, bytes] = row;
  const Relation relation = relation_of(relation_name);
  if (target == "value") return Compare::value(key, relation, bytes);
  if (target == "version") return Compare::version(key, relation, number);
  if (target == "revision") return Compare::revision(key, relation, number);
  if (target == "create") return Compare::create_revision(key, relation, number);
  Compare holds = Compare::holds(key, number);
  holds.relation = relation;
  return holds;
}

TxnOp operation_of(const OperationRow& row) {
  const auto& [kind, key, value, lease, sequential] = row;
  if (kind == "get") return TxnOp::get(key);
  if (kind == "delete") return TxnOp::remove(key);
  return TxnOp::put(key, value, lease, sequential);
}

std::vector<Compare> compares_of(const std::vector<CompareRow>& rows) {
  std::vector<Compare> compares;
  for (const CompareRow& row : rows) compares.push_back(compare_of(row));
  return compares;
}

std::vector<TxnOp> operations_of(const std::vector<OperationRow>& rows) {
  std::vector<TxnOp> operations;
  for (const OperationRow& row : rows) operations.push_back(operation_of(row));
  return operations;
}

py::tuple to_python(const KeyValue& pair) {
  return py::make_tuple(pair.key, py::bytes(pair.value), pair.create_revision, pair.revision,
                        pair.version, pair.lease);
}

py::object to_python(const TxnOpResult& result) {
  if (result.kind == TxnOp::Kind::remove) return py::bool_(result.removed);
  if (!result.pair) return py::none();
  return to_python(*result.pair);
}

py::object get(Cell& cell, const std::string& key, bool stale, bool anywhere) {
  using Found = Cell::Dated<std::optional<KeyValue>>;
  const Found found = await_value<Found>([&](Callback<Found> done) {
    cell.get_async(key, {stale, anywhere}, std::move(done));
  });
  if (!found.value) return py::none();
  return to_python(*found.value);
}

py::list keys(Cell& cell, const std::string& prefix, bool stale, bool anywhere) {
  using Rows = Cell::Dated<std::vector<KeyValue>>;
  const Rows rows = await_value<Rows>([&](Callback<Rows> done) {
    cell.keys_async(prefix, {stale, anywhere}, std::move(done));
  });
  py::list out;
  for (const KeyValue& pair : rows.value) out.append(to_python(pair));
  return out;
}

py::tuple put(Cell& cell, const std::vector<CompareRow>& guards, const OperationRow& row) {
  TxnOp operation = operation_of(row);
  PutOptions options{operation.lease, operation.sequential, std::nullopt};
  if (!guards.empty()) options.guard = compare_of(guards.front());
  return to_python(await_value<KeyValue>([&](Callback<KeyValue> done) {
    cell.put_async(operation.key, std::move(operation.value), std::move(options), std::move(done));
  }));
}

py::tuple txn(Cell& cell, const std::vector<CompareRow>& compare,
              const std::vector<OperationRow>& then, const std::vector<OperationRow>& orelse) {
  const TxnResult result = await_value<TxnResult>([&](Callback<TxnResult> done) {
    cell.txn_async(compares_of(compare), operations_of(then), operations_of(orelse),
                   std::move(done));
  });
  py::list results;
  for (const TxnOpResult& each : result.results) results.append(to_python(each));
  return py::make_tuple(result.succeeded, result.revision, results);
}

py::list drains(Cell& cell) {
  using Rows = std::vector<Drain>;
  py::list out;
  for (const Drain& drain :
       await_value<Rows>([&](Callback<Rows> done) { cell.drains_async(std::move(done)); })) {
    out.append(py::make_tuple(drain.prefix, drain.reason, drain.by,
                              static_cast<double>(drain.since_ms) / 1e3));
  }
  return out;
}

}  // namespace

void define_keys(py::class_<Cell>& cell) {
  cell.def("get", &get)
      .def("keys", &keys)
      .def("put", &put)
      .def("txn", &txn)
      .def("drain",
           [](Cell& self, const std::string& prefix, std::string reason) {
             await_finished([&](Finished done) {
               self.drain_async(prefix, std::move(reason), std::move(done));
             });
           })
      .def("undrain",
           [](Cell& self, const std::string& prefix) {
             return await_value<bool>(
                 [&](Callback<bool> done) { self.undrain_async(prefix, std::move(done)); });
           })
      .def("drains", &drains);
}

}  // namespace holdfast::python
