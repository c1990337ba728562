// The bytes of commands, and what is acceptable in them.
#include <cstring>

#include "lockcore/base/command.capnp.h"
#include "lockcore/base/random.h"
#include "lockcore/locks/validate.h"
#include "tests/unit/locks/table_fixture.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

using namespace holdfast::locks;
using namespace holdfast::base;

namespace {

Batch every_kind() {
  const Owner owner{"host", 42, "boot", "program", "user", "reason", "1.0", 7};
  Batch batch{123, 456, {}};
  batch.commands = {
      {{}, RegisterClient{1000}},
      {{ClientId{5}, 9, 3, {5, 7}}, ForgetClient{}},
      {{ClientId{5}, 10, 3, {}}, OpenLease{1000, 0, std::string(16, '\0'), owner}},
      {{ClientId{5}, 11, 3, {}}, CloseLease{LeaseId{77}}},
      {{}, ExpireLeases{{3, NodeId{2}}, {LeaseId{1}, LeaseId{2}}}},
      {{ClientId{5}, 12, 3, {}},
       Acquire{LeaseId{77}, HolderId{1}, AgentId{2}, {{"a/b", Mode::kShared, 1, 0}}, false, "why"}},
      {{ClientId{5}, 13, 3, {}}, CancelWait{12}},
      {{ClientId{5}, 14, 3, {}}, Release{LeaseId{77}, "a/b", Token{99}}},
      {{}, NewLeader{{4, NodeId{1}}}},
      {{}, Reconfigure{{{}, {2}, {{{1}, {5}, "a:1", true}, {{4}, {}, "b:1", false}}, {{2}}}, "n"}}};
  return batch;
}

// Whether a batch of kind and version written by some later program is refused with `why`.
std::string refusal_of(void (*change)(holdfast::wire::Batch::Builder)) {
  capnp::MallocMessageBuilder message;
  auto batch = message.initRoot<holdfast::wire::Batch>();
  batch.setVersion(kBatchVersion);
  batch.initCommands(1)[0].setForgetClient();
  change(batch);
  const auto words = capnp::messageToFlatArray(message);
  std::string why;
  const auto bytes = words.asBytes();
  CHECK_FALSE(decode_batch({reinterpret_cast<const char*>(bytes.begin()), bytes.size()}, why));
  return why;
}

}  // namespace

TEST_CASE("command: a batch comes back from its bytes as it was") {
  const std::string bytes = encode_batch(every_kind());
  std::string why;
  const auto decoded = decode_batch(bytes, why);
  REQUIRE_MESSAGE(decoded.has_value(), why);
  // Encoding is canonical enough: equal batches have equal bytes.
  CHECK(encode_batch(*decoded) == bytes);
  REQUIRE(decoded->commands.size() == 10);
  CHECK(decoded->commands[1].op.answered == std::vector<uint64_t>{5, 7});
  const auto& open = std::get<OpenLease>(decoded->commands[2].body);
  CHECK(open.secret == std::string(16, '\0'));
  CHECK(open.owner.host == "host");
  const auto& acquire = std::get<Acquire>(decoded->commands[5].body);
  CHECK(acquire.locks.at(0).name == "a/b");
  CHECK(acquire.locks.at(0).mode == Mode::kShared);
  CHECK_FALSE(acquire.wait);
  CHECK(acquire.reason == "why");
}

TEST_CASE("command: bytes that lie at an odd address are read as well") {
  const std::string bytes = encode_batch(every_kind());
  std::string shifted = " " + bytes;
  std::string why;
  const auto decoded = decode_batch(std::string_view(shifted).substr(1), why);
  REQUIRE(decoded.has_value());
  CHECK(encode_batch(*decoded) == bytes);
}

TEST_CASE("command: answers come back from their bytes") {
  const std::vector<Answer> answers = {
      ClientRegistered{ClientId{3}},
      LeaseOpened{LeaseId{4}, 1000, std::string(16, '\1')},
      Granted{{Token{5}, Token{6}}},
      Done{Revision{7}},
      WaitCancelled{},
      Error{ErrorCode::kNotHeld, "not held", {{"lock", "a"}, {"heldToken", "5"}}}};
  for (const Answer& answer : answers) CHECK(decode_answer(encode_answer(answer)) == answer);
  CHECK_FALSE(decode_answer("").has_value());
  CHECK_FALSE(decode_answer("12345678").has_value());
}

TEST_CASE("command: what a later version wrote is refused by name, never skipped") {
  // DESIGN 7: to skip an unknown command would be to diverge from those who know it.
  CHECK(refusal_of([](auto batch) { batch.setVersion(2); }).find("batch version 2") !=
        std::string::npos);
  const std::string why = refusal_of([](auto batch) {
    // The union's tag is the first field of Command.
    auto raw = capnp::AnyStruct::Builder(capnp::toAny(batch.getCommands()[0]));
    const uint16_t kind = 321;
    std::memcpy(raw.getDataSection().begin(), &kind, sizeof(kind));
  });
  CHECK(why.find("command kind 321 is not known to this version") != std::string::npos);
  CHECK(refusal_of([](auto batch) {
          batch.getCommands()[0].initAcquire().initLocks(1)[0].setMode(
              static_cast<holdfast::wire::Mode>(77));
        }).find("lock mode 77") != std::string::npos);
}

TEST_CASE("command: nonsense is refused with a reason and without harm") {
  std::string why;
  CHECK_FALSE(decode_batch("", why));
  CHECK_FALSE(decode_batch("short", why));
  CHECK_FALSE(decode_batch(std::string(64, '\xff'), why));
  CHECK_FALSE(decode_batch(std::string(kMaxPeerMessageBytes + 8, '\0'), why));
  CHECK(why.find("more than any has") != std::string::npos);
  CHECK_FALSE(decode_batch(encode_batch(every_kind()) + std::string(8, '\0'), why));
  CHECK(why.find("bytes follow the message") != std::string::npos);
  // An empty message is no batch either: its version is 0.
  CHECK_FALSE(decode_batch(std::string(16, '\0'), why));
}

TEST_CASE("command: random bytes and flipped bits never do more than be refused") {
  Random random(20240607);
  const std::string sound = encode_batch(every_kind());
  std::string why;
  size_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = sound;
    if (round % 4 == 0) {
      bytes.resize(8 * random.below(40));
      for (char& c : bytes) c = static_cast<char>(random.next());
    } else {
      for (uint64_t flips = random.between(1, 8); flips > 0; --flips) {
        bytes[random.below(bytes.size())] ^= static_cast<char>(1u << random.below(8));
      }
    }
    if (round % 5 == 0) bytes.resize(8 * random.below(bytes.size() / 8 + 1));
    const auto decoded = decode_batch(bytes, why);
    if (!decoded) {
      ++refused;
      continue;
    }
    // What was read may be odd, but it can be judged, written again, and applied.
    LockTable table;
    Applied applied;
    table.apply(Slot{1}, &*decoded, applied);
    table.check_invariants();
    encode_batch(*decoded);
    decode_answer(bytes);
  }
  CHECK(refused > 5000);
}

TEST_CASE("command: the bound on a command's bytes holds") {
  Batch batch = every_kind();
  std::get<Acquire>(batch.commands[5].body).reason = std::string(1000, 'r');
  std::get<Acquire>(batch.commands[5].body).locks.resize(64, {std::string(511, 'n')});
  std::get<ExpireLeases>(batch.commands[4].body).leases.resize(5000);
  batch.commands[1].op.answered.resize(1024);
  size_t bound = 0;
  for (const Command& command : batch.commands) {
    CHECK(encode_batch({0, 0, {command}}).size() <= command_bytes(command) + 64);
    bound += command_bytes(command);
  }
  CHECK(encode_batch(batch).size() <= bound + 64);
}

TEST_CASE("name: UTF-8 is read strictly, as Unicode's table 3-7 has it") {
  for (const char* good : {"", "a", "\xC2\x80", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "Zürich/☂"}) {
    CHECK_MESSAGE(is_utf8(good), good);
  }
  for (const char* bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2x", "\xE0\x9F\xBF", "\xE2\x82", "\xED\xA0\x80",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xF0\x90\x80"}) {
    CHECK_FALSE(is_utf8(bad));
  }
}

TEST_CASE("name: what isn't a name is refused with what is wrong and what is right") {
  const auto refusal = [](std::string_view name) {
    const auto error = validate_name(name);
    REQUIRE(error.has_value());
    CHECK(error->code == ErrorCode::kInvalidArgument);
    return error->message;
  };
  CHECK_FALSE(validate_name("billing/ledger").has_value());
  CHECK_FALSE(validate_name(std::string(512, 'x')).has_value());
  CHECK_FALSE(validate_name("with space, Zürich").has_value());
  CHECK(refusal("").find("empty") != std::string::npos);
  CHECK(refusal(std::string(513, 'x')).find("at most 512") != std::string::npos);
  for (const char* name : {"a//b", "/a", "a/", "/"}) {
    CHECK(refusal(name).find("empty path part") != std::string::npos);
  }
  for (const char* name : {"a\nb", "a\x7F", "\xC2\x85", "\x01"}) {
    CHECK(refusal(name).find("control character") != std::string::npos);
  }
  CHECK(refusal(std::string_view("a\0b", 3)).find("control character") != std::string::npos);
  CHECK(refusal("\xFF").find("UTF-8") != std::string::npos);
}

TEST_CASE("command: an owner's fields are bounded, never cut") {
  OpenLease open{1000, 0, "", {}};
  open.owner.program = std::string(257, 'p');
  const auto error = validate({{ClientId{1}, 1, 1, {}}, open});
  REQUIRE(error.has_value());
  CHECK(error->message.find("owner's program") != std::string::npos);
  open.owner.program = "\xFF";
  CHECK(validate({{ClientId{1}, 1, 1, {}}, open})->code == ErrorCode::kInvalidArgument);
}
