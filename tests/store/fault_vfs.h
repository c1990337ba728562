// A disk of the tests' own under SQLite: fails the n-th operation, tears writes, loses on power
// failure what was not synced (DESIGN 11). Wraps the default VFS and takes its place while it
// lives.
#pragma once

#include <cstdint>
#include <memory>

#include "lockcore/base/random.h"

namespace holdfast::store_test {

class FaultVfs {
 public:
  enum class Fault {
    kOnce,     // the operation fails, later ones succeed. What a failed sync left out stays out,
               // though a second one says yes
    kForever,  // it and all later ones fail
    kTorn,     // half of what a write should write is written, in whole sectors; then as kForever
  };

  FaultVfs();
  ~FaultVfs();

  // Counts operations from now on (open, read, write, sync, truncate, delete, access, mapping the
  // WAL's index); the `n`-th fails.
  void fail_at(uint64_t n, Fault fault);
  void fail_never();
  bool has_failed() const;

  // Takes back writes that were not synced: all of them, or each with a chance of one half, since a
  // page cache writes in any order. Call it with all databases closed.
  void lose_power();
  void lose_power_in_disorder(base::Random& random);
  // Forgets them instead: what was written stays.
  void keep_power();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::store_test
