// What the lock table should do, written as simply as it can be: lists, scans, no indexes. Outcomes
// are texts. Knows no limits.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lockcore/locks/command.h"

namespace holdfast::locks {

class SimpleModel {
 public:
  std::vector<std::string> replies;  // of the slot at hand

  void apply(uint64_t cell_time_ms, const Command& command) {
    pass(cell_time_ms);
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

  // Cell time moves on: delays end.
  void pass(uint64_t cell_time_ms) {
    now_ = std::max(now_, cell_time_ms);
    std::vector<std::pair<uint64_t, std::string>> over;
    for (const auto& [lock, delay] : delays_) {
      if (delay.until <= now_) over.emplace_back(delay.until, lock);
    }
    std::sort(over.begin(), over.end());
    for (const auto& [until, lock] : over) {
      delays_.erase(lock);
      free_up(lock);
    }
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

  // Does it hold or wait for anything?
  bool has_claim(base::LeaseId lease, base::HolderId holder) const {
    return std::any_of(claims_.begin(), claims_.end(), [&](const Claim& c) {
      return c.lease == lease.value && c.holder == holder.value;
    });
  }
  std::vector<base::Token> tokens_of(base::LeaseId lease, base::AgentId agent) const {
    std::vector<base::Token> tokens;
    for (const Claim& c : claims_) {
      const bool its = c.lease == lease.value && c.agent == agent.value;
      if (its && c.token != 0) tokens.push_back(base::Token{c.token});
    }
    return tokens;
  }
  bool is_held(const std::string& lock, base::Token token) const {
    return std::any_of(claims_.begin(), claims_.end(), [&](const Claim& c) {
      return c.token != 0 && c.token == token.value && c.lock == lock;
    });
  }

  // Who holds and waits, and the keys, in a form that can be compared: by lock, then as granted or
  // queued.
  struct ClaimText {
    std::string lock;
    uint64_t lease, holder, token;  // token 0: waits
    base::Mode mode;
    uint64_t permits;
    auto operator<=>(const ClaimText&) const = default;
  };
  static std::string text_of(uint64_t revision, std::vector<ClaimText> claims,
                             const std::vector<base::KeyRow>& keys) {
    std::sort(claims.begin(), claims.end());
    std::string text = "revision " + std::to_string(revision);
    for (const ClaimText& claim : claims) {
      text += "; " + claim.lock + (claim.token == 0 ? " awaited by " : " held by ") +
              std::to_string(claim.lease) + "/" + std::to_string(claim.holder) + " as " +
              base::mode_name(claim.mode) + "*" + std::to_string(claim.permits);
      if (claim.token != 0) text += " with " + std::to_string(claim.token);
    }
    for (const base::KeyRow& key : keys) text += "; " + key_text(key);
    return text;
  }
  std::string claims_text() const {
    std::vector<ClaimText> claims;
    for (const Claim& c : claims_) {
      // Permits have no modes, and say shared.
      const auto mode = c.kind == base::LockKind::kSemaphore ? base::Mode::kShared : c.mode;
      claims.push_back({c.lock, c.lease, c.holder, c.token, mode, c.permits});
    }
    std::vector<base::KeyRow> keys;
    for (const auto& [name, key] : keys_) keys.push_back(key);
    return text_of(revision_, std::move(claims), keys);
  }
  // What a key is, as of the last command; null: it isn't there.
  const base::KeyRow* key(const std::string& name) const {
    const auto found = keys_.find(name);
    return found == keys_.end() ? nullptr : &found->second;
  }
  static std::string key_text(const base::KeyRow& key) {
    return key.key + "=" + key.value + "@" + std::to_string(key.create.value) + "," +
           std::to_string(key.revision.value) + "," + std::to_string(key.version) + "," +
           std::to_string(key.lease.value);
  }

  static std::string text_of(const Answer& answer) {
    struct Text {
      std::string operator()(const ClientRegistered& a) { return number("client", a.client.value); }
      std::string operator()(const LeaseOpened& a) { return number("lease", a.lease.value); }
      std::string operator()(const Granted& a) {
        std::vector<uint64_t> tokens;
        for (base::Token token : a.tokens) tokens.push_back(token.value);
        return token_text(tokens);
      }
      std::string operator()(const Done& a) { return number("done", a.revision.value); }
      std::string operator()(const WaitCancelled&) { return "waitCancelled"; }
      std::string operator()(const TxnDone& a) {
        std::string text = number(a.succeeded ? "then" : "orelse", a.revision.value);
        for (const OpResult& result : a.results) {
          switch (result.kind) {
            case OpResult::Kind::kNone: text += " none"; break;
            case OpResult::Kind::kFound: text += " found " + key_text(result.row); break;
            case OpResult::Kind::kStored: text += " stored " + key_text(result.row); break;
            case OpResult::Kind::kDeleted: text += " deleted"; break;
            case OpResult::Kind::kNotDeleted: text += " kept"; break;
          }
        }
        return text;
      }
      std::string operator()(const base::Error& a) {
        return "error " + std::string(base::error_code_name(a.code));
      }
    };
    return std::visit(Text(), answer);
  }
  static std::string reply_text(base::ClientId client, uint64_t number, const std::string& text) {
    return std::to_string(client.value) + "#" + std::to_string(number) + " " + text;
  }

  // The newest token of those that hold this lock; none: nobody does.
  base::Token newest_token(const std::string& lock) const {
    base::Token newest;
    for (const Claim& c : claims_) {
      if (c.lock == lock) newest = std::max(newest, base::Token{c.token});
    }
    return newest;
  }

  // The table of the VMS manual, each mode with those that it goes along with.
  static bool is_compatible(base::Mode a, base::Mode b) {
    static const std::set<std::pair<int, int>> kTable = {
        {0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}, {1, 0}, {1, 1}, {1, 2}, {1, 3},
        {1, 4}, {2, 0}, {2, 1}, {2, 2}, {3, 0}, {3, 1}, {3, 3}, {4, 0}, {4, 1}, {5, 0}};
    return kTable.contains({static_cast<int>(a), static_cast<int>(b)});
  }
  // Goes along with all that `than` goes along with.
  static bool is_weaker(base::Mode mode, base::Mode than) {
    for (int other = 0; other < 6; ++other) {
      const auto m = static_cast<base::Mode>(other);
      if (is_compatible(than, m) && !is_compatible(mode, m)) return false;
    }
    return true;
  }

 private:
  static constexpr uint64_t kNobody = UINT64_MAX;  // the agent of holds that await being taken up

  struct Claim {
    std::string lock;
    uint64_t lease, holder, agent;
    base::Mode mode;
    base::LockKind kind;
    uint64_t permits, capacity;
    uint64_t token;  // 0: waits
    uint64_t client, number;
    uint64_t converts;  // the token of the hold that it waits to change; 0: a claim of its own
  };
  struct ClientState {
    uint64_t ttl = 0, last_use = 0, lowest = 1;
    std::set<uint64_t> acked;
    std::map<uint64_t, std::string> ops;
  };

  static std::string number(const char* what, uint64_t value) {
    return std::string(what) + " " + std::to_string(value);
  }
  static std::string token_text(const std::vector<uint64_t>& tokens) {
    std::string text = "token";
    for (uint64_t token : tokens) text += " " + std::to_string(token);
    return text;
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
    } else if (std::holds_alternative<AdvanceTime>(command.body) ||
               std::holds_alternative<CheckpointLeases>(command.body)) {
      return;
    } else if (const auto* change = std::get_if<Reconfigure>(&command.body)) {
      if (change->config.version.value != config_version_ + 1) return;
      config_version_ = change->config.version.value;
      ++revision_;
    } else if (const auto& expire = std::get<ExpireLeases>(command.body);
               expire.decided == leader_) {
      std::vector<uint64_t> ending;
      for (base::LeaseId id : expire.leases) {
        const bool twice = std::find(ending.begin(), ending.end(), id.value) != ending.end();
        if (leases_.contains(id.value) && !twice) ending.push_back(id.value);
      }
      end_leases(ending, true);
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

  std::string execute(const OpId& op, const OpenLease& body) {
    leases_[++revision_] = op.client.value;
    lock_delays_[revision_] = body.lock_delay_ms;
    secrets_[revision_] = body.secret;
    return number("lease", revision_);
  }
  std::string execute(const OpId& op, const AdoptLease& body) {
    const uint64_t lease = body.lease.value;
    if (!leases_.contains(lease)) return "error leaseNotFound";
    if (secrets_.at(lease) != body.secret) return "error permissionDenied";
    end_waits_of(lease);
    for (Claim& c : claims_) {
      if (c.lease == lease) c.agent = kNobody;
    }
    if (leases_.at(lease) != op.client.value) {
      use(leases_.at(lease));
      formers_[lease] = leases_.at(lease);
      leases_.at(lease) = op.client.value;
    }
    ++revision_;
    return number("lease", lease);
  }
  // There, and not taken from this client.
  bool is_there(const OpId& op, base::LeaseId lease) const {
    const auto former = formers_.find(lease.value);
    return leases_.contains(lease.value) &&
           (former == formers_.end() || former->second != op.client.value);
  }
  std::string execute(const OpId& op, const CloseLease& body) {
    if (!is_there(op, body.lease)) return "error leaseNotFound";
    const std::string outcome = number("done", revision_ + 1);
    end_leases({body.lease.value});
    return outcome;
  }
  std::string execute(const OpId& op, const Acquire& body) {
    if (!is_there(op, body.lease)) return "error leaseNotFound";
    if (auto taken_up = take_up(op, body)) return *taken_up;
    std::vector<Claim> wanted;
    bool free = true;
    for (const LockRequest& request : body.locks) {
      if (const auto delay = delays_.find(request.name); delay != delays_.end()) {
        const Claim& lost = delay->second.lost.front();
        if (lost.kind != request.kind || lost.capacity != request.capacity) {
          return "error invalidArgument";
        }
      }
      for (const Claim& c : claims_) {
        if (c.lock != request.name) continue;
        if (c.kind != request.kind || c.capacity != request.capacity) {
          return "error invalidArgument";
        }
        if (c.lease == body.lease.value && c.holder == body.holder.value) {
          return "error invalidArgument";
        }
      }
      wanted.push_back({request.name, body.lease.value, body.holder.value, body.agent.value,
                        request.mode, request.kind, request.permits, request.capacity, 0,
                        op.client.value, op.number, 0});
      free = free && !is_blocked(wanted.back(), claims_.size());
    }
    if (!free && !body.wait) return refuse_busy(wanted);
    if (!free && would_deadlock(wanted)) return refuse_deadlock();
    std::vector<uint64_t> tokens;
    for (Claim& claim : wanted) {
      ++revision_;
      if (free) tokens.push_back(claim.token = revision_);
      claims_.push_back(claim);
    }
    return free ? token_text(tokens) : "pending";
  }
  // The first hold of an adopted lease that is as the request has it, or the last that isn't.
  std::optional<std::string> take_up(const OpId& op, const Acquire& body) {
    for (const LockRequest& request : body.locks) {
      std::vector<Claim*> orphans;
      for (Claim& c : claims_) {
        const bool its = c.lock == request.name && c.lease == body.lease.value && c.token != 0;
        if (its && c.agent == kNobody) orphans.push_back(&c);
      }
      if (orphans.empty()) continue;
      const auto fits = [&](const Claim* c) {
        return c->mode == request.mode && c->permits == request.permits;
      };
      std::sort(orphans.begin(), orphans.end(),
                [](const Claim* a, const Claim* b) { return a->token < b->token; });
      const auto found = std::find_if(orphans.begin(), orphans.end(), fits);
      if (found == orphans.end() || body.locks.size() > 1) return "error invalidArgument";
      Claim& hold = **found;
      if (hold.kind != request.kind || hold.capacity != request.capacity) {
        return "error invalidArgument";
      }
      for (const Claim& c : claims_) {
        const bool same = c.lease == body.lease.value && c.holder == body.holder.value;
        if (same && c.lock == request.name && &c != &hold) return "error invalidArgument";
      }
      hold.holder = body.holder.value;
      hold.agent = body.agent.value;
      hold.number = op.number;
      const uint64_t token = hold.token = ++revision_;
      if (!body.value.empty()) ++revision_;
      return token_text({token});
    }
    return std::nullopt;
  }
  std::string execute(const OpId& op, const Convert& body) {
    if (!is_there(op, body.lease)) return "error leaseNotFound";
    Claim* hold = find_hold(body.lease, body.lock, body.token);
    if (hold == nullptr) return "error notHeld";
    if (hold->kind != base::LockKind::kLock) return "error invalidArgument";
    for (const Claim& c : claims_) {
      if (c.converts == hold->token) return "error invalidArgument";
    }
    if (hold->mode == body.mode) return token_text({hold->token});
    if (is_weaker(body.mode, hold->mode)) {
      ++revision_;
      hold->mode = body.mode;
      free_up(hold->lock);
      return token_text({hold->token});
    }
    Claim wanted = *hold;
    wanted.converts = hold->token;
    wanted.token = 0;
    wanted.mode = body.mode;
    wanted.agent = body.agent.value;
    wanted.client = op.client.value;
    wanted.number = op.number;
    if (!is_blocked(wanted, claims_.size())) {
      convert(*hold, body.mode);
      return token_text({hold->token});
    }
    if (!body.wait) return "error wouldBlock";
    for (const Claim& c : claims_) {
      if (c.converts == 0 || c.lock != body.lock) continue;
      const Claim& other = *find_hold(base::LeaseId{c.lease}, c.lock, base::Token{c.converts});
      if (is_compatible(body.mode, other.mode) || is_compatible(c.mode, hold->mode)) continue;
      return refuse_deadlock();
    }
    if (would_deadlock({wanted})) return refuse_deadlock();
    ++revision_;
    claims_.push_back(wanted);
    return "pending";
  }
  std::string execute(const OpId& op, const SetHoldValue& body) {
    if (!is_there(op, body.lease)) return "error leaseNotFound";
    if (find_hold(body.lease, body.lock, body.token) == nullptr) return "error notHeld";
    return number("done", ++revision_);
  }
  std::string execute(const OpId&, const ForceRelease& body) {
    const auto hold = std::find_if(claims_.begin(), claims_.end(), [&](const Claim& c) {
      return c.token == body.token.value && c.token != 0 && c.lock == body.lock;
    });
    if (hold == claims_.end()) return "error notHeld";
    end_conversion_of(body.token.value);
    drop_claims([&](const Claim& c) { return c.token == body.token.value; }, true);
    return number("done", revision_);
  }
  std::string execute(const OpId& by, const Txn& body) {
    bool holds_all = true;
    for (const Compare& compare : body.compare) holds_all = holds_all && holds(compare);
    const std::vector<TxnOp>& ops = holds_all ? body.then : body.orelse;
    for (const TxnOp& op : ops) {
      if (op.lease && !is_there(by, op.lease)) return "error leaseNotFound";
    }
    TxnDone done{holds_all, {}, {}};
    for (const TxnOp& op : ops) done.results.push_back(carry_out(op));
    done.revision = {revision_};
    return text_of(done);
  }
  bool holds(const Compare& compare) const {
    if (compare.target == Compare::Target::kHolds) {
      const bool held = is_held(compare.key, base::Token{compare.number});
      return compare.relation == Relation::kEqual ? held : !held;
    }
    const base::KeyRow* row = key(compare.key);
    if (compare.target == Compare::Target::kValue) {
      return row != nullptr && is_so(row->value.compare(compare.value), compare.relation);
    }
    const base::KeyRow found = row == nullptr ? base::KeyRow() : *row;
    const uint64_t left = compare.target == Compare::Target::kVersion    ? found.version
                          : compare.target == Compare::Target::kRevision ? found.revision.value
                                                                         : found.create.value;
    const int order = left < compare.number ? -1 : left > compare.number ? 1 : 0;
    return is_so(order, compare.relation);
  }
  static bool is_so(int order, Relation relation) {
    if (relation == Relation::kEqual) return order == 0;
    if (relation == Relation::kNotEqual) return order != 0;
    return relation == Relation::kLess ? order < 0 : order > 0;
  }
  OpResult carry_out(const TxnOp& op) {
    if (op.kind == TxnOp::Kind::kPut) {
      std::string name = op.key;
      while (op.sequential) {
        const std::string digits = std::to_string(++sequences_[op.key]);
        name = op.key + std::string(10 - digits.size(), '0') + digits;
        if (!keys_.contains(name)) break;
      }
      base::KeyRow& row = keys_[name];
      row.key = name;
      row.value = op.value;
      row.revision = {++revision_};
      if (row.version++ == 0) row.create = row.revision;
      row.lease = op.lease;
      base::KeyRow told = row;
      told.value.clear();
      if (!op.sequential) told.key.clear();
      return {OpResult::Kind::kStored, told};
    }
    const base::KeyRow* row = key(op.key);
    if (op.kind == TxnOp::Kind::kGet) {
      return row == nullptr ? OpResult{} : OpResult{OpResult::Kind::kFound, *row};
    }
    if (row == nullptr) return {OpResult::Kind::kNotDeleted, {}};
    ++revision_;
    keys_.erase(op.key);
    return {OpResult::Kind::kDeleted, {}};
  }
  // Quotas are limits, of which this knows none.
  std::string execute(const OpId&, const SetPolicy& body) {
    if (body.end && !policies_.contains(body.key)) return "error notHeld";
    ++revision_;
    if (!body.end) {
      policies_.insert(body.key);
      return number("done", revision_);
    }
    policies_.erase(body.key);
    const std::string outcome = number("done", revision_);
    if (body.key.kind != base::PolicyKind::kDrain) return outcome;
    std::set<std::string> locks;
    for (const Claim& c : claims_) locks.insert(c.lock);
    for (const std::string& lock : locks) {
      if (lock.starts_with(body.key.name)) free_up(lock);
    }
    return outcome;
  }
  bool is_drained(const std::string& lock) const {
    return std::any_of(policies_.begin(), policies_.end(), [&](const base::PolicyKey& key) {
      return key.kind == base::PolicyKind::kDrain && lock.starts_with(key.name);
    });
  }
  // The first lock that can't be had; if only a delay keeps it from that, so it says.
  std::string refuse_busy(const std::vector<Claim>& wanted) {
    for (const Claim& claim : wanted) {
      if (!is_blocked(claim, claims_.size())) continue;
      const auto delays = std::exchange(delays_, {});
      const bool only_delayed = !is_blocked(claim, claims_.size());
      delays_ = delays;
      return only_delayed ? "error lockDelay" : "error wouldBlock";
    }
    return "";
  }
  void end_conversion_of(uint64_t token) {
    for (const Claim& c : claims_) {
      if (c.converts != token) continue;
      settle(c, "error notHeld");
      break;
    }
    drop_claims([&](const Claim& c) { return c.converts == token; });
  }
  std::string execute(const OpId& op, const Release& body) {
    if (!is_there(op, body.lease)) return "error leaseNotFound";
    if (find_hold(body.lease, body.lock, body.token) == nullptr) return "error notHeld";
    end_conversion_of(body.token.value);
    drop_claims([&](const Claim& c) { return c.token == body.token.value; });
    return number("done", revision_);
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
  size_t drop_claims(Which which, bool lost = false) {
    std::vector<std::pair<uint64_t, std::string>> going;
    for (const Claim& c : claims_) {
      if (!which(c)) continue;
      going.emplace_back(c.token, c.lock);
      if (lost && c.token != 0 && lock_delays_.at(c.lease) != 0) delay(c);
    }
    std::stable_sort(going.begin(), going.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [token, lock] : going) free_up(lock);
    revision_ += going.size();
    std::erase_if(claims_, which);
    return going.size();
  }
  // What a lost holder may still do, nobody else may, for a while. It is a change of its own.
  void delay(const Claim& lost) {
    ++revision_;
    Delay& delay = delays_[lost.lock];
    delay.until = std::max(delay.until, now_ + lock_delays_.at(lost.lease));
    delay.lost.push_back(lost);
  }
  void drop_wait(uint64_t client, uint64_t number) {
    drop_claims(
        [&](const Claim& c) { return c.token == 0 && c.client == client && c.number == number; });
  }

  void end_leases(const std::vector<uint64_t>& ending, bool lost = false) {
    for (uint64_t lease : ending) {
      ++revision_;
      end_waits_of(lease);
    }
    for (uint64_t lease : ending) {
      drop_claims([&](const Claim& c) { return c.lease == lease; }, lost);
      for (auto entry = keys_.begin(); entry != keys_.end();) {
        const bool ends = entry->second.lease.value == lease;
        if (ends) ++revision_;
        entry = ends ? keys_.erase(entry) : std::next(entry);
      }
      use(leases_.at(lease));
      leases_.erase(lease);
      formers_.erase(lease);
    }
  }

  void end_waits_of(uint64_t lease) {
    for (const Claim& c : claims_) {
      if (c.lease != lease || c.token != 0) continue;
      // Once for a request for several locks.
      if (clients_.at(c.client).ops[c.number] == "pending") settle(c, "error leaseNotFound");
    }
    drop_claims([&](const Claim& c) { return c.lease == lease && c.token == 0; });
  }

  // A lock lost a claim, or one of its claims changed.
  void free_up(const std::string& lock) {
    if (std::find(freed_.begin(), freed_.end(), lock) == freed_.end()) freed_.push_back(lock);
  }

  // Grants whatever conflicts with nobody who holds or waits before it, of the locks that were
  // freed, in the order in which they were.
  void serve() {
    while (!freed_.empty()) {
      const std::string lock = freed_.front();
      freed_.erase(freed_.begin());
      while (serve_one(lock)) {
      }
    }
  }
  bool serve_one(const std::string& lock) {
    for (const bool conversions : {true, false}) {
      for (size_t i = 0; i < claims_.size(); ++i) {
        const Claim& c = claims_[i];
        if (c.lock != lock || c.token != 0 || (c.converts != 0) != conversions) continue;
        if (!may_have_all(c)) continue;
        grant(c.client, c.number);
        return true;
      }
    }
    return false;
  }
  // Nothing blocks the request that `waiter` is a part of, in any lock.
  bool may_have_all(const Claim& waiter) const {
    for (size_t i = 0; i < claims_.size(); ++i) {
      const Claim& c = claims_[i];
      if (c.token != 0 || c.client != waiter.client || c.number != waiter.number) continue;
      if (is_blocked(c, i)) return false;
    }
    return true;
  }
  // Would `claim`, at this place among the claims, have to wait?
  bool is_blocked(const Claim& claim, size_t place) const {
    return is_blocked(claim, place, [](const Claim&) { return true; });
  }
  template <class Counts>
  bool is_blocked(const Claim& claim, size_t place, Counts counts) const {
    if (is_drained(claim.lock)) return true;
    uint64_t permits = claim.permits;
    if (const auto delay = delays_.find(claim.lock); delay != delays_.end()) {
      for (const Claim& lost : delay->second.lost) {
        permits += lost.permits;
        const bool counts_modes = claim.kind != base::LockKind::kSemaphore;
        if (counts_modes && !is_compatible(claim.mode, lost.mode)) return true;
      }
    }
    for (size_t i = 0; i < claims_.size(); ++i) {
      const Claim& other = claims_[i];
      if (other.lock != claim.lock || i == place || !counts(other)) continue;
      if (claim.converts != 0 && other.token == claim.converts) continue;
      const bool is_ahead =
          (other.converts != 0) == (claim.converts != 0) ? i < place : other.converts != 0;
      if (other.token == 0 && !is_ahead) continue;
      if (claim.kind != base::LockKind::kSemaphore) {
        if (!is_compatible(claim.mode, other.mode)) return true;
      } else if (other.token == 0) {
        return true;
      } else {
        permits += other.permits;
      }
    }
    return claim.kind == base::LockKind::kSemaphore && permits > claim.capacity;
  }

  Claim* find_hold(base::LeaseId lease, const std::string& lock, base::Token token) {
    for (Claim& c : claims_) {
      const bool held = c.token != 0 && c.token == token.value;
      if (held && c.lease == lease.value && c.lock == lock) return &c;
    }
    return nullptr;
  }

  void convert(Claim& hold, base::Mode mode) {
    hold.token = ++revision_;
    hold.mode = mode;
    free_up(hold.lock);
  }

  void grant(uint64_t client, uint64_t number) {
    std::vector<uint64_t> tokens;
    std::vector<std::string> locks;
    const Claim any = *std::find_if(claims_.begin(), claims_.end(), [&](const Claim& c) {
      return c.token == 0 && c.client == client && c.number == number;
    });
    if (any.converts != 0) {
      Claim& hold = *find_hold(base::LeaseId{any.lease}, any.lock, base::Token{any.converts});
      convert(hold, any.mode);
      tokens.push_back(hold.token);
      std::erase_if(claims_, [&](const Claim& c) { return c.converts == any.converts; });
    } else {
      for (Claim& c : claims_) {
        if (c.token != 0 || c.client != client || c.number != number) continue;
        tokens.push_back(c.token = ++revision_);
        locks.push_back(c.lock);
      }
      if (locks.size() > 1) {
        for (const std::string& lock : locks) free_up(lock);
      }
    }
    settle(any, token_text(tokens));
  }
  void settle(const Claim& waiter, const std::string& outcome) {
    clients_.at(waiter.client).ops[waiter.number] = outcome;
    use(waiter.client);
    replies.push_back(reply_text(base::ClientId{waiter.client}, waiter.number, outcome));
  }

  // By the definition: the request waits. Whoever could be served, if all those were gone who can
  // be served, goes too, until nobody more can. Is whoever asks left?
  bool would_deadlock(const std::vector<Claim>& wanted) {
    using Agent = std::pair<uint64_t, uint64_t>;
    const Agent asks{wanted.front().lease, wanted.front().agent};
    if (asks.second == 0) return false;
    const std::vector<Claim> before = claims_;
    const auto delays = std::exchange(delays_, {});  // they end by themselves
    const auto policies = std::exchange(policies_, {});
    claims_.insert(claims_.end(), wanted.begin(), wanted.end());
    std::set<Agent> stuck;
    for (const Claim& c : claims_) {
      if (c.token == 0 && c.agent != 0) stuck.insert({c.lease, c.agent});
    }
    const auto is_stuck = [&](const Claim& c) { return stuck.contains({c.lease, c.agent}); };
    for (bool changed = true; changed;) {
      changed = false;
      const std::set<Agent> tried = stuck;
      for (const Agent& agent : tried) {
        bool is_served = true;
        for (size_t i = 0; i < claims_.size(); ++i) {
          const Claim& c = claims_[i];
          if (c.token != 0 || Agent{c.lease, c.agent} != agent) continue;
          is_served = is_served && !is_blocked(c, i, is_stuck);
        }
        if (is_served) changed = stuck.erase(agent) != 0;
      }
    }
    claims_ = before;
    delays_ = delays;
    policies_ = policies;
    return stuck.contains(asks);
  }
  std::string refuse_deadlock() {
    ++revision_;
    return "error deadlock";
  }

  struct Delay {
    uint64_t until = 0;
    std::vector<Claim> lost;
  };

  uint64_t revision_ = 0, now_ = 0;
  std::map<uint64_t, uint64_t> lock_delays_;  // of all leases that there ever were
  std::map<std::string, Delay> delays_;
  std::map<std::string, base::KeyRow> keys_;
  std::map<std::string, uint64_t> sequences_;  // the last number under each prefix
  std::set<base::PolicyKey> policies_;
  base::Ballot leader_;
  uint64_t config_version_ = 1;
  std::map<uint64_t, ClientState> clients_;
  std::map<uint64_t, uint64_t> leases_;      // lease -> who opened or adopted it
  std::map<uint64_t, uint64_t> formers_;     // adopted lease -> who had it before
  std::map<uint64_t, std::string> secrets_;  // of all leases that there ever were
  std::vector<Claim> claims_;                // in the order in which they were made
  std::vector<std::string> freed_;           // locks that are still to be served
};

}  // namespace holdfast::locks
