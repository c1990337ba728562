// What the lock table should do, written as simply as it can be: lists, scans, no indexes. Outcomes
// are texts. Knows no limits.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "lockcore/locks/command.h"

namespace holdfast::locks {

class SimpleModel {
 public:
  std::vector<std::string> replies;  // of the slot at hand

  void apply(uint64_t cell_time_ms, const Command& command) {
    now_ = std::max(now_, cell_time_ms);
    const OpId& op = command.op;
    if (!op.client) return apply_unnumbered(command);
    auto client = clients_.find(op.client.value);
    if (client == clients_.end()) return reply(op, "error unavailable");
    use(op.client.value);
    acknowledge(op);
    auto& ops = client->second.ops;
    if (is_settled(client->second, op.number)) return reply(op, "error cancelled");
    if (const auto known = ops.find(op.number); known != ops.end()) {
      if (known->second != "pending") reply(op, known->second);
      return;
    }
    const std::string outcome =
        std::visit([&](const auto& body) { return execute(op, body); }, command.body);
    if (outcome != "pending") reply(op, outcome);
    if (!std::holds_alternative<ForgetClient>(command.body)) ops[op.number] = outcome;
    serve();
  }

  uint64_t revision() const { return revision_; }

  // What a copy of this operation would be told now; empty: it would act.
  std::string told_again(base::ClientId id, uint64_t number) const {
    const auto client = clients_.find(id.value);
    if (client == clients_.end()) return "";
    if (is_settled(client->second, number)) return "error cancelled";
    const auto known = client->second.ops.find(number);
    return known == client->second.ops.end() ? "" : known->second;
  }

  // Who holds and waits, in a form that can be compared: by lock, then as granted or queued.
  struct ClaimText {
    std::string lock;
    uint64_t lease, holder, token;  // token 0: waits
    auto operator<=>(const ClaimText&) const = default;
  };
  static std::string text_of(uint64_t revision, std::vector<ClaimText> claims) {
    std::sort(claims.begin(), claims.end());
    std::string text = "revision " + std::to_string(revision);
    for (const ClaimText& claim : claims) {
      text += "; " + claim.lock + (claim.token == 0 ? " awaited by " : " held by ") +
              std::to_string(claim.lease) + "/" + std::to_string(claim.holder);
      if (claim.token != 0) text += " with " + std::to_string(claim.token);
    }
    return text;
  }
  std::string claims_text() const {
    std::vector<ClaimText> claims;
    for (const Claim& c : claims_) claims.push_back({c.lock, c.lease, c.holder, c.token});
    return text_of(revision_, std::move(claims));
  }

  static std::string text_of(const Answer& answer) {
    struct Text {
      std::string operator()(const ClientRegistered& a) { return number("client", a.client.value); }
      std::string operator()(const LeaseOpened& a) { return number("lease", a.lease.value); }
      std::string operator()(const Granted& a) { return number("token", a.tokens.at(0).value); }
      std::string operator()(const Done& a) { return number("done", a.revision.value); }
      std::string operator()(const WaitCancelled&) { return "waitCancelled"; }
      std::string operator()(const base::Error& a) {
        return "error " + std::string(base::error_code_name(a.code));
      }
    };
    return std::visit(Text(), answer);
  }
  static std::string reply_text(base::ClientId client, uint64_t number, const std::string& text) {
    return std::to_string(client.value) + "#" + std::to_string(number) + " " + text;
  }

 private:
  struct Claim {
    std::string lock;
    uint64_t lease, holder, agent;
    base::Mode mode;
    uint64_t token;  // 0: waits
    uint64_t client, number;
  };
  struct ClientState {
    uint64_t ttl = 0, last_use = 0, lowest = 1;
    std::set<uint64_t> acked;
    std::map<uint64_t, std::string> ops;
  };

  static std::string number(const char* what, uint64_t value) {
    return std::string(what) + " " + std::to_string(value);
  }
  static bool is_settled(const ClientState& client, uint64_t number) {
    return number < client.lowest || client.acked.contains(number);
  }
  void reply(const OpId& op, const std::string& text) {
    replies.push_back(reply_text(op.client, op.number, text));
  }

  // A client that is heard of, or whose lease or wait ends; noted in steps.
  void use(uint64_t id) {
    const auto client = clients_.find(id);
    if (client == clients_.end()) return;
    if (now_ - client->second.last_use > client->second.ttl / 64) client->second.last_use = now_;
  }

  void acknowledge(const OpId& op) {
    ClientState& client = clients_.at(op.client.value);
    client.lowest = std::max(client.lowest, op.lowest_unanswered);
    client.acked.insert(op.answered.begin(), op.answered.end());
    std::vector<uint64_t> gone;
    for (const auto& [number, outcome] : client.ops) {
      if (is_settled(client, number)) gone.push_back(number);
    }
    for (uint64_t number : gone) {
      if (client.ops.at(number) == "pending") {
        replies.push_back(reply_text(op.client, number, "error cancelled"));
        drop_wait(op.client.value, number);
      }
      client.ops.erase(number);
    }
    serve();
  }

  void apply_unnumbered(const Command& command) {
    if (const auto* body = std::get_if<RegisterClient>(&command.body)) {
      drop_idle();
      clients_[++revision_] = {body->ttl_ms == 0 ? 3'600'000 : body->ttl_ms, now_};
      reply(command.op, number("client", revision_));
    } else if (const auto* leader = std::get_if<NewLeader>(&command.body)) {
      leader_ = leader->ballot;
    } else if (const auto& expire = std::get<ExpireLeases>(command.body);
               expire.decided == leader_) {
      std::vector<uint64_t> ending;
      for (base::LeaseId id : expire.leases) {
        const bool twice = std::find(ending.begin(), ending.end(), id.value) != ending.end();
        if (leases_.contains(id.value) && !twice) ending.push_back(id.value);
      }
      end_leases(ending);
      serve();
    }
  }

  void drop_idle() {
    for (int i = 0; i < 4; ++i) {
      auto oldest = clients_.end();
      for (auto c = clients_.begin(); c != clients_.end(); ++c) {
        const auto end_of = [](const auto& x) { return x->second.last_use + x->second.ttl; };
        if (oldest == clients_.end() || end_of(c) < end_of(oldest)) oldest = c;
      }
      if (oldest == clients_.end()) return;
      if (oldest->second.last_use + oldest->second.ttl >= now_) return;
      bool in_use = false;
      for (const auto& [lease, opener] : leases_) in_use |= opener == oldest->first;
      for (const Claim& c : claims_) in_use |= c.token == 0 && c.client == oldest->first;
      if (in_use) oldest->second.last_use = now_;
      if (!in_use) clients_.erase(oldest);
    }
  }

  std::string execute(const OpId& op, const OpenLease&) {
    leases_[++revision_] = op.client.value;
    return number("lease", revision_);
  }
  std::string execute(const OpId&, const CloseLease& body) {
    if (!leases_.contains(body.lease.value)) return "error leaseNotFound";
    const std::string outcome = number("done", revision_ + 1);
    end_leases({body.lease.value});
    return outcome;
  }
  std::string execute(const OpId& op, const Acquire& body) {
    const LockRequest& request = body.locks.at(0);
    if (!leases_.contains(body.lease.value)) return "error leaseNotFound";
    bool conflict = false, own = false;
    for (const Claim& c : claims_) {
      if (c.lock != request.name) continue;
      if (c.lease == body.lease.value && c.holder == body.holder.value) {
        return "error invalidArgument";
      }
      const bool conflicts =
          c.mode == base::Mode::kExclusive || request.mode == base::Mode::kExclusive;
      conflict |= conflicts;
      own |= conflicts && c.token != 0 && c.lease == body.lease.value && body.agent &&
             c.agent == body.agent.value;
    }
    if (conflict && !body.wait) return "error wouldBlock";
    if (own) return "error deadlock";
    ++revision_;
    claims_.push_back({request.name, body.lease.value, body.holder.value, body.agent.value,
                       request.mode, conflict ? 0 : revision_, op.client.value, op.number});
    return conflict ? "pending" : number("token", revision_);
  }
  std::string execute(const OpId&, const Release& body) {
    if (!leases_.contains(body.lease.value)) return "error leaseNotFound";
    const size_t dropped = drop_claims([&](const Claim& c) {
      return c.token == body.token.value && c.lease == body.lease.value && c.lock == body.lock;
    });
    return dropped == 0 ? "error notHeld" : number("done", revision_);
  }
  std::string execute(const OpId& op, const CancelWait& body) {
    ClientState& client = clients_.at(op.client.value);
    if (body.target >= op.number) return "error invalidArgument";
    if (is_settled(client, body.target)) return "waitCancelled";
    std::string& outcome = client.ops[body.target];
    if (!outcome.empty() && outcome != "pending") {
      return outcome.starts_with("error") ? "waitCancelled" : outcome;
    }
    if (outcome == "pending") {
      drop_wait(op.client.value, body.target);
      replies.push_back(reply_text(op.client, body.target, "error cancelled"));
    }
    outcome = "error cancelled";
    return "waitCancelled";
  }
  std::string execute(const OpId& op, const ForgetClient&) {
    for (const auto& [number, outcome] : clients_.at(op.client.value).ops) {
      if (outcome != "pending") continue;
      replies.push_back(reply_text(op.client, number, "error cancelled"));
      drop_wait(op.client.value, number);
    }
    clients_.erase(op.client.value);
    return number("done", revision_);
  }
  template <class Other>
  std::string execute(const OpId&, const Other&) {
    return "";
  }

  // Each that goes takes a revision, holds in grant order, waits in queue order.
  template <class Which>
  size_t drop_claims(Which which) {
    std::vector<std::pair<uint64_t, std::string>> going;
    for (const Claim& c : claims_) {
      if (which(c)) going.emplace_back(c.token, c.lock);
    }
    std::stable_sort(going.begin(), going.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [token, lock] : going) freed_.push_back(lock);
    revision_ += going.size();
    std::erase_if(claims_, which);
    return going.size();
  }
  void drop_wait(uint64_t client, uint64_t number) {
    drop_claims(
        [&](const Claim& c) { return c.token == 0 && c.client == client && c.number == number; });
  }

  void end_leases(const std::vector<uint64_t>& ending) {
    for (uint64_t lease : ending) {
      ++revision_;
      for (const Claim& c : claims_) {
        if (c.lease != lease || c.token != 0) continue;
        clients_.at(c.client).ops[c.number] = "error leaseNotFound";
        use(c.client);
        replies.push_back(reply_text(base::ClientId{c.client}, c.number, "error leaseNotFound"));
      }
      drop_claims([&](const Claim& c) { return c.lease == lease && c.token == 0; });
    }
    for (uint64_t lease : ending) {
      drop_claims([&](const Claim& c) { return c.lease == lease; });
      use(leases_.at(lease));
      leases_.erase(lease);
    }
  }

  // Grants whatever conflicts with nobody who holds or waits before it, of the locks that lost a
  // claim, in the order in which they did.
  void serve() {
    for (const std::string& lock : freed_) {
      for (size_t i = 0; i < claims_.size(); ++i) {
        if (claims_[i].lock == lock && claims_[i].token == 0 && !is_blocked(i)) grant(claims_[i]);
      }
    }
    freed_.clear();
  }
  bool is_blocked(size_t waiter) const {
    for (size_t i = 0; i < claims_.size(); ++i) {
      const Claim& other = claims_[i];
      if (other.lock != claims_[waiter].lock || i == waiter) continue;
      if (other.token == 0 && i > waiter) continue;
      if (other.mode == base::Mode::kExclusive) return true;
      if (claims_[waiter].mode == base::Mode::kExclusive) return true;
    }
    return false;
  }
  void grant(Claim& waiter) {
    waiter.token = ++revision_;
    const std::string outcome = number("token", waiter.token);
    clients_.at(waiter.client).ops[waiter.number] = outcome;
    use(waiter.client);
    replies.push_back(reply_text(base::ClientId{waiter.client}, waiter.number, outcome));
  }

  uint64_t revision_ = 0, now_ = 0;
  base::Ballot leader_;
  std::map<uint64_t, ClientState> clients_;
  std::map<uint64_t, uint64_t> leases_;  // lease -> who opened it
  std::vector<Claim> claims_;            // in the order in which they were made
  std::vector<std::string> freed_;       // locks that lost a claim, not served yet
};

}  // namespace holdfast::locks
