// The files of the data directory, as far as the store touches them without SQLite. A seam: tests
// put a disk of their own here and under SQLite, and so see and fail every operation.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::store {

// One open file. Every call throws StoreError that names it: kFull, or kIo.
class File {
 public:
  virtual ~File() = default;
  // How many bytes were read: maybe fewer than asked for, none only at the end.
  virtual size_t read(uint64_t offset, void* into, size_t size) = 0;
  virtual void write(uint64_t offset, std::string_view bytes) = 0;
  virtual void sync() = 0;
  // P11: what is read next comes from the disk. Only what was synced is dropped.
  virtual void drop_cache() = 0;
  virtual uint64_t size() = 0;

  // Reads on until everything asked for is there, or the file ends.
  size_t read_all(uint64_t offset, void* into, size_t size);
};

// Held, it keeps every other process out of a data directory.
class DirectoryHold {
 public:
  virtual ~DirectoryHold() = default;
};

// Every call throws StoreError that names the path.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // The operating system's; without any state.
  static FileSystem& real();

  // Under which name SQLite finds this file system; null: its default.
  virtual const char* sqlite_vfs() const = 0;
  // Creates the directory (0700) if it is missing. Throws kInUse with the holder's pid.
  virtual std::unique_ptr<DirectoryHold> hold(const std::string& dir) = 0;
  // To read and write; null: there is no such file.
  virtual std::unique_ptr<File> open(const std::string& path) = 0;
  // A new and empty one (0600); fails if there is one.
  virtual std::unique_ptr<File> create(const std::string& path) = 0;
  virtual bool exists(const std::string& path) = 0;
  virtual uint64_t bytes(const std::string& path) = 0;                // 0 if it isn't there
  virtual std::vector<std::string> list(const std::string& dir) = 0;  // names
  virtual void remove(const std::string& path) = 0;                   // if it is there
  virtual void rename(const std::string& from, const std::string& to) = 0;
  // Makes durable which files are in it.
  virtual void sync_directory(const std::string& dir) = 0;
};

// Throws the StoreError that belongs to this errno: "PATH: WHAT: reason; advice".
[[noreturn]] void fail_io(const std::string& path, const std::string& what, int error);

}  // namespace holdfast::store
