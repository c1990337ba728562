// lockctl top: a live view of the cell: nodes, contended locks, longest waits, busiest owners.
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/signals.h"
#include "bindings/cli/text.h"
#include "bindings/cli/top_view.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

struct Options {
  std::optional<milliseconds> every;
  uint64_t times = 0;  // 0: until ended
};

constexpr milliseconds kEvery{2000};
constexpr milliseconds kLeast{200};

// The terminal's other screen, so that what was there before comes back.
class Screen {
 public:
  Screen() { fputs("\033[?1049h\033[?25l", stdout); }
  ~Screen() {
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void show(const std::vector<std::string>& lines) {
    winsize size{};
    const bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0;
    const size_t rows = is_known ? size.ws_row : 24;
    const size_t columns = is_known ? size.ws_col : 80;
    std::string text = "\033[H";
    for (size_t i = 0; i < lines.size() && i + 1 < rows; ++i) {
      text += cut(lines[i], columns) + "\033[K\n";
    }
    text += "\033[J";
    fwrite(text.data(), 1, text.size(), stdout);
    fflush(stdout);
  }

 private:
  static std::string cut(std::string line, size_t columns) {
    while (display_width(line) > columns) {
      do {
        line.pop_back();
      } while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0xc0) == 0x80);
    }
    return line;
  }
};

// False: it is to end.
bool wait(Signals& signals, milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  for (;;) {
    const auto left =
        std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now()).count();
    if (left <= 0) return true;
    pollfd event{signals.fd(), POLLIN, 0};
    poll(&event, 1, static_cast<int>(left));
    while (const auto number = signals.next()) {
      if (Signals::ends(*number)) return false;
    }
  }
}

int top(Context& context, const Options& options) {
  const milliseconds every = std::max(options.every.value_or(kEvery), kLeast);
  Signals signals(context.inherited);
  Cell cell = context.connect();
  const bool live = !context.globals.json && isatty(STDOUT_FILENO) && options.times != 1;
  std::optional<Screen> screen;
  for (uint64_t shown = 0; options.times == 0 || shown < options.times; ++shown) {
    if (shown > 0 && !wait(signals, every)) return kExitDone;
    const TopView view = look_at(cell);
    if (live) {
      if (!screen) screen.emplace();
      screen->show(lines_of(view));
      continue;
    }
    if (context.globals.json) {
      context.out.line(to_json(view));
    } else {
      for (const std::string& line : lines_of(view)) context.out.line(line);
    }
    context.out.flush();
  }
  return kExitDone;
}

}  // namespace

void add_top(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  CLI::App* app = verbs.add(
      "top", "Show, live, what goes on: nodes, contended locks, longest waits, busiest owners",
      "On a terminal the view is renewed until Ctrl-C; elsewhere it is printed again each time.\n"
      "What is shown is the leader's record, a moment old. With -o json, one object each time.\n"
      "\nExamples:\n"
      "  lockctl top\n"
      "  lockctl top --times 1 -o json");
  add_duration(app, "--every", options->every, "How often (2s)");
  add_count(app, "--times", options->times, 1, 1'000'000, "So many times, then end");
  verbs.on(app, [options](Context& context) { return top(context, *options); });
}

}  // namespace holdfast::cli
