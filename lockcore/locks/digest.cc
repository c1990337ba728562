#include "lockcore/locks/digest.h"

#include <string_view>

#include "lockcore/base/checksum.h"

namespace holdfast::locks {
namespace {

// Gathers fields as bytes, each text with its length before it, and hashes them in pieces.
class Digest {
 public:
  explicit Digest(uint64_t start) : sum_(start) { bytes_.reserve(kPiece + 1024); }

  Digest& operator<<(uint64_t number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof(number));
    return *this;
  }
  template <class Tag>
  Digest& operator<<(base::Id<Tag> id) {
    return *this << id.value;
  }
  Digest& operator<<(std::string_view text) {
    *this << text.size();
    bytes_.append(text);
    if (bytes_.size() > kPiece) fold();
    return *this;
  }
  Digest& operator<<(const base::Owner& owner) {
    return *this << owner.host << owner.pid << owner.boot_id << owner.program << owner.user
                 << owner.reason << owner.version << owner.started_at_ms;
  }
  uint64_t finish() {
    fold();
    return sum_;
  }

 private:
  static constexpr size_t kPiece = 16 * 1024;

  void fold() {
    sum_ = base::checksum(bytes_, sum_);
    bytes_.clear();
  }

  uint64_t sum_;
  std::string bytes_;
};

void add_meta(Digest& d, const base::MetaRow& meta) {
  d << meta.applied << meta.revision << meta.cell_time_ms << meta.wall_ms << meta.config_version
    << meta.leader.round << meta.leader.node << meta.event_digest << meta.sequence_floor;
}

void add_leases(Digest& d, const base::StateRows& rows) {
  d << rows.leases.size();
  for (const base::LeaseRow& row : rows.leases) {
    d << row.id << row.client << row.ttl_ms << row.lock_delay_ms << row.secret << row.opened_wall_ms
      << *row.owner << row.left_ms << row.former << uint64_t{row.drop_on_disconnect};
  }
}

void add_claims(Digest& d, const base::StateRows& rows) {
  d << rows.locks.size();
  for (const base::LockRow& row : rows.locks) {
    d << row.name << row.revision << static_cast<uint64_t>(row.kind) << row.capacity
      << row.delay_until_ms << row.delay_blocks << row.delay_permits;
  }
  d << rows.holds.size();
  for (const base::HoldRow& row : rows.holds) {
    d << row.token << row.lock << row.lease << row.holder << row.agent
      << static_cast<uint64_t>(row.mode) << row.permits << row.acquired_wall_ms
      << row.acquired_cell_ms << row.number << row.reason << row.value;
  }
  d << rows.waiters.size();
  for (const base::WaiterRow& row : rows.waiters) {
    d << row.queued << row.lock << row.lease << row.holder << row.agent
      << static_cast<uint64_t>(row.mode) << row.permits << row.since_wall_ms << row.since_cell_ms
      << row.client << row.number << row.reason << row.converts << row.value;
  }
}

void add_clients(Digest& d, const base::StateRows& rows) {
  d << rows.clients.size();
  for (const base::ClientRow& row : rows.clients) {
    d << row.id << row.lowest_unanswered << row.last_use_cell_ms << row.ttl_ms << row.acked.size();
    for (const auto& [first, last] : row.acked) d << first << last;
  }
  d << rows.answers.size();
  for (const base::AnswerRow& row : rows.answers)
    d << row.key.client << row.key.number << row.answer;
}

void add_members(Digest& d, const base::Config& config) {
  d << config.version << config.members.size();
  for (const base::Member& member : config.members) {
    d << member.id << member.incarnation << member.address << uint64_t{member.voter};
  }
  d << config.removed.size();
  for (const base::NodeId removed : config.removed) d << removed;
}

void add_keys(Digest& d, const base::StateRows& rows) {
  d << rows.keys.size();
  for (const base::KeyRow& row : rows.keys) {
    d << row.key << row.value << row.create << row.revision << row.version << row.lease;
  }
  d << rows.sequences.size();
  for (const base::SequenceRow& row : rows.sequences) d << row.prefix << row.last << row.revision;
}

void add_policies(Digest& d, const base::StateRows& rows) {
  d << rows.policies.size();
  for (const base::PolicyRow& row : rows.policies) {
    d << static_cast<uint64_t>(row.key.kind) << row.key.name << row.limits.leases
      << row.limits.locks << row.limits.waiters << row.limits.bytes << row.reason << row.by
      << row.since_wall_ms;
  }
}

}  // namespace

uint64_t chain_event(uint64_t digest, const base::EventRow& event) {
  // Every event pays for this: a few hashes, no allocation.
  const uint64_t fields[] = {event.revision.value,
                             static_cast<uint64_t>(event.type),
                             event.token.value,
                             event.lease.value,
                             event.at_wall_ms,
                             event.at_cell_ms,
                             static_cast<uint64_t>(event.mode),
                             event.permits,
                             event.waited_ms,
                             event.held_ms,
                             base::checksum(std::string_view(event.cause)),
                             event.note.empty() ? 0 : base::checksum(event.note),
                             event.value.empty() ? 0 : base::checksum(event.value)};
  return base::checksum(fields, sizeof(fields), base::checksum(event.name, digest));
}

uint64_t digest_of(const base::StateRows& rows) {
  Digest d(0);
  add_meta(d, rows.meta);
  add_leases(d, rows);
  add_claims(d, rows);
  add_clients(d, rows);
  add_members(d, rows.config);
  add_keys(d, rows);
  add_policies(d, rows);
  return d.finish();
}

}  // namespace holdfast::locks
