#include "bindings/cli/output.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/text.h"

namespace holdfast::cli {
namespace {

bool wants_color(ColorWhen when) {
  if (when != ColorWhen::automatic) return when == ColorWhen::always;
  const char* no_color = getenv("NO_COLOR");
  const char* term = getenv("TERM");
  if (no_color != nullptr && *no_color != '\0') return false;
  return isatty(STDOUT_FILENO) != 0 && term != nullptr && strcmp(term, "dumb") != 0;
}

[[noreturn]] void throw_write_error(int error) {
  if (error == EPIPE) throw BrokenPipe();
  throw Failure(kExitIo, "internal", std::string("cannot write to stdout: ") + strerror(error));
}

}  // namespace

Output::Output(bool json, ColorWhen color, bool may_page)
    : json_(json), may_page_(may_page), color_(!json && wants_color(color)) {}

Output::~Output() {
  if (pager_ != nullptr) pclose(pager_);
}

void Output::page() {
  if (json_ || !may_page_ || pager_ != nullptr || isatty(STDOUT_FILENO) == 0) return;
  const char* pager = getenv("PAGER");
  if (pager != nullptr && (*pager == '\0' || strcmp(pager, "cat") == 0)) return;
  // What git does: short listings don't stay in the pager, colours pass, the screen stays.
  setenv("LESS", "FRX", 0);
  pager_ = popen(pager != nullptr ? pager : "less", "we");
}

void Output::line(std::string_view text) {
  FILE* to = pager_ != nullptr ? pager_ : stdout;
  errno = 0;
  const bool written =
      fwrite(text.data(), 1, text.size(), to) == text.size() && putc('\n', to) != EOF;
  // A reader who quits the pager early has read enough.
  if (!written && pager_ == nullptr) throw_write_error(errno);
}

void Output::flush() {
  if (pager_ != nullptr) {
    fflush(pager_);
  } else if (fflush(stdout) != 0) {
    throw_write_error(errno);
  }
}

void Output::finish() {
  if (pager_ == nullptr) return flush();
  pclose(pager_);
  pager_ = nullptr;
}

std::string Output::bold(std::string_view text) const {
  return styled("\x1b[1m", text);
}
std::string Output::dim(std::string_view text) const {
  return styled("\x1b[2m", text);
}

std::string Output::styled(const char* style, std::string_view text) const {
  return color_ ? style + std::string(text) + "\x1b[0m" : std::string(text);
}

Table::Table(std::vector<std::string> header) {
  rows_.push_back(std::move(header));
}

void Table::row(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = cell.empty() ? "-" : printable(cell);
  rows_.push_back(std::move(cells));
}

void Table::print(Output& out) const {
  std::vector<size_t> widths(rows_[0].size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  for (size_t r = 0; r < rows_.size(); ++r) {
    std::string text;
    for (size_t i = 0; i < rows_[r].size(); ++i) {
      text += rows_[r][i];
      // Nothing is added behind the last column: lines end with what they say.
      if (i + 1 < rows_[r].size()) text.append(widths[i] - display_width(rows_[r][i]) + 2, ' ');
    }
    out.line(r == 0 ? out.bold(text) : text);
  }
}

void say(const std::string& message) {
  write_line("lockctl: " + message);
}

void write_line(const std::string& line) {
  // One write, so that lines of several processes don't mix. Nobody is left to tell if it fails.
  const std::string text = line + "\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace holdfast::cli
