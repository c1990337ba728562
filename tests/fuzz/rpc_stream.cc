// Feeds: bytes as what arrives on one connection, in pieces, at a real rpc::Server with the
// daemon's services over a leading Node: a stranger's noise, a client's session or a peer's link,
// as the bytes have it. The last byte says how large the pieces are and whether answers are read.
// Checks: the node's invariants after each turn; that nothing but the connection ends; and that
// nothing is left of it, no connection and no waiting call.
#include <algorithm>

#include "tests/fuzz/rpc_cell.h"

namespace holdfast::fuzz {
namespace {

void run(std::string_view bytes) {
  // One for all inputs: nothing of an input stays in it.
  static auto* const loop = new rpc::EventLoop;
  RpcCell cell(*loop);
  const auto how = static_cast<uint8_t>(bytes.empty() ? 0 : bytes.back());
  bytes.remove_suffix(std::min<size_t>(bytes.size(), 1));
  const bool reads = how % 2 == 0;
  const size_t piece = how < 128 ? bytes.size() : size_t{how} - 127;
  bool open = true;
  for (int pieces = 0; open && !bytes.empty(); ++pieces) {
    const size_t size = pieces < 64 ? std::min(piece, bytes.size()) : bytes.size();
    open = cell.send(bytes.substr(0, size));
    bytes.remove_prefix(size);
    cell.turn();
    if (reads) cell.receive();
  }
  if (!cell.node().ended()) cell.node().pass_ms(60);
  cell.turn();
  cell.receive();
  cell.hang_up();
  HF_ASSERT(cell.connections() == 0);
  HF_ASSERT(cell.node().calls() == 0);
}

}  // namespace
}  // namespace holdfast::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::fuzz::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
