// Owners: what clients say of themselves, kept once for all leases of a process.
#include <doctest/doctest.h>

#include <utility>

#include "lockcore/base/state_rows.h"

using namespace holdfast::base;

TEST_CASE("owner: any field that differs makes another hash") {
  // A client that opens thousands of leases, alike but for a field that the hash passes over, would
  // make every further lease of anybody walk through all of them: 20 000 once took ten seconds.
  const Owner owner{"host", 42, "boot", "program", "user", "reason", "1.0", 7};
  CHECK(hash_of(owner) == hash_of(Owner(owner)));
  const auto differs = [&](auto change) {
    Owner other = owner;
    change(other);
    return hash_of(other) != hash_of(owner);
  };
  CHECK(differs([](Owner& o) { o.host += "x"; }));
  CHECK(differs([](Owner& o) { ++o.pid; }));
  CHECK(differs([](Owner& o) { o.boot_id += "x"; }));
  CHECK(differs([](Owner& o) { o.program += "x"; }));
  CHECK(differs([](Owner& o) { o.user += "x"; }));
  CHECK(differs([](Owner& o) { o.reason += "x"; }));
  CHECK(differs([](Owner& o) { o.version += "x"; }));
  CHECK(differs([](Owner& o) { ++o.started_at_ms; }));
  CHECK(differs([](Owner& o) { std::swap(o.host, o.user); }));
}
