#include "bindings/cli/globals.h"

#include <cstdlib>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

bool wants_json(const std::string& typed) {
  if (!typed.empty()) return typed == "json";
  const char* environment = getenv("HOLDFAST_OUTPUT");
  const std::string form = environment != nullptr ? environment : "";
  if (!form.empty() && form != "table" && form != "json") {
    throw UsageError("HOLDFAST_OUTPUT: '" + printable(form) + "' is not one of table, json");
  }
  return form == "json";
}

}  // namespace

void GlobalFlags::add_to(CLI::App& app) {
  endpoints_given_ =
      add_text(&app, "--endpoints", endpoints_,
               "HOST:PORT or unix:PATH, separated by commas (env HOLDFAST_ENDPOINTS; else the "
               "local socket, then 127.0.0.1:7420)")
          ->type_name("LIST");
  add_duration(&app, "--timeout", timeout_, "Of a request (5s)");
  add_choice(&app, "-o,--output", output_, {"table", "json"},
             "How results are printed (env HOLDFAST_OUTPUT; else table)");
  app.add_flag("-q,--quiet", globals_.quiet, "Don't say that a lock was not acquired");
  app.add_flag("-v,--verbose", globals_.verbose, "Say what happens");
  app.add_flag("--no-pager", globals_.no_pager, "Don't show long lists in $PAGER");
  add_choice(&app, "--color", color_, {"auto", "always", "never"},
             "Headings (auto: on a terminal)");
  app.set_version_flag("--version", "lockctl " + std::string(version()), "Print the version");
}

Globals GlobalFlags::settle() const {
  Globals out = globals_;
  out.endpoints = split_commas(endpoints_);
  if (endpoints_given_->count() > 0 && out.endpoints.empty()) {
    throw UsageError("--endpoints: '" + printable(endpoints_) +
                     "' names no address; write HOST:PORT or unix:PATH");
  }
  if (timeout_) out.timeout = *timeout_;
  if (out.timeout.count() == 0) throw UsageError("--timeout must be above 0");
  out.json = wants_json(output_);
  out.color = color_ == "always"  ? ColorWhen::always
              : color_ == "never" ? ColorWhen::never
                                  : ColorWhen::automatic;
  return out;
}

}  // namespace holdfast::cli
