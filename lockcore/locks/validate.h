// What can be said of a command, or a text in it, without the state.
#pragma once

#include <optional>
#include <string_view>

#include "lockcore/base/error.h"
#include "lockcore/locks/command.h"

namespace holdfast::locks {

// Well-formed UTF-8 as the Unicode standard has it (table 3-7): no overlong forms, no surrogates,
// nothing above U+10FFFF.
bool is_utf8(std::string_view text);

// nullopt, or that `what` is longer than `limit` bytes or isn't UTF-8.
std::optional<base::Error> validate_text(std::string_view what, std::string_view text,
                                         size_t limit);

// The two halves of validate(). What is wrong with the operation's number or sender leaves no
// trace; what is wrong with the body is an answer, recorded like any other.
std::optional<base::Error> validate_op(const Command& command);
std::optional<base::Error> validate_body(const Command& command);

}  // namespace holdfast::locks
