#include "tests/store/disk_image.h"

#include <algorithm>
#include <cstring>

namespace holdfast::store_test {
namespace {

bool is_blank(std::string_view bytes) {
  static const char kZeros[4096] = {};
  return std::memcmp(bytes.data(), kZeros, bytes.size()) == 0;
}

void apply(const Pending& pending, Content& content) {
  if (pending.bytes) {
    content.write(pending.offset, *pending.bytes);
  } else {
    content.resize(pending.offset);
  }
}

void apply_name(const NameChange& change, std::map<std::string, size_t>& names) {
  names.erase(change.removed);
  if (!change.made.empty()) names[change.made] = change.inode;
}

// Some sectors of a write, cut where the disk's own sectors end.
void apply_sectors(const Pending& pending, uint64_t sector, Content& content,
                   base::Random& random) {
  const std::string_view bytes = *pending.bytes;
  for (uint64_t at = 0; at < bytes.size();) {
    const uint64_t end = (pending.offset + at) / sector * sector + sector - pending.offset;
    const uint64_t size = std::min<uint64_t>(end, bytes.size()) - at;
    if (random.chance(0.5)) content.write(pending.offset + at, bytes.substr(at, size));
    at += size;
  }
}

// What the disk has of this file once the power is gone.
Content survivor_of(const Inode& inode, Keep keep, base::Random& random) {
  Content content = inode.durable;
  if (keep == Keep::kNothing) return content;
  const bool in_order = keep == Keep::kEverything;
  for (const Pending& pending : inode.pending) {
    if (pending.is_given_up) continue;
    if (in_order) {
      apply(pending, content);
    } else if (pending.bytes) {
      apply_sectors(pending, keep == Keep::kSectors ? 512 : 4096, content, random);
    } else if (random.chance(0.5)) {
      content.resize(pending.offset);
    }
  }
  // The size may be there before the bytes are: then these are zeros.
  const bool grows = !in_order && inode.cache.size() > content.size() && random.chance(0.5);
  if (grows) content.resize(inode.cache.size());
  return content;
}

}  // namespace

size_t Content::read(uint64_t offset, void* into, size_t size) const {
  if (offset >= size_) return 0;
  const size_t whole = static_cast<size_t>(std::min<uint64_t>(size, size_ - offset));
  char* out = static_cast<char*>(into);
  for (size_t left = whole; left > 0;) {
    const size_t at = offset % kBlock;
    const size_t n = std::min(left, kBlock - at);
    const auto& block = blocks_[offset / kBlock];
    if (block) {
      std::memcpy(out, block->data() + at, n);
    } else {
      std::memset(out, 0, n);
    }
    out += n;
    offset += n;
    left -= n;
  }
  return whole;
}

void Content::write(uint64_t offset, std::string_view bytes) {
  size_ = std::max(size_, offset + bytes.size());
  blocks_.resize((size_ + kBlock - 1) / kBlock);
  while (!bytes.empty()) {
    const size_t at = offset % kBlock;
    const size_t n = std::min(bytes.size(), kBlock - at);
    auto& block = blocks_[offset / kBlock];
    if (!block && is_blank(bytes.substr(0, n))) {
      // Nothing to keep: most of a preallocated WAL.
    } else if (!block) {
      block = std::make_shared<Block>(Block{});
    } else if (block.use_count() > 1) {
      block = std::make_shared<Block>(*block);
    }
    if (block) std::memcpy(block->data() + at, bytes.data(), n);
    bytes.remove_prefix(n);
    offset += n;
  }
}

void Content::resize(uint64_t size) {
  if (size < size_ && size % kBlock != 0) {
    // What lies behind the end of a file reads as zeros when it grows again.
    const std::string zeros(kBlock - size % kBlock, '\0');
    write(size, zeros);
  }
  size_ = size;
  blocks_.resize((size_ + kBlock - 1) / kBlock);
}

std::string Content::all() const {
  std::string bytes(size_, '\0');
  read(0, bytes.data(), bytes.size());
  return bytes;
}

void DiskImage::change_name(const NameChange& change) {
  apply_name(change, names);
  pending_names.push_back(change);
}

void DiskImage::sync_names() {
  durable_names = names;
  pending_names.clear();
}

void DiskImage::lose_power(const std::function<Keep(const std::string& path)>& keep_of,
                           base::Random& random) {
  ++boot;
  std::map<size_t, Keep> keeps;
  bool keeps_any = false;
  bool keeps_all = true;
  for (const auto& [path, inode] : names) {
    keeps[inode] = keep_of(path);
    keeps_any |= keeps[inode] != Keep::kNothing;
    keeps_all &= keeps[inode] == Keep::kEverything;
  }
  const size_t count = pending_names.size();
  const size_t kept = keeps_all ? count : keeps_any ? random.below(count + 1) : 0;
  for (size_t i = 0; i < kept; ++i) apply_name(pending_names[i], durable_names);
  names = durable_names;
  pending_names.clear();
  for (size_t i = 0; i < inodes.size(); ++i) {
    Inode& inode = inodes[i];
    inode.durable = survivor_of(inode, keeps.contains(i) ? keeps[i] : Keep::kNothing, random);
    inode.cache = inode.durable;
    inode.pending.clear();
  }
}

void DiskImage::lose_power(Keep keep, base::Random& random) {
  lose_power([keep](const std::string&) { return keep; }, random);
}

void sync(Inode& inode) {
  for (const Pending& pending : inode.pending) {
    if (!pending.is_given_up) apply(pending, inode.durable);
  }
  std::erase_if(inode.pending, [](const Pending& pending) { return !pending.is_given_up; });
}

void give_up(Inode& inode) {
  for (Pending& pending : inode.pending) pending.is_given_up = true;
}

void drop_clean(Inode& inode) {
  std::erase_if(inode.pending, [](const Pending& pending) { return pending.is_given_up; });
  inode.cache = inode.durable;
  for (const Pending& pending : inode.pending) apply(pending, inode.cache);
}

}  // namespace holdfast::store_test
