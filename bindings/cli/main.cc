// lockctl: Holdfast at the command line. Finds out what was typed, runs that verb, and turns
// whatever went wrong into one message on stderr and one exit code.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <clocale>
#include <exception>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/output.h"
#include "bindings/cli/signals.h"
#include "bindings/cli/text.h"
#include "bindings/cli/usage.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

// Help with "-- CMD ARG..." where it belongs and the way to the global flags at the end.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override {
    std::string usage = CLI::Formatter::make_usage(app, name);
    if (takes_command(app->get_name())) {
      const char* command = app->get_name() == "run" ? " -- CMD [ARG...]" : " [-- CMD [ARG...]]";
      usage.insert(usage.find_last_not_of('\n') + 1, command);
    }
    return usage;
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    if (!option->get_option_text().empty()) return " " + option->get_option_text();
    if (option->get_positional() || option->get_type_size() == 0) return "";
    return " " + option->get_type_name() + (option->get_required() ? " REQUIRED" : "");
  }
  std::string make_footer(const CLI::App* app) const override {
    std::string footer = CLI::Formatter::make_footer(app);
    if (app->get_parent() != nullptr) footer += "\nGlobal flags: lockctl --help\n";
    return footer;
  }
};

int report(bool json, int exit, const std::string& code, const std::string& message,
           const std::vector<std::pair<std::string, std::string>>& detail = {}) {
  json ? write_line(error_to_json(code, message, detail)) : say(printable(message));
  return exit;
}

class Program {
 public:
  Program(int argc, char** argv, const Inherited& inherited)
      : inherited_(inherited), typed_(argv + 1, argv + argc), verbs_(app_) {
    app_.name("lockctl");
    app_.formatter(std::make_shared<HelpFormatter>());
    app_.require_subcommand(1);
    flags_.add_to(app_);
    for (auto add :
         {add_run,       add_acquire,   add_release, add_try,           add_held,  add_verify,
          add_ls,        add_show,      add_why,     add_waits,         add_elect, add_observe,
          add_watch,     add_history,   add_sql,     add_release_force, add_drain, add_quota,
          add_lease,     add_key_verbs, add_txn,     add_status,        add_check, add_snapshot,
          add_top,       add_members,   add_member,  add_leader,        add_bench, add_torture,
          add_completion}) {
      add(verbs_);
    }
  }

  int run() {
    const bool json = wants_json(typed_);
    try {
      return parse_and_act();
    } catch (const CLI::ParseError& error) {
      return report(json, kExitUsage, "invalidArgument", explain(app_, error, typed_));
    } catch (const Failure& error) {
      return report(json, error.exit(), error.code(), error.what());
    } catch (const Error& error) {
      return report(json, exit_code_of(error), std::string(code_name(error.code())), error.what(),
                    error.detail());
    } catch (const BrokenPipe&) {
      // As if SIGPIPE had its usual effect; who ignores it wants to hear of it.
      if (!inherited_.pipe_ignored) die_by(SIGPIPE);
      return report(json, kExitIo, "internal", "cannot write to stdout: nobody reads it");
    } catch (const std::exception& error) {
      return report(json, kExitBug, "internal", error.what());
    }
  }

 private:
  int parse_and_act() {
    check_verbs(app_, typed_);
    const size_t verb = find_verb(app_, typed_);
    std::vector<std::string> head = typed_;
    std::vector<std::string> command;
    // CLI11 must not see CMD's arguments: it would interpret them.
    if (verb < typed_.size() && takes_command(typed_[verb])) {
      const auto dashes = std::find(head.begin(), head.end(), "--");
      if (dashes != head.end()) command.assign(dashes + 1, head.end());
      head.erase(dashes, head.end());
    }
    try {
      parse(std::move(head));
    } catch (const CLI::CallForHelp&) {
      return print(app_.help());
    } catch (const CLI::CallForVersion& version) {
      return print(version.what());
    }
    const Globals globals = flags_.settle();
    Output out(globals.json, globals.color, !globals.no_pager);
    Context context{globals, inherited_, app_, std::move(command), out};
    const int exit = verbs_.chosen()(context);
    out.finish();
    return exit;
  }

  void parse(std::vector<std::string> arguments) {
    shield_brackets(arguments);
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app_.parse(std::move(arguments));
  }

  int print(std::string text) {
    while (text.ends_with('\n')) text.pop_back();
    Output out(false, ColorWhen::never, false);
    out.line(text);
    out.finish();
    return kExitDone;
  }

  const Inherited& inherited_;
  std::vector<std::string> typed_;
  GlobalFlags flags_;
  CLI::App app_{"Locks in a Holdfast cell: hold one while a command runs, see who holds what"};
  Verbs verbs_;
};

// A descriptor 0, 1 or 2 that is closed would be taken by the next socket, and results be written
// to it. What stands in for it fails when used, as the closed one would.
void fill_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) == -1 && errno == EBADF)
      open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
  }
}

bool ignored(int signal_number) {
  struct sigaction action {};
  sigaction(signal_number, nullptr, &action);
  return action.sa_handler == SIG_IGN;
}

Inherited inspect_start(int argc, char** argv) {
  Inherited inherited;
  sigprocmask(SIG_SETMASK, nullptr, &inherited.mask);
  inherited.pipe_ignored = ignored(SIGPIPE);
  inherited.child_ignored = ignored(SIGCHLD);
  if (argc > 0) {
    inherited.arguments = argv[0];
    inherited.arguments_size =
        static_cast<size_t>(argv[argc - 1] + strlen(argv[argc - 1]) + 1 - argv[0]);
  }
  return inherited;
}

}  // namespace
}  // namespace holdfast::cli

int main(int argc, char** argv) {
  using namespace holdfast::cli;
  fill_standard_descriptors();
  const Inherited inherited = inspect_start(argc, argv);
  signal(SIGPIPE, SIG_IGN);  // a reader who left is an error of write()
  signal(SIGCHLD, SIG_DFL);  // ignored, it would swallow the status of children
  setlocale(LC_CTYPE, "C.UTF-8");
  return Program(argc, argv, inherited).run();
}
