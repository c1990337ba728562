// Keys and transactions as JSON. Values are text where they are text; other bytes are
// {"base64":"..."}.
#pragma once

#include <string>
#include <vector>

#include "holdfast/holdfast.h"

namespace holdfast::cli {

struct TxnText {
  std::vector<Compare> compare;
  std::vector<TxnOp> then;
  std::vector<TxnOp> orelse;
};
// {"compare":[["version","a","==",0]],"then":[["put","a","x"]],"orelse":[["get","a"]]}. Throws
// UsageError that says what is wrong and where.
TxnText txn_from_json(const std::string& text);

std::string to_json(const KeyValue& pair);
std::string to_json(const TxnResult& result);
std::string to_json(const Drain& drain);
std::string to_json(const Quota& quota);

}  // namespace holdfast::cli
