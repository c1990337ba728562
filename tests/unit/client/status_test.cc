// Surveys: every member is asked, and one that doesn't answer is unreachable.
#include "tests/unit/client/script.h"

namespace holdfast::client {

namespace {

StatusResponse status_of(uint64_t id) {
  StatusResponse status;
  status.cell = 0xabc;
  status.node.id = id;
  status.node.role = "follower";
  status.node.chosen = 10;
  status.node.applied = 10 - id;
  status.members = {{1, "a:1"}, {2, "b:1"}, {3, "c:1"}};
  return status;
}

}  // namespace

TEST_CASE("client: a survey finds members that aren't among the endpoints") {
  // Why: people name one endpoint and want to see the whole cell.
  Script s({"a:1"});
  s.with([&](Effects& fx) { s.core.status(1, s.now, fx); });
  s.accept_all();
  s.respond(s.find<StatusRequest>().request, status_of(1));
  CHECK(s.connecting.size() == 2);
  s.refuse("c:1");
  s.accept_all();
  s.respond(s.find<StatusRequest>().request, status_of(2));
  const auto& cell = std::get<CellStatus>(s.outcome(1));
  CHECK(cell.cell == "0000000000000abc");
  REQUIRE(cell.nodes.size() == 3);
  CHECK(cell.nodes[1].role == "follower");
  CHECK(cell.nodes[1].lag == 2);
  CHECK(cell.nodes[2].role == "unreachable");
}

TEST_CASE("client: a survey doesn't wait long for a silent member") {
  // Why: a status that takes the whole timeout because of one stopped node helps nobody.
  Script s;
  s.with([&](Effects& fx) { s.core.status(1, s.now, fx); });
  s.accept_all();
  for (const auto& one : std::vector<Script::Sent>(s.sent)) {
    std::string address = s.address_of(one.connection);
    if (address != "b:1") s.respond(one.request, status_of(address == "a:1" ? 1 : 3));
  }
  CHECK(!s.completed(1));
  s.advance(1000);
  CHECK(std::get<CellStatus>(s.outcome(1)).nodes[1].role == "unreachable");
}

TEST_CASE("client: a survey of a cell that is down is unavailable after the request timeout") {
  // Why: the cell may be about to start.
  Script s({"a:1"}, 1000);
  s.with([&](Effects& fx) { s.core.status(1, s.now, fx); });
  for (int i = 0; i < 20; ++i) {
    s.refuse("a:1");
    s.advance(60);
  }
  CHECK(s.failure(1) == Code::unavailable);
}

}  // namespace holdfast::client
