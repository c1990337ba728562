// Events as people and scripts see them: a line of text, or a JSON object.
#pragma once

#include <string>

#include "bindings/cli/output.h"
#include "holdfast/holdfast.h"

namespace holdfast::cli {

// One line; the columns of one follow those of the one before.
std::string event_line(const Output& out, const Event& event);

}  // namespace holdfast::cli
