// What goes to the wire comes back the same, and nonsense is refused.
#include <doctest/doctest.h>
