#include "lockcore/store/wal_mark.h"

#include <cstddef>
#include <filesystem>
#include <string_view>
#include <utility>

#include "lockcore/base/checksum.h"

namespace holdfast::store {
namespace {

// All of the file. Far less than a sector, so never torn.
struct Record {
  uint64_t salt = 0;
  uint64_t frames = 0;
  uint64_t sum = 0;  // 0 in a new file
};

uint64_t sum_of(const Record& record) {
  return base::checksum(&record, offsetof(Record, sum));
}

std::string_view bytes_of(const Record& record) {
  return {reinterpret_cast<const char*>(&record), sizeof record};
}

}  // namespace

WalMarkFile::WalMarkFile(FileSystem& files, std::string path)
    : files_(files), path_(std::move(path)), file_(files.open(path_)) {
  Record record;
  if (!file_ || file_->read_all(0, &record, sizeof record) != sizeof record) return;
  const bool is_new = record.salt == 0 && record.frames == 0 && record.sum == 0;
  if (is_new || sum_of(record) == record.sum) found_ = WalMark{record.salt, record.frames};
}

void WalMarkFile::put(WalMark mark) {
  if (!file_) make();
  Record record{mark.salt, mark.frames, 0};
  record.sum = sum_of(record);
  file_->write(0, bytes_of(record));
}

void WalMarkFile::make() {
  file_ = files_.create(path_);
  file_->write(0, bytes_of({}));
  file_->sync();
  files_.sync_directory(std::filesystem::path(path_).parent_path());
}

}  // namespace holdfast::store
