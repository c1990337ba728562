// Peer links: hellos and refusals, redialling, order, drops under pressure.
#include <doctest/doctest.h>
