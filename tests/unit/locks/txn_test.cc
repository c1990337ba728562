// Small keys: transactions, leases that keys end with, sequential names, limits.
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using holdfast::base::ErrorCode;
using holdfast::base::EventType;
using holdfast::base::KeyRow;
using holdfast::base::LeaseId;
using holdfast::base::Revision;
using holdfast::base::Token;

namespace {

using Target = Compare::Target;

TxnOp get(const std::string& key) {
  return {TxnOp::Kind::kGet, key, "", {}, false};
}
TxnOp put(const std::string& key, const std::string& value, LeaseId lease = {}) {
  return {TxnOp::Kind::kPut, key, value, lease, false};
}
TxnOp sequential(const std::string& prefix) {
  return {TxnOp::Kind::kPut, prefix, "v", {}, true};
}
TxnOp erase(const std::string& key) {
  return {TxnOp::Kind::kDelete, key, "", {}, false};
}
Compare compare(Target target, const std::string& key, Relation relation, uint64_t number) {
  return {key, target, relation, number, ""};
}

struct TxnTest : TableFixture {
  TestClient client{*this};
  LeaseId lease = client.open();

  TxnDone done(Txn txn) {
    const auto answer = client.send(std::move(txn));
    REQUIRE(is<TxnDone>(answer));
    return std::get<TxnDone>(*answer);
  }
  TxnDone done(std::vector<TxnOp> then) { return done(Txn{{}, std::move(then), {}}); }
  bool holds(Compare guard) { return done(Txn{{std::move(guard)}, {}, {}}).succeeded; }
  std::string made(const std::string& prefix) {
    return done({sequential(prefix)}).results.at(0).row.key;
  }
  Token token() const { return table.describe("x").holders.at(0).token; }
};

}  // namespace

TEST_CASE_FIXTURE(TxnTest, "txn: a key remembers when it came to be, and how often it changed") {
  const Revision created = done({put("k", "1")}).revision;
  const Revision changed = done({put("k", "2")}).revision;
  const KeyRow row = *table.key("k");
  CHECK(row == KeyRow{"k", "2", created, changed, 2, {}});
  CHECK(changed == created.next());
  done({erase("k")});
  CHECK_FALSE(table.key("k").has_value());
  done({put("k", "3")});
  CHECK(table.key("k")->version == 1);
  CHECK(table.key("k")->create > changed);
}

TEST_CASE_FIXTURE(TxnTest,
                  "txn: one list is done or the other, and each operation has its result") {
  done({put("k", "1"), put("x", "1")});
  const Txn txn{{compare(Target::kVersion, "k", Relation::kEqual, 1)},
                {put("k", "2"), get("l"), erase("m")},
                {get("k"), erase("x")}};
  const TxnDone first = done(txn);
  CHECK(first.succeeded);
  CHECK(first.results.at(0).kind == OpResult::Kind::kStored);
  CHECK(first.results.at(0).row.version == 2);
  CHECK(first.results.at(1).kind == OpResult::Kind::kNone);
  CHECK(first.results.at(2).kind == OpResult::Kind::kNotDeleted);
  const TxnDone second = done(txn);
  CHECK_FALSE(second.succeeded);
  CHECK(second.results.at(0).row.value == "2");
  CHECK(second.results.at(1).kind == OpResult::Kind::kDeleted);
}

TEST_CASE_FIXTURE(TxnTest, "txn: a key that isn't there has numbers of 0, and no value at all") {
  CHECK(holds(compare(Target::kVersion, "k", Relation::kEqual, 0)));
  CHECK(holds(compare(Target::kRevision, "k", Relation::kLess, 1)));
  CHECK_FALSE(holds(compare(Target::kCreate, "k", Relation::kGreater, 0)));
  CHECK_FALSE(holds({"k", Target::kValue, Relation::kEqual, 0, ""}));
  CHECK_FALSE(holds({"k", Target::kValue, Relation::kNotEqual, 0, "x"}));
  done({put("k", "b")});
  CHECK(holds({"k", Target::kValue, Relation::kNotEqual, 0, "x"}));
  CHECK(holds({"k", Target::kValue, Relation::kLess, 0, "ba"}));
  CHECK(holds({"k", Target::kValue, Relation::kGreater, 0, "a"}));
}

TEST_CASE_FIXTURE(TxnTest, "txn: all of its guards must hold") {
  done({put("k", "1")});
  const Compare right = compare(Target::kVersion, "k", Relation::kEqual, 1);
  const Compare wrong = compare(Target::kVersion, "k", Relation::kEqual, 2);
  CHECK(done(Txn{{right, right}, {}, {}}).succeeded);
  CHECK_FALSE(done(Txn{{right, wrong}, {}, {}}).succeeded);
  CHECK_FALSE(done(Txn{{wrong, right}, {}, {}}).succeeded);
}

TEST_CASE_FIXTURE(TxnTest, "txn: a guard can say that a token holds a lock") {
  const Token token = client.acquired(lease, "x");
  CHECK(holds(compare(Target::kHolds, "x", Relation::kEqual, token.value)));
  CHECK_FALSE(holds(compare(Target::kHolds, "y", Relation::kEqual, token.value)));
  client.release(lease, "x", token);
  CHECK_FALSE(holds(compare(Target::kHolds, "x", Relation::kEqual, token.value)));
  CHECK(holds(compare(Target::kHolds, "x", Relation::kNotEqual, token.value)));
}

TEST_CASE_FIXTURE(TxnTest, "txn: a key goes with its lease, in the same slot, and tells of it") {
  done({put("k", "1", lease), put("l", "1", lease)});
  done({put("l", "2")});  // bound to nothing any more
  table.take_changes();
  CHECK(is<Done>(client.send(CloseLease{lease})));
  CHECK_FALSE(table.key("k").has_value());
  CHECK(table.key("l")->value == "2");
  const auto events = table.take_changes().events;
  REQUIRE(events->size() == 2);
  CHECK(events->at(1).type == EventType::kDelete);
  CHECK(events->at(1).name == "k");
  CHECK(events->at(1).cause == std::string("closed"));
}

TEST_CASE_FIXTURE(TxnTest, "txn: what can't be done as a whole leaves no trace") {
  done({put("k", "1")});
  const Revision before = table.meta().revision;
  const LeaseId gone{999'999};
  CHECK(code_of(client.send(Txn{{}, {put("l", "1"), put("m", "1", gone)}, {}})) ==
        ErrorCode::kLeaseNotFound);
  CHECK(table.meta().revision == before);
  CHECK_FALSE(table.key("l").has_value());
  // In the list that isn't done it doesn't matter.
  CHECK(done(Txn{{}, {get("k")}, {put("m", "1", gone)}}).succeeded);
}

TEST_CASE_FIXTURE(TxnTest, "txn: a retry has the first one's answer and changes nothing") {
  const OpId op = client.next_op();
  const Txn txn{{}, {put("k", "1"), sequential("q")}, {}};
  const auto first = send(op, txn);
  const auto again = send(op, txn);
  REQUIRE(is<TxnDone>(first));
  CHECK(std::get<TxnDone>(*first) == std::get<TxnDone>(*again));
  CHECK(table.counts().keys == 2);
}

TEST_CASE_FIXTURE(TxnTest, "txn: a put is told with its value") {
  table.take_changes();
  done({put("k", "hello", lease)});
  const auto events = table.take_changes().events;
  REQUIRE(events->size() == 1);
  CHECK(events->at(0).type == EventType::kPut);
  CHECK(events->at(0).value == "hello");
  CHECK(events->at(0).lease == lease);
}

TEST_CASE_FIXTURE(TxnTest, "txn: sequential names grow, and none comes twice") {
  CHECK(made("q/") == "q/0000000001");
  CHECK(made("q/") == "q/0000000002");
  CHECK(made("r") == "r0000000001");
  done({erase("q/0000000001"), erase("q/0000000002")});
  CHECK(made("q/") == "q/0000000003");
  // One that somebody made by hand is left alone.
  done({put("q/0000000004", "mine")});
  CHECK(made("q/") == "q/0000000005");
  CHECK(table.key("q/0000000004")->value == "mine");
  const TxnDone both = done({sequential("q/"), sequential("q/")});
  CHECK(both.results.at(0).row.key == "q/0000000006");
  CHECK(both.results.at(1).row.key == "q/0000000007");
}

TEST_CASE_FIXTURE(TxnTest, "txn: of sequences there are only so many, and still none comes twice") {
  made("old");
  made("old");
  std::vector<TxnOp> many;
  for (size_t i = 0; i < holdfast::base::kMaxSequences; ++i) {
    many.push_back(sequential("s" + std::to_string(i) + "/"));
    if (many.size() < holdfast::base::kMaxTxnOps) continue;
    done(std::exchange(many, {}));
  }
  if (!many.empty()) done(many);
  CHECK(table.rows().sequences.size() == holdfast::base::kMaxSequences);
  CHECK(made("old") == "old0000000003");
  CHECK(made("new") == "new0000000003");  // it can't be known not to be an old one
}

TEST_CASE_FIXTURE(TxnTest, "txn: what makes no sense is refused, and says why") {
  CHECK(message_of(client.send(Txn{{}, {put("k", "1"), get("k")}, {}})).find("twice") !=
        std::string::npos);
  CHECK(code_of(client.send(Txn{{}, {put("a//b", "1")}, {}})) == ErrorCode::kInvalidArgument);
  CHECK(code_of(client.send(Txn{{}, {}, {}})) == ErrorCode::kInvalidArgument);
  CHECK(code_of(client.send(Txn{{compare(Target::kHolds, "x", Relation::kLess, 1)}, {}, {}})) ==
        ErrorCode::kInvalidArgument);
  CHECK(code_of(client.send(Txn{{}, {put("k", std::string(64 * 1024 + 1, 'v'))}, {}})) ==
        ErrorCode::kResourceExhausted);
  std::vector<TxnOp> many;
  for (int i = 0; i < 129; ++i) many.push_back(get("k" + std::to_string(i)));
  CHECK(code_of(client.send(Txn{{}, many, {}})) == ErrorCode::kResourceExhausted);
  many.pop_back();
  CHECK(is<TxnDone>(client.send(Txn{{}, many, {}})));
}

TEST_CASE_FIXTURE(TxnTest, "txn: an answer is only so large, and so are those that are kept") {
  const std::string large(64 * 1024, 'v');
  std::vector<TxnOp> gets;
  for (int i = 0; i < 9; ++i) {
    done({put("k" + std::to_string(i), large)});
    gets.push_back(get("k" + std::to_string(i)));
  }
  CHECK(code_of(client.send(Txn{{}, gets, {}})) == ErrorCode::kResourceExhausted);
  gets.resize(7);
  // Without ever saying that it has an answer.
  uint64_t number = client.last_number;
  const auto ask = [&] { return send(OpId{client.id, ++number, 0, {}}, Txn{{}, gets, {}}); };
  int answered = 0;
  while (is<TxnDone>(ask())) ++answered;
  CHECK(answered == 19);  // 8 MiB of 7 * 64 KiB each, begun
  CHECK(code_of(ask()) == ErrorCode::kResourceExhausted);
  client.last_number = number;
  CHECK(is<TxnDone>(client.send(Txn{{}, gets, {}})));  // says that it has them all
}

TEST_CASE("txn: a cell has room for so many keys, and so many bytes in them") {
  TableFixture cell;
  TableLimits limits;
  limits.keys = 2;
  limits.key_bytes = 20;
  cell.table = LockTable(limits);
  TestClient client(cell);
  CHECK(is<TxnDone>(client.send(Txn{{}, {put("a", "1"), put("b", "2")}, {}})));
  CHECK(code_of(client.send(Txn{{}, {put("c", "3")}, {}})) == ErrorCode::kResourceExhausted);
  CHECK(is<TxnDone>(client.send(Txn{{}, {put("c", "3"), erase("a")}, {}})));
  CHECK(code_of(client.send(Txn{{}, {put("c", std::string(20, 'x'))}, {}})) ==
        ErrorCode::kResourceExhausted);
  CHECK(is<TxnDone>(client.send(Txn{{}, {put("c", std::string(16, 'x'))}, {}})));
}

TEST_CASE_FIXTURE(TxnTest, "txn: a listing goes by prefix, from where the last one ended") {
  done({put("a/1", ""), put("a/2", ""), put("a/3", ""), put("b", "")});
  std::vector<std::string> names;
  const auto take = [&](const KeyRow& row) {
    names.push_back(row.key);
    return names.size() < 2;
  };
  table.for_each_key("a/", "", take);
  CHECK(names == std::vector<std::string>{"a/1", "a/2"});
  names.clear();
  table.for_each_key("a/", "a/2", take);
  CHECK(names == std::vector<std::string>{"a/3"});
}
