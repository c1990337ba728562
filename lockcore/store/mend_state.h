// Going on without a state.db that is damaged (P11): it is only derived, and other nodes have it.
#pragma once

#include <memory>
#include <string>

#include "lockcore/store/log_db.h"
#include "lockcore/store/state_db.h"

namespace holdfast::store {

// What is kept of a damaged state file, for people: it is never read again, and the next takes its
// place.
inline constexpr const char* kDamagedStateFile = "state.damaged";

// Makes an empty state database, lets log.db name it the current one, and puts the damaged one
// aside. Both are done or not done. `log` must tell of what is missing now, see LogDb::recover().
std::unique_ptr<StateDb> begin_state_anew(const std::string& dir, LogDb& log,
                                          FileSystem& files = FileSystem::real());

}  // namespace holdfast::store
