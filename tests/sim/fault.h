// A fault, as plain data: drawn before the run, printed, read back, dropped to see if it matters.
//
// As text: KIND@AT+FOR:WHO>WHOM=HOW, for example "partition@5200+900:1>2.3", "crash@7100+300:L" or
// "late@3000+27000=20". AT and FOR are true time in ms. WHO and WHOM are nodes, or clients (those
// of the kinds that begin with "client-"), with dots between them; L is whoever leads when the
// fault comes, * is everybody. What isn't needed is left out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::sim {

enum class FaultKind : uint8_t {
  kCrash,        // the process dies; it starts again after FOR
  kCrashWithin,  // the same in the middle of a turn's effects, after HOW of them
  kStorm,        // crashes and starts again and again, every HOW ms
  kPause,        // the process stands still; its sockets and its clock don't
  kSuspend,      // the machine sleeps: what is sent to it is lost, its clock counts on
  kFreeze,       // a hypervisor stops it: its clock stands still as well
  kRate,         // its clock runs at HOW thousandths of its rate
  kWall,         // its wall clock jumps by HOW ms
  kPartition,    // WHO and WHOM don't hear each other
  kDeaf,         // WHO's messages don't reach WHOM
  kLarge,        // of WHO's messages to WHOM those above HOW bytes are lost
  kCut,          // the connections between WHO and WHOM break; HOW=1: in the middle
  kLoss,         // HOW of a thousand messages are lost
  kTwice,        // HOW of a thousand come twice
  kLate,         // HOW of a thousand take up to options.late_ms
  kStall,        // the disk does nothing
  kSlow,         // each operation of the disk takes HOW ms longer
  kFull,         // each write fails, and so ends the process; no start before that is over
  kWipe,         // the process dies and finds an empty disk
  kPutBack,      // after FOR its directory is put back as it is now
  // Bits flip in WHO's log; HOW=1: in its state; HOW=2: all rows of the log are lost. The process
  // dies first, and starts after FOR.
  kRot,
  kRotAlive,  // bits flip in its log while it runs
  // What an operator does, asking again for FOR until it is so.
  kTransfer,  // the leader hands over to WHO; *: to whomever it wants
  kAdd,       // WHO joins as a learner and is promoted
  kRemove,    // WHO is removed
  kMove,      // WHO gets another address
  kRefuse,    // HOW of a thousand requests of programs are refused: a limit is reached
  kClientPause,
  kClientFreeze,
  kClientRate,
  kClientLost,  // client WHO and node WHOM don't hear each other
  kClientDeaf,  // WHO doesn't hear WHOM
  // Of programs that use the library alone.
  kClientCut,   // the connections of WHO with WHOM break; HOW=1: noticed seconds later
  kClientKill,  // the process dies and comes back as another after FOR; HOW=1: without a word
};

// A set of nodes or clients, one bit each: node 1 is bit 1, client 0 is bit 0.
using Targets = uint64_t;
constexpr Targets kLeader = uint64_t{1} << 63;
constexpr Targets kEverybody = ~uint64_t{0};

struct Fault {
  FaultKind kind = FaultKind::kCrash;
  int64_t at_ms = 0;
  int64_t for_ms = 0;
  Targets who = 0;
  Targets whom = 0;
  int64_t how = 0;

  bool operator==(const Fault&) const = default;
};
using Faults = std::vector<Fault>;

std::string text_of(const Fault& fault);
std::string text_of(const Faults& faults);  // with spaces between them
// For people: "  5.200 s  node 1 and nodes 2, 3 don't hear each other, for 0.9 s".
std::string tell(const Fault& fault);
// nullopt: not a list of faults; `why` says at what.
std::optional<Faults> read_faults(std::string_view text, std::string& why);

}  // namespace holdfast::sim
