// holdfastd: one node of a cell.
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "daemon/config.h"
#include "daemon/exit_codes.h"
#include "daemon/serve.h"

using namespace holdfast::daemon;

int main(int argc, char** argv) try {
  auto read = [&] { return read_configuration(argc, argv, environ); };
  Invocation invocation = read();
  if (invocation.action == Invocation::Action::kServe) return serve(invocation.config, read);
  bool failed = invocation.action == Invocation::Action::kFail;
  std::fputs(invocation.text.c_str(), failed ? stderr : stdout);
  return invocation.exit_code;
} catch (const std::exception& exception) {
  std::fprintf(stderr, "holdfastd: ended by a bug: %s\n", exception.what());
  return kExitBug;
}
