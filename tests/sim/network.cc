#include "tests/sim/network.h"

namespace holdfast::sim {
namespace {

size_t bytes_of(const std::vector<base::Entry>& entries) {
  size_t bytes = 0;
  for (const base::Entry& entry : entries) bytes += entry.bytes();
  return bytes;
}

// About as long as on the wire: what counts is whether entries are in it.
size_t bytes_of(const paxos::Message& message) {
  constexpr size_t kHead = 40;
  if (const auto* accept = std::get_if<paxos::Accept>(&message)) {
    return kHead + bytes_of(accept->entries);
  }
  if (const auto* promise = std::get_if<paxos::Promise>(&message)) {
    return kHead + bytes_of(promise->entries);
  }
  if (const auto* fetched = std::get_if<paxos::FetchReply>(&message)) {
    return kHead + bytes_of(fetched->entries);
  }
  if (const auto* reply = std::get_if<paxos::SnapshotReply>(&message)) {
    return kHead + (reply->part.bytes ? reply->part.bytes->size() : 0);
  }
  return kHead;
}

}  // namespace

Network::Network(const World& world, const Options& options)
    : options_(options), random_(world.stream("network")) {}

std::optional<int64_t> Network::delay() {
  if (random_.chance(loss_)) return std::nullopt;
  if (random_.chance(late_)) {
    return static_cast<int64_t>(random_.below(static_cast<uint64_t>(options_.late_ms))) * kMs;
  }
  return static_cast<int64_t>(random_.between(static_cast<uint64_t>(options_.min_delay_us),
                                              static_cast<uint64_t>(options_.max_delay_us))) *
         kUs;
}

bool Network::reaches(base::NodeId from, base::NodeId to) const {
  return links_[from.value][to.value] <= 0;
}

bool Network::reaches(base::NodeId from, base::NodeId to, const paxos::Message& message) const {
  if (!reaches(from, to)) return false;
  const size_t limit = limits_[from.value][to.value];
  return limit == 0 || bytes_of(message) <= limit;
}

bool Network::client_reaches(uint32_t client, base::NodeId node) const {
  return clients_[client][node.value] <= 0;
}

bool Network::client_hears(uint32_t client, base::NodeId node) const {
  return client_reaches(client, node) && deaf_clients_[client][node.value] <= 0;
}

void Network::limit(base::NodeId from, base::NodeId to, size_t bytes, bool on) {
  limits_[from.value][to.value] = on ? bytes : 0;
}

void Network::heal() {
  loss_ = duplication_ = late_ = refusal_ = 0;
  links_ = {};
  clients_ = deaf_clients_ = {};
  limits_ = {};
}

}  // namespace holdfast::sim
