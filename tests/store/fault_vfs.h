// A FaultDisk as SQLite sees it: a VFS under a name of its own.
#pragma once

#include <sqlite3.h>

namespace holdfast::store_test {

class FaultDisk;

// Known to SQLite while it lives.
class RegisteredVfs {
 public:
  RegisteredVfs(FaultDisk& disk, const char* name);  // the name must outlive it
  ~RegisteredVfs();
  RegisteredVfs(const RegisteredVfs&) = delete;
  RegisteredVfs& operator=(const RegisteredVfs&) = delete;

 private:
  sqlite3_vfs vfs_{};
};

}  // namespace holdfast::store_test
