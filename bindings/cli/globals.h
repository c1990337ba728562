// The flags that every verb understands.
#pragma once

#include <CLI/App.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "bindings/cli/output.h"

namespace holdfast::cli {

struct Globals {
  std::vector<std::string> endpoints;  // empty: the library's default
  std::chrono::milliseconds timeout{5000};
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  bool no_pager = false;
  ColorWhen color = ColorWhen::automatic;
};

class GlobalFlags {
 public:
  void add_to(CLI::App& app);
  // What was typed and, where nothing was, what the environment says. UsageError.
  Globals settle() const;

 private:
  const CLI::Option* endpoints_given_ = nullptr;
  std::string endpoints_;
  std::optional<std::chrono::milliseconds> timeout_;
  std::string output_;
  std::string color_ = "auto";
  Globals globals_;
};

}  // namespace holdfast::cli
