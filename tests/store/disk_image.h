// What lies on a disk, and what lies above it in a page cache, as values: cheap to copy, so that a
// test can keep one for every moment of a run.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lockcore/base/random.h"

namespace holdfast::store_test {

// The bytes of a file. Copies share their blocks until one writes.
class Content {
 public:
  uint64_t size() const { return size_; }
  size_t read(uint64_t offset, void* into, size_t size) const;  // returns how many there were
  void write(uint64_t offset, std::string_view bytes);
  void resize(uint64_t size);
  std::string all() const;

 private:
  static constexpr size_t kBlock = 4096;
  using Block = std::array<char, kBlock>;
  std::vector<std::shared_ptr<Block>> blocks_;  // null: zeros
  uint64_t size_ = 0;
};

// What the cache holds and the disk may not: a write, or a cut.
struct Pending {
  uint64_t offset = 0;
  std::shared_ptr<const std::string> bytes;  // null: the file was cut (or grown) to `offset`
  bool is_given_up = false;                  // a sync of it failed: no later one writes it
};

struct Inode {
  Content cache;    // what a process reads
  Content durable;  // what is on the disk for certain
  std::vector<Pending> pending;
};

// Which file a name means now, or no more.
struct NameChange {
  std::string removed;  // may be empty
  std::string made;     // may be empty
  size_t inode = 0;
};

// What of one file's unsynced writes is on the disk when the power fails.
enum class Keep {
  kNothing,
  kEverything,
  kSectors,  // each sector of 512 bytes of each write or not, at random: in no order, and torn
  kBlocks,   // the same with sectors of 4096 bytes
};

struct DiskImage {
  std::vector<Inode> inodes;  // none is ever taken out: open files go on
  std::map<std::string, size_t> names;
  std::map<std::string, size_t> durable_names;
  std::vector<NameChange> pending_names;  // made durable by a sync of the directory
  uint64_t boot = 1;                      // another one after each power failure

  void change_name(const NameChange& change);
  void sync_names();

  // After this the cache is what the disk has. New names are kept in their order up to some moment.
  void lose_power(const std::function<Keep(const std::string& path)>& keep_of,
                  base::Random& random);
  void lose_power(Keep keep, base::Random& random);
};

// P11: a cache from which clean pages are dropped shows what the disk has and what still waits.
void drop_clean(Inode& inode);
// Makes durable whatever no sync has given up.
void sync(Inode& inode);
// What a failed sync does.
void give_up(Inode& inode);

}  // namespace holdfast::store_test
