#include "bindings/cli/usage.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

std::vector<const CLI::App*> children(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

Words names_of(const std::vector<const CLI::App*>& verbs) {
  Words names;
  for (const CLI::App* verb : verbs) names.push_back(verb->get_name());
  return names;
}

std::string missing_verb(const std::vector<const CLI::App*>& verbs) {
  std::string out = "a verb is missing:";
  for (const std::string& name : names_of(verbs)) out += " " + name;
  return out;
}

bool is_option(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && word != "--";
}

// Options may be those of the verb or, behind it, of all above it.
const CLI::Option* find_option(const CLI::App& app, const std::string& name) {
  const CLI::Option* option = nullptr;
  for (const CLI::App* at = &app; at != nullptr && option == nullptr; at = at->get_parent()) {
    option = at->get_option_no_throw(name);
  }
  return option;
}

bool takes_value(const CLI::Option* option) {
  return option != nullptr && option->get_items_expected_min() > 0;
}

// "-qo": flags that share a dash. The value of the last one may be the next word.
bool value_follows(const CLI::App& app, const std::string& word) {
  if (word.starts_with("--")) return takes_value(find_option(app, word));
  for (size_t i = 1; i < word.size(); ++i) {
    if (takes_value(find_option(app, std::string("-") + word[i]))) return i + 1 == word.size();
  }
  return false;
}

// The part of an option that names it: "--ttl" of "--ttl=5s", "-x" of "-xyz".
std::string name_of(const std::string& word) {
  return word.starts_with("--") ? word.substr(0, word.find('=')) : word.substr(0, 2);
}

std::string did_you_mean(const std::string& word, const Words& candidates) {
  if (word == "help") return "; did you mean '--help'?";
  const auto near = nearest(word, candidates);
  return near ? "; did you mean '" + *near + "'?" : "";
}

std::string unknown_option(const CLI::App& app, const std::string& word) {
  Words known;
  for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
  }
  const std::string name = name_of(word);
  return "unknown option '" + printable(name) + "'" +
         (name.starts_with("--") ? did_you_mean(name, known) : "");
}

const CLI::App& deepest(const CLI::App& app) {
  const CLI::App* at = &app;
  for (auto parsed = at->get_subcommands(); !parsed.empty(); parsed = at->get_subcommands()) {
    at = parsed.front();
  }
  return *at;
}

std::string path_of(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  return (parent == nullptr ? "" : path_of(*parent) + " ") + app.get_name();
}

std::string where_to_look(const CLI::App& app) {
  return " (see " + path_of(app) + " --help)";
}

// Of what CLI11 had no use for, the word that was typed first. Empty: it had use for all.
std::string first_extra(const CLI::App& app, const Words& typed) {
  Words left = app.remaining(true);
  for (std::string& word : left) word = unshielded(word);
  for (const std::string& word : typed) {
    if (std::find(left.begin(), left.end(), word) != left.end()) return word;
  }
  return left.empty() ? "" : left.front();
}

std::string explain_extra(const CLI::App& verb, const std::string& word) {
  if (is_option(word)) return unknown_option(verb, word);
  if (takes_command(verb.get_name())) {
    const std::string name = verb.get_name() == "run" ? "LOCK" : "NAME";
    return "unexpected '" + printable(word) + "'; the command to run stands behind --: lockctl " +
           verb.get_name() + " " + name + " -- CMD";
  }
  return "unexpected '" + printable(word) + "'";
}

}  // namespace

bool takes_command(const std::string& verb) {
  return verb == "run" || verb == "elect" || verb == "watch";
}

size_t find_verb(const CLI::App& app, const Words& typed) {
  for (size_t i = 0; i < typed.size(); ++i) {
    if (!is_option(typed[i])) return i;
    if (value_follows(app, typed[i])) ++i;
  }
  return typed.size();
}

void check_verbs(const CLI::App& app, const Words& typed) {
  const auto verbs = children(app);
  if (verbs.empty()) return;
  const size_t at = find_verb(app, typed);
  for (size_t i = 0; i < at; i += value_follows(app, typed[i]) ? 2 : 1) {
    if (find_option(app, name_of(typed[i])) == nullptr) {
      throw UsageError(unknown_option(app, typed[i]) + where_to_look(app));
    }
  }
  if (at == typed.size()) return;  // not an error if help is asked for
  if (typed[at] == "--") throw UsageError(missing_verb(verbs) + where_to_look(app));
  const std::string& word = typed[at];
  const auto verb = std::find_if(verbs.begin(), verbs.end(),
                                 [&](const CLI::App* known) { return known->get_name() == word; });
  if (verb == verbs.end()) {
    throw UsageError("unknown verb '" + printable(word) + "'" +
                     did_you_mean(word, names_of(verbs)) + where_to_look(app));
  }
  check_verbs(**verb, Words(typed.begin() + static_cast<ptrdiff_t>(at) + 1, typed.end()));
}

bool wants_json(const Words& typed) {
  const char* environment = getenv("HOLDFAST_OUTPUT");
  bool json = environment != nullptr && strcmp(environment, "json") == 0;
  for (size_t i = 0; i < typed.size() && typed[i] != "--"; ++i) {
    const std::string& word = typed[i];
    if (word == "-ojson" || word == "--output=json") json = true;
    if (word == "-otable" || word == "--output=table") json = false;
    const bool separate =
        word == "--output" || (word[0] == '-' && word.ends_with('o') && !word.starts_with("--"));
    if (separate && i + 1 < typed.size()) json = typed[i + 1] == "json";
  }
  return json;
}

std::string explain(const CLI::App& app, const CLI::ParseError& error, const Words& typed) {
  const CLI::App& verb = deepest(app);
  std::string what = error.what();
  std::replace(what.begin(), what.end(), '\n', ' ');
  const std::string extra = first_extra(app, typed);
  // What is missing may only be missing because an unknown option stands in its place.
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr || is_option(extra)) {
    what = explain_extra(verb, extra);
  } else if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    what = what.substr(0, what.find(':')) + ": its value is missing";
  } else if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr &&
             !children(verb).empty()) {
    what = missing_verb(children(verb));
  }
  return what + where_to_look(verb);
}

}  // namespace holdfast::cli
