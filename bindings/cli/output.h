// Where results go: stdout, or a pager in front of it. Everything else goes to stderr.
#pragma once

#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

enum class ColorWhen { automatic, always, never };

// The reader of a pipe has left.
class BrokenPipe : public std::exception {};

class Output {
 public:
  Output(bool json, ColorWhen color, bool may_page);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  bool json() const { return json_; }
  // A long listing follows: shown by $PAGER if stdout is a terminal and the user allows it.
  void page();
  void line(std::string_view text);
  // Now, for those who read along. Failure with exit 74, or BrokenPipe: it went nowhere.
  void flush();
  // Flushes, and waits until the reader has quit the pager.
  void finish();

  std::string bold(std::string_view text) const;
  std::string dim(std::string_view text) const;

 private:
  std::string styled(const char* style, std::string_view text) const;

  bool json_;
  bool may_page_;
  bool color_;
  FILE* pager_ = nullptr;  // null: stdout
};

// Rows under a header line, columns as wide as their widest cell.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  // Cells may hold anything: control characters are made harmless.
  void row(std::vector<std::string> cells);
  void print(Output& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;  // [0] is the header
};

// One line on stderr; say() begins it with "lockctl: ".
void say(const std::string& message);
void write_line(const std::string& line);

}  // namespace holdfast::cli
