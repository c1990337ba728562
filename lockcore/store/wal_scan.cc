// The format (sqlite.org/fileformat2.html, section 4), all numbers big-endian:
//   header, 32 bytes: magic, version, page size, checkpoint number, salt (8), checksum (8)
//   frames: page number, size of the database in pages if this frame commits else 0, salt (8),
//           checksum (8), the page
// Checksums are cumulative: each frame's starts from the one before it. A reset WAL gets a new salt
// and is overwritten from the start, so frames with the header's salt belong to this life of it.
//
// The validity rule. With synchronous=FULL a transaction is synced before the next one begins. So
// only the last one may be torn. If at or behind the first bad frame there is a commit frame that
// another frame of this life demonstrably follows (its checksum starts from the commit frame's),
// then the commit was durable once, and what is bad is not a torn end.
//
// A bad frame is not always believed to commit. Disks write sectors whole, but frames lie across
// them: where a boundary cuts a frame's header, a torn frame may have kept its first half, with the
// size that makes a commit, from a frame that lay there before, while its checksum and the frames
// behind it are new.
//
// What can't be told apart by that: damage to the very last transaction from a torn one; nor, in
// the last but one, to a commit frame whose header is cut, or to that size itself. Where the mark
// (wal_mark.h) reaches, it tells.
#include "lockcore/store/wal_scan.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace holdfast::store {
namespace {

constexpr size_t kHeaderBytes = 32;
constexpr size_t kFrameHeaderBytes = 24;
constexpr uint32_t kMagic = 0x377f0682;  // the lowest bit says in which byte order sums are taken
constexpr size_t kFramesPerRead = 64;
constexpr uint64_t kSectorBytes = 512;  // the least that a disk writes whole

uint32_t big_endian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

uint32_t little_endian(const uint8_t* bytes) {
  return uint32_t{bytes[3]} << 24 | uint32_t{bytes[2]} << 16 | uint32_t{bytes[1]} << 8 | bytes[0];
}

struct Sum {
  uint32_t a = 0;
  uint32_t b = 0;
  bool operator==(const Sum&) const = default;
};

Sum add(Sum sum, const uint8_t* bytes, size_t size, bool is_big_endian) {
  for (size_t i = 0; i < size; i += 8) {
    sum.a += (is_big_endian ? big_endian(bytes + i) : little_endian(bytes + i)) + sum.b;
    sum.b += (is_big_endian ? big_endian(bytes + i + 4) : little_endian(bytes + i + 4)) + sum.a;
  }
  return sum;
}

struct Header {
  bool sums_are_big_endian = false;
  size_t page_bytes = 0;
  uint8_t salt[8] = {};
  Sum sum;
};

std::optional<Header> parse_header(const uint8_t* bytes) {
  Header header;
  const uint32_t magic = big_endian(bytes);
  if ((magic & ~1u) != kMagic) return std::nullopt;
  header.sums_are_big_endian = (magic & 1u) != 0;
  header.page_bytes = big_endian(bytes + 8);
  const bool is_power_of_two = (header.page_bytes & (header.page_bytes - 1)) == 0;
  if (header.page_bytes < 512 || header.page_bytes > 65536 || !is_power_of_two) return std::nullopt;
  std::memcpy(header.salt, bytes + 16, sizeof header.salt);
  header.sum = add({}, bytes, 24, header.sums_are_big_endian);
  if (header.sum != Sum{big_endian(bytes + 24), big_endian(bytes + 28)}) return std::nullopt;
  return header;
}

// Walks the frames in order and keeps what the rule above needs.
class FrameWalk {
 public:
  explicit FrameWalk(const Header& header)
      : header_(header), stored_(header.sum), computed_(header.sum) {}

  // Returns whether the rule is broken: nothing more needs to be read.
  bool next(const uint8_t* frame) {
    ++index_;
    const Sum stored{big_endian(frame + 16), big_endian(frame + 20)};
    const bool has_salt = std::memcmp(frame + 8, header_.salt, sizeof header_.salt) == 0;
    // Most of the file, usually: what is left of its former life, or never was written.
    if (!has_salt && first_bad_ != 0) return forget(stored);

    const Sum computed = sum_after(stored_, frame);
    // Either sum of a bad frame may be what the next one starts from: the flipped bit may lie in
    // the stored one. A frame of a former life follows neither, whatever its salt.
    const bool follows =
        computed == stored || (computed_ != stored_ && sum_after(computed_, frame) == stored);
    const bool is_bad = !follows || !has_salt;
    if (is_bad && first_bad_ == 0) first_bad_ = index_;
    if (!is_bad && after_lost_commit_) return true;
    if (has_salt) last_live_ = index_;
    const bool is_commit = big_endian(frame + 4) != 0;
    if (first_bad_ == 0 && is_commit) last_commit_ = index_;
    after_lost_commit_ =
        first_bad_ != 0 && is_commit && (follows || (has_salt && !header_is_cut()));
    stored_ = stored;
    computed_ = computed;
    return false;
  }
  uint64_t first_bad() const { return first_bad_; }
  // The end of what SQLite's recovery finds.
  uint64_t last_commit() const { return last_commit_; }
  // The first frame of this life behind that; 0: there is none.
  uint64_t torn_frame() const { return last_live_ > last_commit_ ? last_commit_ + 1 : 0; }

 private:
  Sum sum_after(Sum before, const uint8_t* frame) const {
    const Sum head = add(before, frame, 8, header_.sums_are_big_endian);
    return add(head, frame + kFrameHeaderBytes, header_.page_bytes, header_.sums_are_big_endian);
  }

  // A frame of which nothing follows.
  bool forget(Sum stored) {
    stored_ = computed_ = stored;
    after_lost_commit_ = false;
    return false;
  }

  // Whether the header of the frame at hand lies in two sectors.
  bool header_is_cut() const {
    const uint64_t at = kHeaderBytes + (index_ - 1) * (kFrameHeaderBytes + header_.page_bytes);
    return at / kSectorBytes != (at + kFrameHeaderBytes - 1) / kSectorBytes;
  }

  const Header header_;
  // Of the frame before: what it says, and what it comes to.
  Sum stored_;
  Sum computed_;
  uint64_t index_ = 0;
  uint64_t first_bad_ = 0;          // 0: none yet
  uint64_t last_commit_ = 0;        // of a frame before that
  uint64_t last_live_ = 0;          // with this life's salt, readable or not
  bool after_lost_commit_ = false;  // the frame before is a commit that recovery won't reach
};

// The header is one sector, written and synced before any frame: it is never torn. Without it
// SQLite takes the whole file for empty; that is right only if nothing was written behind it.
WalScan check_headerless(File& file) {
  std::vector<uint8_t> buffer(1 << 16);
  for (uint64_t offset = kHeaderBytes;; offset += buffer.size()) {
    const size_t n = file.read_all(offset, buffer.data(), buffer.size());
    if (std::any_of(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(n),
                    [](uint8_t byte) { return byte != 0; })) {
      return {WalDamage{0, "its header is unreadable, with transactions behind it"}};
    }
    if (n < buffer.size()) return {};
  }
}

uint64_t salt_of(const Header& header) {
  uint64_t salt = 0;
  std::memcpy(&salt, header.salt, sizeof salt);
  return salt;
}

std::optional<Header> read_header(File& file) {
  uint8_t bytes[kHeaderBytes] = {};
  file.read_all(0, bytes, sizeof bytes);
  return parse_header(bytes);
}

WalDamage damage_at(uint64_t frame, const char* what) {
  return {frame, "frame " + std::to_string(frame) + " is unreadable, " + what};
}

}  // namespace

uint64_t wal_salt(File& file) {
  const std::optional<Header> header = read_header(file);
  return header ? salt_of(*header) : 0;
}

WalScan scan_wal(File& file, const WalMark& written) {
  if (file.size() <= kHeaderBytes) return {};
  const std::optional<Header> header = read_header(file);
  if (!header) return check_headerless(file);

  const size_t frame_bytes = kFrameHeaderBytes + header->page_bytes;
  std::vector<uint8_t> buffer(frame_bytes * kFramesPerRead);
  FrameWalk walk(*header);
  for (uint64_t offset = kHeaderBytes;; offset += buffer.size()) {
    const size_t n = file.read_all(offset, buffer.data(), buffer.size());
    for (size_t at = 0; at + frame_bytes <= n; at += frame_bytes) {
      if (!walk.next(buffer.data() + at)) continue;
      return {damage_at(walk.first_bad(), "with transactions behind it")};
    }
    if (n < buffer.size()) break;
  }
  WalScan scan{{}, walk.torn_frame()};
  if (salt_of(*header) == written.salt && walk.last_commit() < written.frames) {
    const uint64_t first = std::max(walk.first_bad(), walk.last_commit() + 1);
    scan.damage = damage_at(first, "though its transaction was written and synced");
  }
  return scan;
}

}  // namespace holdfast::store
