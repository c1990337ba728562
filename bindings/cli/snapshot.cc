// lockctl snapshot: the backup of a cell: saving it online, looking at it, founding a new cell of
// it.
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/people.h"
#include "bindings/cli/text.h"
#include "bindings/cli/unique_fd.h"
#include "bindings/cli/verb.h"
#include "lockcore/store/new_cell.h"

namespace holdfast::cli {
namespace {

[[noreturn]] void fail_on_file(const std::string& path, const char* what) {
  throw Failure(kExitIo, "internal", path + ": " + what + ": " + strerror(errno));
}

// What the store says of a file or a directory.
template <class Action>
auto with_store(Action action) {
  try {
    return action();
  } catch (const store::StoreError& error) {
    using Kind = store::StoreError::Kind;
    const bool is_io = error.kind == Kind::kIo || error.kind == Kind::kFull;
    std::string message = error.what();
    // The store's advice is for a node's own directory.
    const size_t advice = message.find(std::string("; ") + store::kReplaceAdvice);
    if (advice != std::string::npos) {
      message.replace(advice, std::string::npos, "; this backup can't be used: take another one");
    }
    throw Failure(is_io ? kExitIo : kExitConfig, is_io ? "internal" : "invalidArgument", message);
  }
}

// -- save -----------------------------------------------------------------------------------------

// "123 of 456 MB", on one line of a terminal that is written over.
class Progress {
 public:
  explicit Progress(const Globals& globals)
      : shown_(!globals.quiet && !globals.json && isatty(STDERR_FILENO)) {}
  ~Progress() {
    if (shown_ && told_at_ != Clock::time_point()) fputs("\r\033[K", stderr);
  }
  void tell(uint64_t done, uint64_t total) {
    const Clock::time_point now = Clock::now();
    if (!shown_ || now - told_at_ < std::chrono::milliseconds(100)) return;
    told_at_ = now;
    constexpr double kMb = 1e6;
    fprintf(stderr, "\r\033[Klockctl: %.0f of %.0f MB", static_cast<double>(done) / kMb,
            static_cast<double>(total) / kMb);
    fflush(stderr);
  }

 private:
  using Clock = std::chrono::steady_clock;
  const bool shown_;
  Clock::time_point told_at_;
};

// Written under another name: a file of the name that was asked for is always whole.
class BackupFile {
 public:
  explicit BackupFile(const std::string& path)
      : path_(path),
        draft_(path + ".part"),
        fd_(open(draft_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    if (fd_.get() < 0) fail_on_file(draft_, "can't create it");
  }
  ~BackupFile() {
    if (!finished_) unlink(draft_.c_str());
  }
  void write(uint64_t offset, const std::string& bytes) {
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n = pwrite(fd_.get(), bytes.data() + done, bytes.size() - done,
                               static_cast<off_t>(offset + done));
      if (n < 0) fail_on_file(draft_, "can't write it");
      done += static_cast<size_t>(n);
    }
  }
  // All of it is there: looks at every page and row, and gives it its name.
  store::BackupInfo finish(uint64_t size) {
    if (ftruncate(fd_.get(), static_cast<off_t>(size)) != 0 || fsync(fd_.get()) != 0) {
      fail_on_file(draft_, "can't sync it");
    }
    store::BackupInfo info = with_store([&] { return store::inspect_backup(draft_); });
    if (rename(draft_.c_str(), path_.c_str()) != 0) fail_on_file(path_, "can't create it");
    finished_ = true;
    const std::string dir = path_.substr(0, path_.find_last_of('/') + 1) + ".";
    const UniqueFd directory(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.get() < 0 || fsync(directory.get()) != 0) fail_on_file(dir, "can't sync it");
    return info;
  }

 private:
  const std::string path_;
  const std::string draft_;
  const UniqueFd fd_;
  bool finished_ = false;
};

void print_backup(Context& context, const std::string& path, const store::BackupInfo& info) {
  if (context.globals.json) return context.out.line(backup_to_json(path, info));
  Table table({"FILE", "SLOT", "REVISION", "AGE", "LEASES", "LOCKS", "HOLDS", "WAITERS", "CLIENTS",
               "EVENTS", "BYTES"});
  table.row(
      {path, std::to_string(info.meta.applied.value), std::to_string(info.meta.revision.value),
       format_age(static_cast<int64_t>(info.meta.wall_ms)), std::to_string(info.leases),
       std::to_string(info.locks), std::to_string(info.holds), std::to_string(info.waiters),
       std::to_string(info.clients), std::to_string(info.events), std::to_string(info.bytes)});
  table.print(context.out);
}

int save(Context& context, const std::string& path) {
  BackupFile file(path);
  uint64_t total = 0;
  {
    Progress progress(context.globals);
    context.connect().read_snapshot([&](const SnapshotPiece& piece) {
      file.write(piece.offset, piece.bytes);
      total = piece.total_bytes;
      progress.tell(piece.offset + piece.bytes.size(), total);
    });
  }
  print_backup(context, path, file.finish(total));
  return kExitDone;
}

void add_save(Verbs& verbs, CLI::App* group) {
  auto path = std::make_shared<std::string>();
  CLI::App* app = verbs.add_under(
      group, "save", "Save the whole state of the running cell into a file",
      "The cell serves on. The file is checked, and has its name only when it is whole.\n"
      "It holds the secrets of leases: keep it as you keep the data directories.\n"
      "\nExample:\n"
      "  lockctl snapshot save /backup/cell-$(date +%F).hf");
  add_text(app, "FILE", *path, "Where to; replaced if it is there")->required();
  verbs.on(app, [path](Context& context) { return save(context, *path); });
}

// -- inspect --------------------------------------------------------------------------------------

void add_inspect(Verbs& verbs, CLI::App* group) {
  auto path = std::make_shared<std::string>();
  CLI::App* app =
      verbs.add_under(group, "inspect", "Check every page and row of a saved file, and tell of it",
                      "Needs no cell. Exit 78 if the file is damaged: the message says where.\n"
                      "\nExample:\n"
                      "  lockctl snapshot inspect /backup/cell-2026-11-28.hf");
  add_text(app, "FILE", *path, "What `snapshot save` wrote")->required();
  verbs.on(app, [path](Context& context) {
    print_backup(context, *path, with_store([&] { return store::inspect_backup(*path); }));
    return kExitDone;
  });
}

// -- restore --------------------------------------------------------------------------------------

struct RestoreOptions {
  std::string path;
  std::string data_dir;
  std::string cluster = "1=127.0.0.1:7420";
  uint64_t revision = 0;
};

uint64_t random_number() {
  uint64_t number = 0;
  if (getrandom(&number, sizeof number, 0) != sizeof number) fail_on_file("getrandom", "failed");
  return number | 1;
}

base::Member parse_member(const std::string& text) {
  const size_t equals = text.find('=');
  const std::string id = text.substr(0, equals);
  uint64_t number = 0;
  const auto read = std::from_chars(id.data(), id.data() + id.size(), number);
  const std::string address = equals == std::string::npos ? "" : text.substr(equals + 1);
  const bool is_number = read.ec == std::errc() && read.ptr == id.data() + id.size() && number != 0;
  if (!is_number || address.find(':') == std::string::npos) {
    throw UsageError("--cluster: '" + text +
                     "' is not ID=HOST:PORT, such as 1=node1.example.org:7420");
  }
  return {base::NodeId{number}, base::Incarnation{random_number()}, address, true};
}

// The founding record of the new cell.
base::Config new_config(const std::string& cluster) {
  base::Config config{base::CellId{random_number()}, base::ConfigVersion{1}, {}};
  for (size_t begin = 0; begin <= cluster.size();) {
    const size_t end = std::min(cluster.find(',', begin), cluster.size());
    config.members.push_back(parse_member(cluster.substr(begin, end - begin)));
    begin = end + 1;
  }
  std::ranges::sort(config.members, {}, &base::Member::id);
  const size_t size = config.members.size();
  if (size != 1 && size != 3 && size != 5) {
    throw UsageError("--cluster: a cell has 1, 3 or 5 nodes, not " + std::to_string(size));
  }
  if (std::ranges::adjacent_find(config.members, {}, &base::Member::id) != config.members.end()) {
    throw UsageError("--cluster: a node is in the list twice");
  }
  return config;
}

int restore(Context& context, const RestoreOptions& options) {
  const store::BackupInfo info = with_store([&] { return store::inspect_backup(options.path); });
  store::NewCell cell;
  cell.config = new_config(options.cluster);
  cell.applied = info.meta.applied.next();
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  cell.wall_ms = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count());
  cell.revision = store::revision_of_new_cell(info.meta.revision, cell.wall_ms,
                                              base::Revision{options.revision});
  cell.note = "restored from a backup of revision " + std::to_string(info.meta.revision.value) +
              ": a new cell, all leases ended";
  const bool is_one = cell.config.members.size() == 1;
  if (!is_one && mkdir(options.data_dir.c_str(), 0700) != 0) {
    fail_on_file(options.data_dir, "can't create the directory");
  }
  for (const base::Member& member : cell.config.members) {
    const std::string dir =
        is_one ? options.data_dir : options.data_dir + "/" + std::to_string(member.id.value);
    with_store([&] { store::restore_backup(options.path, dir, member.id, cell); });
    if (context.globals.json) {
      context.out.line(restored_to_json(member.id.value, dir, cell));
    } else {
      context.out.line("node " + std::to_string(member.id.value) + " (" + member.address +
                       "): " + dir);
    }
  }
  if (!context.globals.json && !context.globals.quiet) {
    say("all leases are ended, and revisions go on from " + std::to_string(cell.revision.value) +
        ". Move each directory to its node's --data-dir, as the user that runs holdfastd, and "
        "start all with --cluster " +
        options.cluster);
  }
  return kExitDone;
}

void add_restore(Verbs& verbs, CLI::App* group) {
  auto options = std::make_shared<RestoreOptions>();
  CLI::App* app = verbs.add_under(
      group, "restore", "Found a new cell from a saved file",
      "Needs no cell, and no node of the old one may run any more. Makes the data directories\n"
      "of a new cell: DIR itself for one node, DIR/ID for each of several. All leases are\n"
      "ended, and revisions jump so far that no token comes twice.\n"
      "\nExample:\n"
      "  lockctl snapshot restore cell.hf --data-dir new \\\n"
      "    --cluster 1=lock1:7420,2=lock2:7420,3=lock3:7420");
  add_text(app, "FILE", options->path, "What `snapshot save` wrote")->required();
  add_text(app, "--data-dir", options->data_dir, "Where to; must not exist yet")
      ->type_name("DIR")
      ->required();
  add_text(app, "--cluster", options->cluster,
           "Its 1, 3 or 5 nodes, as holdfastd will be told (default 1=127.0.0.1:7420)")
      ->type_name("ID=HOST:PORT,...");
  add_count(app, "--revision", options->revision, 1, uint64_t{1} << 62,
            "Go on above this revision, if the backup and the clock give a smaller one")
      ->type_name("N");
  verbs.on(app, [options](Context& context) { return restore(context, *options); });
}

}  // namespace

void add_snapshot(Verbs& verbs) {
  CLI::App* group = verbs.add("snapshot", "Back up a cell, and found a new one from a backup",
                              "Example:\n  lockctl snapshot save cell.hf");
  group->require_subcommand(1);
  add_save(verbs, group);
  add_inspect(verbs, group);
  add_restore(verbs, group);
}

}  // namespace holdfast::cli
