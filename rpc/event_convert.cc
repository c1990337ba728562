#include "rpc/event_convert.h"

#include "rpc/convert.h"

namespace holdfast::rpc {
namespace {

static_assert(static_cast<uint16_t>(wire::EventType::POLICY) ==
              static_cast<uint16_t>(base::kLastEventType));

capnp::Text::Reader text(const std::string& from) {
  return {from.data(), from.size()};
}
capnp::Data::Reader bytes(const std::string& from) {
  return {reinterpret_cast<const kj::byte*>(from.data()), from.size()};
}

}  // namespace

void fill_event(const base::EventRow& event, wire::Event::Builder to) {
  to.setRevision(event.revision.value);
  to.setType(static_cast<wire::EventType>(event.type));
  if (!event.name.empty()) to.setName(text(event.name));
  to.setToken(event.token.value);
  to.setLease(event.lease.value);
  if (event.owner) fill_owner(*event.owner, to.initOwner());
  to.setCause(event.cause);
  to.setAtMs(event.at_wall_ms);
  to.setMode(wire_mode(event.mode));
  to.setPermits(event.permits);
  to.setWaitedMs(event.waited_ms);
  to.setHeldMs(event.held_ms);
  if (!event.note.empty()) to.setNote(text(event.note));
  if (!event.value.empty()) to.setValue(bytes(event.value));
}

size_t wire_bytes(const base::EventRow& event) {
  constexpr size_t kStructs = 256;  // of the event and its owner, cause and paddings included
  size_t size = kStructs + event.name.size() + event.note.size() + event.value.size();
  if (event.owner) {
    const base::Owner& owner = *event.owner;
    size += owner.host.size() + owner.boot_id.size() + owner.program.size() + owner.user.size() +
            owner.reason.size() + owner.version.size();
  }
  return size;
}

}  // namespace holdfast::rpc
