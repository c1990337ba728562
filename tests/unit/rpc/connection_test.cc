// Server and Client over real sockets: strangers, limits, slow readers, ends.
#include <doctest/doctest.h>
