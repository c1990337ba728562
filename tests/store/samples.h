// Rows and writes for the store's tests, and ways to break files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "lockcore/base/log_row.h"
#include "lockcore/base/state_rows.h"
#include "lockcore/store/log_db.h"
#include "lockcore/store/state_db.h"

namespace holdfast::store_test {

inline base::Entry entry(uint64_t slot, const std::string& value, uint64_t round = 1) {
  return {
      {slot}, {round, {1}}, base::EntryKind::kCommands, std::make_shared<const std::string>(value)};
}

inline base::LogWrite entry_write(uint64_t id, const std::string& value) {
  base::LogWrite write;
  write.id = {id};
  write.entries.push_back(entry(id, value));
  return write;
}

inline void write_one(store::LogDb& log, const base::LogWrite& write) {
  log.write({&write, 1});
}

// Of the directories made here.
constexpr base::Incarnation kIncarnation{77};

// Opens node 1's log.
inline std::unique_ptr<store::LogDb> open_log(const std::string& dir,
                                              const std::string& boot_id = "boot") {
  return std::make_unique<store::LogDb>(dir, base::NodeId{1}, kIncarnation, boot_id);
}

// Its record.
inline std::unique_ptr<store::StateDb> open_state(const std::string& dir,
                                                  const store::HistoryLimits& limits = {}) {
  return std::make_unique<store::StateDb>(dir, "state.db", kIncarnation, store::FileSystem::real(),
                                          limits);
}

// A directory in which slots 1 to `slots` were written, and the first `recorded` recorded.
inline void make_used_directory(const std::string& dir, uint64_t slots, uint64_t recorded = 0) {
  const auto log = open_log(dir);
  store::StateDb state(dir, log->state_file(), kIncarnation);
  base::LogWrite promise;
  promise.promised = base::Ballot{1, {1}};
  write_one(*log, promise);
  for (uint64_t slot = 1; slot <= slots; ++slot) {
    write_one(*log, entry_write(slot, "value-of-slot-" + std::to_string(slot) + ";"));
  }
  base::StateWrite write;
  write.meta.applied = {recorded};
  if (recorded != 0) state.write(write);
}

// The StoreError that `action` throws: its kind and its text.
struct Refused {
  bool thrown = false;
  store::StoreError::Kind kind = store::StoreError::Kind::kIo;
  std::string message;
  bool says(const std::string& text) const { return message.find(text) != std::string::npos; }
};

template <class Action>
Refused refusal_of(Action action) {
  try {
    action();
  } catch (const store::StoreError& error) {
    return {true, error.kind, error.what()};
  }
  return {};
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::string bytes(static_cast<size_t>(std::max<std::streamoff>(file.tellg(), 0)), '\0');
  file.seekg(0);
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Flips one bit of the byte at `offset`.
inline void flip(const std::string& path, size_t offset) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(offset));
  const int byte = file.get();
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(byte ^ 1));
}

// Moves everything from the WALs of a directory that isn't open into the main files, and removes
// them: flips in the main files then meet rows.
inline void empty_wals(const std::string& dir) {
  open_log(dir)->checkpoint();
  open_state(dir)->checkpoint();
  std::filesystem::remove(dir + "/log.db-wal");
  std::filesystem::remove(dir + "/state.db-wal");
}

// What a crash at this moment leaves behind: the files as they are, nothing closed.
inline void copy_directory(const std::string& from, const std::string& to) {
  std::filesystem::copy(from, to);
}

}  // namespace holdfast::store_test
