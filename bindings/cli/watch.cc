// lockctl watch: events as they happen; with -- CMD, CMD once for each.
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>

#include "bindings/cli/events.h"
#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/text.h"
#include "bindings/cli/unique_fd.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

struct Options {
  std::string prefix;
  uint64_t from = 0;  // 0: from now on
};

void write_all(int fd, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t count = write(fd, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;  // it doesn't read on: its own business
    done += static_cast<size_t>(count);
  }
}

// The event is its input. Returns its status as a shell has it.
int run_for(Context& context, const std::string& input) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    throw Failure(kExitIo, "internal", std::string("pipe: ") + strerror(errno));
  }
  UniqueFd reads(ends[0]);
  UniqueFd writes(ends[1]);
  std::vector<char*> arguments;
  for (std::string& argument : context.command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, reads.get(), STDIN_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // As this process was started, but for SIGPIPE, which it ignores.
  sigset_t defaults;
  sigemptyset(&defaults);
  if (!context.inherited.pipe_ignored) sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t child = -1;
  const int error =
      posix_spawnp(&child, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    const int exit = error == ENOENT ? kExitNotFound : kExitCannotRun;
    throw Failure(exit, "invalidArgument",
                  context.command[0] + ": " + std::string(strerror(error)));
  }
  reads.reset();
  write_all(writes.get(), input);
  writes.reset();
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int watch(Context& context, const Options& options) {
  Cell cell = context.connect();
  Watch events =
      options.from == 0 ? cell.watch(options.prefix) : cell.watch(options.prefix, options.from);
  context.verbose("watching from revision " + std::to_string(events.revision() + 1));
  while (const auto event = events.next()) {
    if (context.command.empty()) {
      context.out.line(context.globals.json ? to_json(*event) : event_line(context.out, *event));
      context.out.flush();
      continue;
    }
    const int status = run_for(context, to_json(*event) + "\n");
    if (status != 0) {
      context.verbose(context.command[0] + " ended with " + std::to_string(status) +
                      " at revision " + std::to_string(event->revision));
    }
  }
  return kExitDone;
}

}  // namespace

void add_watch(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  CLI::App* app = verbs.add(
      "watch", "Show events as they happen, or run a command for each",
      "Each event of the locks and keys whose names begin with PREFIX, once and in order, over\n"
      "reconnections and changes of leaders, until ended. CMD runs once for each, one after the\n"
      "other, and finds it as one line of JSON in its input. With -o json, one object a line.\n"
      "Exit 76 if --from lies before the history's beginning.\n"
      "\nExamples:\n"
      "  lockctl watch billing/\n"
      "  lockctl watch billing/ --from 1234 -o json\n"
      "  lockctl watch jobs/ -- jq -r '.type + \" \" + .name'");
  add_prefix(app, options->prefix, "Only those whose names begin with it")->required();
  add_count(app, "--from", options->from, 1, ~uint64_t{0} >> 1, "From this revision on, inclusive")
      ->type_name("REV");
  verbs.on(app, [options](Context& context) { return watch(context, *options); });
}

}  // namespace holdfast::cli
