// With what holdfastd ends. The numbers are sysexits.h's, and lockctl's (INTERFACES 3).
#pragma once

namespace holdfast::daemon {

constexpr int kExitDone = 0;
constexpr int kExitUsage = 2;
constexpr int kExitBug = 70;
constexpr int kExitIo = 74;      // the disk, a socket: the machine's
constexpr int kExitConfig = 78;  // the configuration, or a data directory that may not be used

}  // namespace holdfast::daemon
