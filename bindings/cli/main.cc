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
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

// Help with "-- CMD ARG..." where it belongs and the way to the global flags at the end.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override {
    std::string usage = CLI::Formatter::make_usage(app, name);
    if (app->get_name() == "run")
      usage.insert(usage.find_last_not_of('\n') + 1, " -- CMD [ARG...]");
    return usage;
  }
  std::string make_footer(const CLI::App* app) const override {
    std::string footer = CLI::Formatter::make_footer(app);
    if (app->get_parent() != nullptr) footer += "\nGlobal flags: lockctl --help\n";
    return footer;
  }
};

void add_globals(CLI::App& app, Globals& globals) {
  add_text(&app, "--endpoints", globals.endpoints,
           "HOST:PORT or unix:PATH, separated by commas (env HOLDFAST_ENDPOINTS; else the local "
           "socket, then 127.0.0.1:7420)")
      ->type_name("LIST");
  app.add_option_function<std::string>(
         "--timeout",
         [&globals](const std::string& text) {
           const auto timeout = parse_duration(text);
           if (!timeout || timeout->count() == 0) {
             throw CLI::ValidationError("--timeout", "'" + printable(text) +
                                                         "' is not a duration above 0; write "
                                                         "500ms, 10s or 2m");
           }
           globals.timeout = *timeout;
         },
         "Of a request (5s)")
      ->type_name("DUR")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option_function<std::string>(
         "-o,--output", [&globals](const std::string& form) { globals.json = form == "json"; },
         "table or json (env HOLDFAST_OUTPUT)")
      ->check(CLI::IsMember({"table", "json"}))
      ->envname("HOLDFAST_OUTPUT")
      ->type_name("FORM")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_flag("-q,--quiet", globals.quiet, "Don't say that a lock was not acquired");
  app.add_flag("-v,--verbose", globals.verbose, "Say what happens");
  app.add_flag("--no-pager", globals.no_pager, "Don't show long lists in $PAGER");
  const std::map<std::string, ColorWhen> when = {
      {"auto", ColorWhen::automatic}, {"always", ColorWhen::always}, {"never", ColorWhen::never}};
  app.add_option("--color", globals.color, "auto, always or never")
      ->transform(CLI::CheckedTransformer(when))
      ->type_name("WHEN")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.set_version_flag("--version", "lockctl " + std::string(version()), "Print the version");
}

// Index of the verb in what was typed; the size if there is none. Global options may stand before
// it.
size_t find_verb(const CLI::App& app, const std::vector<std::string>& typed) {
  for (size_t i = 0; i < typed.size(); ++i) {
    if (typed[i] == "--" || typed[i].size() < 2 || typed[i][0] != '-') return i;
    const CLI::Option* option = app.get_option_no_throw(typed[i]);
    if (option != nullptr && option->get_items_expected_min() > 0) ++i;
  }
  return typed.size();
}

void check_verb(const CLI::App& app, const std::vector<std::string>& typed, size_t verb) {
  if (verb == typed.size() || typed[verb] == "--") return;
  std::vector<std::string> names;
  for (const CLI::App* known : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (known->get_name() == typed[verb]) return;
    names.push_back(known->get_name());
  }
  std::string message = "unknown verb '" + printable(typed[verb]) + "'";
  if (const auto near = nearest(typed[verb], names)) message += "; did you mean '" + *near + "'?";
  throw UsageError(message + " (lockctl --help lists them)");
}

// For errors that come up before the arguments are understood.
bool wants_json(const std::vector<std::string>& typed) {
  const char* environment = getenv("HOLDFAST_OUTPUT");
  bool json = environment != nullptr && strcmp(environment, "json") == 0;
  for (size_t i = 0; i < typed.size() && typed[i] != "--"; ++i) {
    const std::string& word = typed[i];
    if (word == "-ojson" || word == "-o=json" || word == "--output=json") json = true;
    if ((word == "-o" || word == "--output") && i + 1 < typed.size()) json = typed[i + 1] == "json";
  }
  return json;
}

int report(bool json, int exit, const std::string& code, const std::string& message,
           const std::vector<std::pair<std::string, std::string>>& detail = {}) {
  if (json) {
    const std::string line = error_to_json(code, message, detail) + "\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
  } else {
    say(printable(message));
  }
  return exit;
}

std::string usage_message(const CLI::App& app, const CLI::Error& error) {
  std::string name = "lockctl";
  const CLI::App* deepest = &app;
  for (auto parsed = deepest->get_subcommands(); !parsed.empty();
       parsed = deepest->get_subcommands()) {
    deepest = parsed.front();
    name += " " + deepest->get_name();
  }
  std::string what = error.what();
  std::erase(what, '\x01');  // the mark of shield_brackets
  std::replace(what.begin(), what.end(), '\n', ' ');
  return what + " (see " + name + " --help)";
}

class Program {
 public:
  Program(int argc, char** argv, const Inherited& inherited)
      : inherited_(inherited), typed_(argv + 1, argv + argc), verbs_(app_) {
    app_.name("lockctl");
    app_.formatter(std::make_shared<HelpFormatter>());
    app_.require_subcommand(1);
    add_globals(app_, globals_);
    for (auto add : {add_run, add_acquire, add_release, add_try, add_held, add_ls, add_show,
                     add_lease, add_status, add_bench, add_completion}) {
      add(verbs_);
    }
  }

  int run() {
    const bool json = wants_json(typed_);
    try {
      return parse_and_act();
    } catch (const CLI::ParseError& error) {
      return report(json, kExitUsage, "invalidArgument", usage_message(app_, error));
    } catch (const Failure& error) {
      return report(json, error.exit(), error.code(), error.what());
    } catch (const Error& error) {
      return report(json, exit_code_of(error.code()), std::string(code_name(error.code())),
                    error.what(), error.detail());
    } catch (const std::exception& error) {
      return report(json, kExitBug, "internal", error.what());
    }
  }

 private:
  int parse_and_act() {
    const size_t verb = find_verb(app_, typed_);
    check_verb(app_, typed_, verb);
    std::vector<std::string> head = typed_;
    std::vector<std::string> command;
    // CLI11 must not see CMD's arguments: it would interpret them.
    if (verb < typed_.size() && typed_[verb] == "run") {
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
    Output out(globals_.json, globals_.color, !globals_.no_pager);
    Context context{globals_, inherited_, app_, std::move(command), out};
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
  Globals globals_;
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
