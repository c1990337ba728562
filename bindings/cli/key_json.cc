#include "bindings/cli/key_json.h"

#include <capnp/compat/json.h>
#include <capnp/message.h>
#include <kj/encoding.h>

#include <charconv>
#include <cmath>
#include <optional>

#include "bindings/cli/exit_codes.h"
#include "lockcore/locks/validate.h"

namespace holdfast::cli {
namespace {

using Value = capnp::JsonValue;

// -- writing --------------------------------------------------------------------------------------

kj::StringPtr text(const std::string& value) {
  return {value.c_str(), value.size()};
}

template <class Fill>
std::string encode(Fill fill) {
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<Value>());
  const capnp::JsonCodec codec;
  const kj::String out = codec.encodeRaw(message.getRoot<Value>().asReader());
  return {out.begin(), out.size()};
}

// The fields of one object, each set once, in order.
class Fields {
 public:
  Fields(Value::Builder object, unsigned count) : fields_(object.initObject(count)) {}
  Value::Builder next(const char* name) {
    fields_[index_].setName(name);
    return fields_[index_++].initValue();
  }
  void string(const char* name, const std::string& value) { next(name).setString(text(value)); }
  // 64 bits wide: a JSON number would lose some.
  void large(const char* name, uint64_t value) { string(name, std::to_string(value)); }
  void count(const char* name, uint64_t value) { next(name).setNumber(static_cast<double>(value)); }

 private:
  capnp::List<Value::Field>::Builder fields_;
  unsigned index_ = 0;
};

void fill_bytes(Value::Builder out, const std::string& bytes) {
  if (locks::is_utf8(bytes)) return out.setString(text(bytes));
  const auto* begin = reinterpret_cast<const kj::byte*>(bytes.data());
  Fields(out, 1).next("base64").setString(kj::encodeBase64(kj::arrayPtr(begin, bytes.size())));
}

void fill_pair(Value::Builder out, const KeyValue& pair) {
  Fields fields(out, 6);
  fields.string("key", pair.key);
  fill_bytes(fields.next("value"), pair.value);
  fields.large("createRevision", pair.create_revision);
  fields.large("revision", pair.revision);
  fields.count("version", pair.version);
  if (pair.lease.empty()) {
    fields.next("lease").setNull();
  } else {
    fields.string("lease", pair.lease);
  }
}

void fill_result(Value::Builder out, const TxnOpResult& result) {
  if (result.kind == TxnOp::Kind::remove) return out.setBoolean(result.removed);
  if (!result.pair) return out.setNull();
  fill_pair(out, *result.pair);
}

void fill_limits(Value::Builder out, const QuotaLimits& limits) {
  Fields fields(out, 4);
  fields.count("leases", limits.leases);
  fields.count("locks", limits.locks);
  fields.count("waiters", limits.waiters);
  fields.count("bytes", limits.bytes);
}

// -- reading --------------------------------------------------------------------------------------

[[noreturn]] void reject(const std::string& where, const std::string& wanted) {
  throw UsageError("the transaction's " + where + " must be " + wanted);
}

std::string string_of(Value::Reader value, const std::string& where) {
  if (!value.isString()) reject(where, "a string");
  const auto from = value.getString();
  return {from.begin(), from.size()};
}

uint64_t number_of(Value::Reader value, const std::string& where) {
  const char* const wanted = "a whole number, as such or as a string";
  constexpr double kExact = 9007199254740992.0;  // beyond it a double skips some
  if (value.isNumber()) {
    const double number = value.getNumber();
    if (number < 0 || number > kExact || std::floor(number) != number) reject(where, wanted);
    return static_cast<uint64_t>(number);
  }
  const std::string digits = value.isString() ? string_of(value, where) : "";
  uint64_t number = 0;
  const char* const end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, number);
  if (digits.empty() || parsed.ec != std::errc{} || parsed.ptr != end) reject(where, wanted);
  return number;
}

std::string bytes_of(Value::Reader value, const std::string& where) {
  if (value.isObject() && value.getObject().size() == 1 &&
      value.getObject()[0].getName() == "base64") {
    const std::string encoded = string_of(value.getObject()[0].getValue(), where + "'s base64");
    const auto bytes = kj::decodeBase64(kj::arrayPtr(encoded.data(), encoded.size()));
    if (bytes.hadErrors) reject(where + "'s base64", "base64");
    return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
  }
  if (!value.isString()) reject(where, R"(a string, or {"base64":"..."})");
  return string_of(value, where);
}

std::optional<Relation> relation_named(const std::string& name) {
  if (name == "==") return Relation::equal;
  if (name == "!=") return Relation::not_equal;
  if (name == "<") return Relation::less;
  if (name == ">") return Relation::greater;
  return std::nullopt;
}

Compare compare_of(Value::Reader value, const std::string& where) {
  const char* const wanted =
      R"(an array like ["version","key","==",0]; the first may be value, version, revision, )"
      R"(create or holds, the third ==, !=, < or >)";
  if (!value.isArray() || value.getArray().size() != 4) reject(where, wanted);
  const auto parts = value.getArray();
  const std::string target = string_of(parts[0], where);
  const std::string key = string_of(parts[1], where);
  const auto relation = relation_named(string_of(parts[2], where));
  if (!relation) reject(where, wanted);
  if (target == "value") return Compare::value(key, *relation, bytes_of(parts[3], where));
  const uint64_t number = number_of(parts[3], where + "'s operand");
  if (target == "version") return Compare::version(key, *relation, number);
  if (target == "revision") return Compare::revision(key, *relation, number);
  if (target == "create") return Compare::create_revision(key, *relation, number);
  if (target != "holds") reject(where, wanted);
  Compare holds = Compare::holds(key, number);
  holds.relation = *relation;
  return holds;
}

TxnOp operation_of(Value::Reader value, const std::string& where) {
  const char* const wanted =
      R"(["get",KEY], ["delete",KEY], ["put",KEY,VALUE] or ["put",KEY,VALUE,LEASE])";
  if (!value.isArray() || value.getArray().size() < 2) reject(where, wanted);
  const auto parts = value.getArray();
  const std::string verb = string_of(parts[0], where);
  const std::string key = string_of(parts[1], where);
  if (parts.size() == 2 && verb == "get") return TxnOp::get(key);
  if (parts.size() == 2 && verb == "delete") return TxnOp::remove(key);
  if (verb != "put" || parts.size() < 3 || parts.size() > 4) reject(where, wanted);
  const bool bound = parts.size() == 4 && !parts[3].isNull();
  return TxnOp::put(key, bytes_of(parts[2], where + "'s value"),
                    bound ? string_of(parts[3], where + "'s lease") : "");
}

template <class Item, class Read>
void read_list(Value::Reader list, const std::string& name, std::vector<Item>& to, Read read) {
  if (!list.isArray()) reject("\"" + name + "\"", "an array");
  for (auto item : list.getArray()) {
    to.push_back(read(item, name + "[" + std::to_string(to.size()) + "]"));
  }
}

TxnText txn_of(Value::Reader root) {
  const char* const wanted = R"(an object with "compare", "then" and "orelse")";
  if (!root.isObject()) reject("text", wanted);
  TxnText txn;
  for (auto field : root.getObject()) {
    const std::string name(field.getName().begin(), field.getName().size());
    if (name == "compare") {
      read_list(field.getValue(), name, txn.compare, compare_of);
    } else if (name == "then") {
      read_list(field.getValue(), name, txn.then, operation_of);
    } else if (name == "orelse") {
      read_list(field.getValue(), name, txn.orelse, operation_of);
    } else {
      reject("text", wanted + std::string("; it has \"") + name + "\"");
    }
  }
  return txn;
}

}  // namespace

TxnText txn_from_json(const std::string& text) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<Value>();
  try {
    const capnp::JsonCodec codec;
    codec.decodeRaw(kj::arrayPtr(text.data(), text.size()), root);
  } catch (const kj::Exception& wrong) {
    throw UsageError("the transaction is not JSON: " + std::string(wrong.getDescription().cStr()));
  }
  return txn_of(root.asReader());
}

std::string to_json(const KeyValue& pair) {
  return encode([&](Value::Builder out) { fill_pair(out, pair); });
}

std::string to_json(const TxnResult& result) {
  return encode([&](Value::Builder out) {
    Fields fields(out, 3);
    fields.next("succeeded").setBoolean(result.succeeded);
    fields.large("revision", result.revision);
    auto results = fields.next("results").initArray(static_cast<unsigned>(result.results.size()));
    for (unsigned i = 0; i < results.size(); ++i) fill_result(results[i], result.results[i]);
  });
}

std::string to_json(const Drain& drain) {
  return encode([&](Value::Builder out) {
    Fields fields(out, 4);
    fields.string("prefix", drain.prefix);
    fields.string("reason", drain.reason);
    fields.string("by", drain.by);
    fields.large("since", static_cast<uint64_t>(drain.since_ms));
  });
}

std::string to_json(const Quota& quota) {
  return encode([&](Value::Builder out) {
    Fields fields(out, 6);
    fields.string(quota.of_owner ? "owner" : "prefix", quota.name);
    fill_limits(fields.next("limits"), quota.limits);
    fill_limits(fields.next("used"), quota.used);
    fields.string("reason", quota.reason);
    fields.string("by", quota.by);
    fields.large("since", static_cast<uint64_t>(quota.since_ms));
  });
}

}  // namespace holdfast::cli
