// LeaseClock: deadlines that move forward, in buckets that needn't move with them.
#include "lockcore/node/lease_clock.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "lockcore/base/random.h"

using namespace holdfast;
using base::Duration;
using base::Instant;
using base::LeaseId;
using node::LeaseClock;

namespace {

Instant at_ms(int64_t ms) {
  return Instant{ms * 1'000'000};
}

std::vector<LeaseId> due(LeaseClock& clock, Instant as_of, size_t limit = 1'000'000) {
  std::vector<LeaseId> out;
  clock.take_due(as_of, limit, out);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

TEST_CASE("lease clock: a lease is never due before its deadline, and soon after it") {
  LeaseClock clock{{}};
  clock.add(LeaseId{1}, Duration::from_ms(1000), Duration::from_ms(1000), at_ms(0));
  CHECK(due(clock, at_ms(999)).empty());
  CHECK(clock.next_due() >= at_ms(1000));
  CHECK(clock.next_due() <= at_ms(1010));
  CHECK(due(clock, at_ms(1010)) == std::vector{LeaseId{1}});
}

TEST_CASE("lease clock: a renewal moves the deadline forward, never back") {
  // A renewal that was overtaken by a later one must not shorten what the later one gave.
  LeaseClock clock{{}};
  clock.add(LeaseId{1}, Duration::from_ms(1000), Duration::from_ms(1000), at_ms(0));
  CHECK(clock.renew(LeaseId{1}, at_ms(800)));
  CHECK(clock.renew(LeaseId{1}, at_ms(300)));
  CHECK(clock.deadline(LeaseId{1}) == at_ms(1800));
  CHECK(due(clock, at_ms(1700)).empty());
  CHECK(due(clock, at_ms(1810)) == std::vector{LeaseId{1}});
}

TEST_CASE("lease clock: a removed lease is not due, and renewing it says so") {
  LeaseClock clock{{}};
  clock.add(LeaseId{1}, Duration::from_ms(1000), Duration::from_ms(1000), at_ms(0));
  clock.remove(LeaseId{1});
  CHECK_FALSE(clock.renew(LeaseId{1}, at_ms(1)));
  CHECK(due(clock, at_ms(5000)).empty());
  CHECK(clock.next_due() == base::kNever);
}

TEST_CASE("lease clock: a lease taken as due and then spared comes back") {
  // The Close that was to end it may be refused when it is applied.
  LeaseClock clock{{}};
  clock.add(LeaseId{1}, Duration::from_ms(1000), Duration::from_ms(1000), at_ms(0));
  CHECK(due(clock, at_ms(1010)).size() == 1);
  CHECK(due(clock, at_ms(9000)).empty());
  clock.refile(LeaseId{1});
  CHECK(due(clock, at_ms(9000)) == std::vector{LeaseId{1}});
}

TEST_CASE("lease clock: refused closes of a living lease don't pile up in the buckets") {
  // Each of them spares a lease that was never taken. As copies in the buckets they would be handed
  // out together, and every later removal would look for ghosts among them.
  LeaseClock clock{{}};
  clock.add(LeaseId{1}, Duration::from_ms(1000), Duration::from_ms(1000), at_ms(0));
  for (int i = 0; i < 1000; ++i) clock.refile(LeaseId{1});
  CHECK(due(clock, at_ms(1010)) == std::vector{LeaseId{1}});
}

TEST_CASE("lease clock: removed leases with long TTLs don't pile up in their buckets") {
  LeaseClock clock{{}};
  for (uint64_t i = 1; i <= 100'000; ++i) {
    clock.add(LeaseId{i}, Duration::from_ms(24 * 3600 * 1000), Duration::from_ms(24 * 3600 * 1000),
              at_ms(static_cast<int64_t>(i)));
    clock.remove(LeaseId{i});
  }
  CHECK(clock.size() == 0);
  // Whatever is left fits well below one removal's threshold.
  std::vector<LeaseId> out;
  clock.take_due(at_ms(100L * 24 * 3600 * 1000), 1'000'000, out);
  CHECK(out.empty());
}

TEST_CASE("lease clock: agrees with a plain list under random use") {
  base::Random random(7);
  LeaseClock clock{{}};
  std::map<LeaseId, std::pair<int64_t, int64_t>> model;  // ttl, deadline in ms
  uint64_t opened = 0;                                   // ids are never used twice
  int64_t now = 0;
  for (int step = 0; step < 20'000; ++step) {
    now += static_cast<int64_t>(random.below(20));
    const LeaseId id{random.between(opened > 300 ? opened - 300 : 1, opened + 1)};
    const auto it = model.find(id);
    switch (random.below(4)) {
      case 0:
        if (id.value > opened) {
          opened = id.value;
          const int64_t ttl = static_cast<int64_t>(random.between(500, 4000));
          clock.add(id, Duration::from_ms(ttl), Duration::from_ms(ttl), at_ms(now));
          model[id] = {ttl, now + ttl};
        }
        break;
      case 1:
        CHECK(clock.renew(id, at_ms(now)) == (it != model.end()));
        if (it != model.end()) it->second.second = now + it->second.first;
        break;
      case 2:
        if (random.chance(0.1) && it != model.end()) {
          clock.remove(id);
          model.erase(it);
        }
        break;
      default:
        for (const LeaseId taken : due(clock, at_ms(now))) {
          REQUIRE(model.contains(taken));
          CHECK(model[taken].second <= now);
          model.erase(taken);
          clock.remove(taken);
        }
        // A bucket's width is all that anybody may be late.
        for (const auto& [lease, times] : model) CHECK(times.second > now - 10);
    }
  }
}

TEST_CASE("lease clock: a long lease that goes unrenewed is to be checkpointed, step by step") {
  LeaseClock clock{{Duration::from_ms(60'000), Duration::from_ms(60'000)}};
  clock.add(LeaseId{1}, Duration::from_ms(60'000), Duration::from_ms(60'000), at_ms(0));
  clock.add(LeaseId{2}, Duration::from_ms(59'000), Duration::from_ms(59'000), at_ms(0));
  clock.add(LeaseId{3}, Duration::from_ms(400'000), Duration::from_ms(100'000), at_ms(0));
  const auto unrenewed = [&clock](int64_t ms) {
    std::vector<std::pair<uint64_t, int64_t>> found;
    std::vector<LeaseClock::Left> due;
    clock.take_unrenewed(at_ms(ms), 1000, due);
    for (const auto& each : due) found.emplace_back(each.lease.value, each.left.ms_ceil());
    std::sort(found.begin(), found.end());
    return found;
  };
  using Found = std::vector<std::pair<uint64_t, int64_t>>;
  CHECK(unrenewed(14'000) == Found{});
  CHECK(unrenewed(15'010) == Found{{1, 44'990}});
  CHECK(unrenewed(20'000) == Found{});
  clock.renew(LeaseId{1}, at_ms(29'000));
  CHECK(unrenewed(31'000) == Found{});
  CHECK(unrenewed(44'010) == Found{{1, 44'990}});
  CHECK(unrenewed(60'010) == Found{{1, 28'990}, {3, 39'990}});
  clock.remove(LeaseId{1});
  clock.remove(LeaseId{3});
  CHECK(unrenewed(200'000) == Found{});
  CHECK(clock.next_unrenewed() == holdfast::base::kNever);
}

TEST_CASE("lease clock: a lease that is cut short ends then, unless it is renewed") {
  LeaseClock clock{{}};
  const Duration minute = Duration::from_ms(60'000);
  const Duration second = Duration::from_ms(1'000);
  clock.add({1}, minute, minute, at_ms(0));
  clock.add({2}, second, second, at_ms(0));
  for (const uint64_t id : {1, 2, 3}) clock.shorten({id}, at_ms(1'500));
  CHECK(clock.deadline({1}) == at_ms(1'500));
  CHECK(clock.deadline({2}) == at_ms(1'000));  // it ends earlier anyway
  CHECK(due(clock, at_ms(1'400)) == std::vector{LeaseId{2}});
  clock.remove({2});
  SUBCASE("it ends") {
    CHECK(due(clock, at_ms(1'510)) == std::vector{LeaseId{1}});
  }
  SUBCASE("it is renewed, cut and renewed: it is due once") {
    for (int64_t now = 1'000; now < 20'000; now += 500) {
      clock.renew({1}, at_ms(now));
      clock.shorten({1}, at_ms(now + 1'500));
      CHECK(due(clock, at_ms(now)).empty());
    }
    clock.renew({1}, at_ms(20'000));
    CHECK(clock.deadline({1}) == at_ms(80'000));
    CHECK(due(clock, at_ms(79'000)).empty());
    CHECK(due(clock, at_ms(80'010)) == std::vector{LeaseId{1}});
  }
  clock.remove({1});
  CHECK(due(clock, at_ms(200'000)).empty());
  CHECK(clock.next_due() == base::kNever);
}
