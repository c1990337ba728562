// The nearest known word to a mistyped one.
#include "daemon/nearest.h"

#include <doctest/doctest.h>

#include <array>

using holdfast::daemon::nearest;

// What it is for: the message about a mistyped key names the key that was meant.
TEST_CASE("nearest: one slip of the fingers leads back to the word") {
  constexpr std::array<std::string_view, 4> words{"id", "name", "data-dir", "listen"};
  CHECK(nearest("nmae", words) == "name");
  CHECK(nearest("data_dir", words) == "data-dir");
  CHECK(nearest("lisen", words) == "listen");
  CHECK(nearest("listens", words) == "listen");
  CHECK(nearest("id", words) == "id");
  CHECK(nearest("", words) == "id");
}
