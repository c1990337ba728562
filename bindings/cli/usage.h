// What was typed and makes no sense: which word it is, and what would be right.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

namespace holdfast::cli {

using Words = std::vector<std::string>;

// Index of the first word that isn't an option or an option's value: the verb, or "--". The number
// of words if there is none.
size_t find_verb(const CLI::App& app, const Words& typed);

// Does what stands behind "--" belong to a command that this verb runs?
bool takes_command(const std::string& verb);

// UsageError: a verb, or a verb below it, that doesn't exist, or an unknown option before it.
void check_verbs(const CLI::App& app, const Words& typed);

// Whether the answer is wanted as JSON, for errors that come up before the options are understood.
bool wants_json(const Words& typed);

// What CLI11 found wrong, in our words.
std::string explain(const CLI::App& app, const CLI::ParseError& error, const Words& typed);

}  // namespace holdfast::cli
