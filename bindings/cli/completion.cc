// lockctl completion: scripts for the shells, made from the very verbs and flags that are parsed.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <set>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

struct Flag {
  std::string name;  // with its dashes
  std::string help;
  bool takes_value;
  std::vector<std::string> choices;  // of values, if there are only so many
};
struct Verb {
  std::string path;  // "lease open"; empty for lockctl itself
  std::string help;
  std::vector<Flag> flags;
  std::vector<std::string> verbs;    // those below it
  std::vector<std::string> choices;  // for its positional argument
};

std::vector<const CLI::App*> children(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// As add_choice() left them: "one|other".
std::vector<std::string> choices_of(const CLI::Option& option) {
  const std::string& text = option.get_option_text();
  return text.find('|') == std::string::npos ? std::vector<std::string>{}
                                             : CLI::detail::split(text, '|');
}

void collect(const CLI::App& app, const std::string& path, std::vector<Verb>& out) {
  Verb verb{path, app.get_description(), {}, {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    const bool takes_value = option->get_items_expected_min() > 0;
    const std::vector<std::string> choices = choices_of(*option);
    if (option->get_positional()) verb.choices = choices;
    for (const std::string& name : option->get_lnames()) {
      verb.flags.push_back({"--" + name, option->get_description(), takes_value, choices});
    }
    for (const std::string& name : option->get_snames()) {
      verb.flags.push_back({"-" + name, option->get_description(), takes_value, choices});
    }
  }
  for (const CLI::App* child : children(app)) verb.verbs.push_back(child->get_name());
  out.push_back(std::move(verb));
  for (const CLI::App* child : children(app)) {
    collect(*child, path + (path.empty() ? "" : " ") + child->get_name(), out);
  }
}

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string words_of(const Verb& verb) {
  std::vector<std::string> words = verb.verbs;
  words.insert(words.end(), verb.choices.begin(), verb.choices.end());
  for (const Flag& flag : verb.flags) words.push_back(flag.name);
  return join(words);
}

// 'it'\''s'
std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

std::string bash(const std::vector<Verb>& verbs) {
  // Walks the words before the cursor down the tree of verbs, then offers what fits there. Behind
  // the "--" of run it completes CMD as if it stood alone.
  std::string out = R"(_lockctl() {
  local current=${COMP_WORDS[COMP_CWORD]} path= word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == -- ]]; then
      if declare -F _command_offset >/dev/null; then _command_offset $((i + 1))
      else COMPREPLY=($(compgen -c -f -- "$current")); fi
      return
    fi
    case "${path:+$path }$word" in
)";
  std::vector<std::string> paths;
  for (const Verb& verb : verbs) {
    if (!verb.path.empty()) paths.push_back(shell_quoted(verb.path));
  }
  std::string patterns;
  for (const std::string& path : paths) patterns += (patterns.empty() ? "" : "|") + path;
  out += "      " + patterns + ") path=\"${path:+$path }$word\" ;;\n    esac\n  done\n";
  out += "  local words=" + shell_quoted(words_of(verbs.front())) + "\n  case $path in\n";
  for (const Verb& verb : verbs) {
    if (verb.path.empty()) continue;
    out += "    " + shell_quoted(verb.path) + ") words=" + shell_quoted(words_of(verb)) + " ;;\n";
  }
  out += "  esac\n  case ${COMP_WORDS[COMP_CWORD-1]} in\n";
  std::set<std::string> told;
  for (const Verb& verb : verbs) {
    for (const Flag& flag : verb.flags) {
      if (flag.choices.empty() || !told.insert(flag.name).second) continue;
      out += "    " + flag.name + ") words=" + shell_quoted(join(flag.choices)) + " ;;\n";
    }
  }
  out += R"(  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _lockctl lockctl
)";
  return out;
}

std::string zsh(const std::vector<Verb>& verbs) {
  // zsh runs bash's completions well.
  return "#compdef lockctl\nautoload -U +X bashcompinit && bashcompinit\n" + bash(verbs);
}

std::string values_for_fish(const Flag& flag) {
  if (!flag.choices.empty()) return " -x -a " + shell_quoted(join(flag.choices));
  return flag.takes_value ? " -r" : "";
}

std::string fish(const std::vector<Verb>& verbs) {
  std::string out = "complete -c lockctl -f\n";
  for (const Verb& verb : verbs) {
    const size_t space = verb.path.find(' ');
    std::string condition = "__fish_use_subcommand";
    if (!verb.path.empty()) {
      condition = "__fish_seen_subcommand_from " + verb.path.substr(0, space);
      if (space != std::string::npos) {
        condition += "; and __fish_seen_subcommand_from " + verb.path.substr(space + 1);
      }
    }
    const std::string start = "complete -c lockctl -n " + shell_quoted(condition);
    for (const std::string& name : verb.verbs) {
      const auto child = std::find_if(verbs.begin(), verbs.end(), [&](const Verb& other) {
        return other.path == (verb.path.empty() ? name : verb.path + " " + name);
      });
      out += start + " -a " + name + " -d " + shell_quoted(child->help) + "\n";
    }
    for (const Flag& flag : verb.flags) {
      const bool is_long = flag.name.starts_with("--");
      out += start + (is_long ? " -l " + flag.name.substr(2) : " -s " + flag.name.substr(1)) +
             values_for_fish(flag) + " -d " + shell_quoted(flag.help) + "\n";
    }
    if (!verb.choices.empty()) out += start + " -a " + shell_quoted(join(verb.choices)) + "\n";
  }
  return out;
}

std::string script(const CLI::App& root, const std::string& shell) {
  std::vector<Verb> verbs;
  collect(root, "", verbs);
  if (shell == "bash") return bash(verbs);
  return shell == "zsh" ? zsh(verbs) : fish(verbs);
}

}  // namespace

void add_completion(Verbs& verbs) {
  auto shell = std::make_shared<std::string>();
  CLI::App* app = verbs.add("completion", "Print a completion script for bash, zsh or fish",
                            "Example:\n  source <(lockctl completion bash)");
  add_choice(app, "SHELL", *shell, {"bash", "zsh", "fish"}, "Whose script")->required();
  verbs.on(app, [shell](Context& context) {
    std::string text = script(context.app, *shell);
    text.pop_back();  // line() ends it
    context.out.line(text);
    return kExitDone;
  });
}

}  // namespace holdfast::cli
