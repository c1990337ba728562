// Why somebody waits, in words that a tired person understands.
#pragma once

#include <holdfast/holdfast.h>

#include <string>

namespace holdfast::client {

// Of everything in `why` but its text: one line for each who is in the way, what keeps that one
// waiting indented below it.
std::string why_text(const Why& why);

}  // namespace holdfast::client
