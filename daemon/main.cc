// holdfastd: one node of a cell.
#include <unistd.h>

#include <cstdio>

#include "daemon/config.h"

using holdfast::daemon::Invocation;

int main(int argc, char** argv) {
  Invocation invocation = holdfast::daemon::read_configuration(argc, argv, environ);
  if (invocation.action != Invocation::Action::kServe) {
    bool failed = invocation.action == Invocation::Action::kFail;
    std::fputs(invocation.text.c_str(), failed ? stderr : stdout);
    return invocation.exit_code;
  }
  return 0;
}
