// Feeds: bytes as the name of a lock. Checks: validate_name() takes exactly what INTERFACES allows,
// by a second reading of the rules that shares no code with it; a name that is taken is granted,
// found and listed under the very same bytes; and a refusal can be shown: it is UTF-8 itself.
#include <string>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "lockcore/locks/lock_table.h"
#include "lockcore/locks/validate.h"

namespace holdfast::fuzz {
namespace {

// The code points of well-formed UTF-8. False: it isn't that.
bool code_points(std::string_view text, std::u32string& points) {
  size_t at = 0;
  while (at < text.size()) {
    const auto first = static_cast<uint8_t>(text[at++]);
    const int following = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : 3;
    if (first >= 0x80 && (first < 0xC0 || first > 0xF7)) return false;
    char32_t point = following == 0 ? first : first & (0x3F >> following);
    for (int i = 0; i < following; ++i, ++at) {
      if (at == text.size() || (text[at] & 0xC0) != 0x80) return false;
      point = point << 6 | (text[at] & 0x3F);
    }
    constexpr char32_t kFirstOfLength[] = {0, 0x80, 0x800, 0x10000};
    if (point < kFirstOfLength[following] || point > 0x10FFFF) return false;
    if (point >= 0xD800 && point <= 0xDFFF) return false;
    points += point;
  }
  return true;
}

bool is_name(std::string_view text) {
  std::u32string points;
  if (text.empty() || text.size() > base::kMaxNameBytes || !code_points(text, points)) return false;
  char32_t before = U'/';
  for (const char32_t point : points) {
    if (point < 0x20 || (point >= 0x7F && point < 0xA0)) return false;
    if (point == U'/' && before == U'/') return false;
    before = point;
  }
  return before != U'/';
}

void grant(const std::string& name) {
  locks::LockTable table;
  locks::Applied applied;
  const auto apply = [&](locks::OpId op, locks::Body body) {
    applied.clear();
    const locks::Batch batch{1000, 1000, {{std::move(op), std::move(body)}}};
    table.apply(table.meta().applied.next(), &batch, applied);
    table.check_invariants();
    HF_ASSERT(applied.replies.size() == 1);
    return applied.replies.front().answer;
  };
  const auto registered = apply({}, locks::RegisterClient{});
  const auto client = std::get<locks::ClientRegistered>(registered).client;
  const auto opened =
      apply({client, 1, 1, {}},
            locks::OpenLease{10'000, 0, std::string(base::kSecretBytes, 's'), base::Owner{}});
  const auto lease = std::get<locks::LeaseOpened>(opened).lease;
  const auto granted =
      apply({client, 2, 2, {}}, locks::Acquire{lease, {1}, {1}, {{name}}, false, ""});
  HF_ASSERT(std::holds_alternative<locks::Granted>(granted));
  HF_ASSERT(table.is_held(name));
  HF_ASSERT(table.describe(name).name == name);
  HF_ASSERT(table.lock_names("", "", 10) == std::vector{name});
  HF_ASSERT(table.lock_names(name, "", 10) == std::vector{name});
  HF_ASSERT(table.lock_names("", name, 10).empty());
}

}  // namespace
}  // namespace holdfast::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  const std::string name(reinterpret_cast<const char*>(data), size);
  const auto refused = locks::validate_name(name);
  HF_ASSERT(!refused == fuzz::is_name(name));
  if (refused) {
    HF_ASSERT(locks::is_utf8(refused->message));
  } else {
    fuzz::grant(name);
  }
  return 0;
}
