#include "tests/sim/links.h"

namespace holdfast::sim {

void Links::on_started(Machine& machine) {
  for (Machine* other : machines_) {
    if (other == &machine) continue;
    connect(machine, *other);
    connect(*other, machine);
  }
}

void Links::on_ended(Machine& machine) {
  for (Machine* other : machines_) {
    if (other == &machine) continue;
    cut(machine, *other, false);
    cut(*other, machine, false);
  }
}

void Links::keep_members(Machine& machine, const base::Config& config) {
  for (Machine* other : machines_) {
    if (other == &machine || config.find(other->id()) != nullptr) continue;
    if (link(machine, *other).up) cut(machine, *other, false);
    if (link(*other, machine).up) cut(*other, machine, false);
  }
}

// -- dialling -------------------------------------------------------------------------------------

// One attempt of `from` to dial `to`. What is said takes its time, and may be old news when it
// comes: the hello was said when the connection was there, the answer when the hello came.
struct Links::Dialling {
  Machine& from;
  Machine& to;
  uint64_t epoch;
  uint64_t from_process, to_process;
  paxos::Hello hello;

  bool same_process() const { return from.up() && from.process() == from_process; }
};

// Tries until it works, as a peer link does.
void Links::connect(Machine& from, Machine& to) {
  Link& mine = link(from, to);
  mine.up = false;
  auto dialling = std::make_shared<Dialling>(
      Dialling{from, to, ++mine.epoch, from.process(), to.process(), {}});
  const auto still_wanted = [this, dialling] {
    return dialling->same_process() && link(dialling->from, dialling->to).epoch == dialling->epoch;
  };
  world_.after(static_cast<int64_t>(random_.between(100, 3'000)) * kUs,
               [this, dialling, still_wanted] {
                 if (!still_wanted()) return;
                 Machine& to_here = dialling->to;
                 dialling->to_process = to_here.process();
                 if (to_here.up() && !dialling->from.stands_still() && !to_here.deaf() &&
                     network_.reaches(dialling->from.id(), to_here.id())) {
                   dialling->hello = dialling->from.node()->hello();
                   greet(dialling);
                 }
                 world_.after(static_cast<int64_t>(random_.between(5, 150)) * kMs,
                              [this, dialling, still_wanted] {
                                if (still_wanted() && !link(dialling->from, dialling->to).up) {
                                  connect(dialling->from, dialling->to);
                                }
                              });
               });
}

void Links::greet(const std::shared_ptr<Dialling>& dialling) {
  const auto delay = network_.delay();
  if (!delay) return;
  world_.after(*delay, [this, dialling] {
    if (!network_.reaches(dialling->from.id(), dialling->to.id()) || dialling->to.deaf()) return;
    dialling->to.deliver(dialling->to_process,
                         [this, dialling](node::Node& node, base::Instant now, node::Effects& fx) {
                           Machine& from = dialling->from;
                           const auto refusal = node.on_hello(dialling->hello, now, fx);
                           if (!refusal && from.process() == dialling->from_process) {
                             oracles_.lives.on_admitted(dialling->to.id(), from.id());
                           }
                           // It died meanwhile, and so did the connection.
                           if (!from.up() && !refusal) lose_peer(dialling->to, from.id(), now, fx);
                           answer(dialling, refusal, node.hello());
                         });
  });
}

void Links::answer(const std::shared_ptr<Dialling>& dialling,
                   const std::optional<paxos::Refusal>& refusal, const paxos::Hello& hello) {
  const auto delay = network_.delay();
  if (!delay) return;
  const auto wanted = [this, dialling] {
    return dialling->same_process() && link(dialling->from, dialling->to).epoch == dialling->epoch;
  };
  world_.after(*delay, [this, dialling, refusal, hello, wanted] {
    Machine& from = dialling->from;
    if (!wanted() || !network_.reaches(dialling->to.id(), from.id()) || from.deaf()) return;
    from.deliver(dialling->from_process,
                 [this, dialling, refusal, hello, wanted](node::Node& node, base::Instant now,
                                                          node::Effects& fx) {
                   const Machine& to = dialling->to;
                   if (!wanted()) return;
                   if (refusal) return node.on_refused(to.id(), *refusal, now, fx);
                   if (node.on_hello(hello, now, fx)) return;
                   if (to.process() == dialling->to_process) {
                     oracles_.lives.on_admitted(dialling->from.id(), to.id());
                   }
                   link(dialling->from, to).up = true;
                 });
  });
}

// -- messages -------------------------------------------------------------------------------------

void Links::send(Machine& from, paxos::Outgoing out) {
  oracles_.claims.on_said(from.id(), from.disk(), out.message);
  oracles_.leaders.on_said(from.id(), out.message);
  Machine& to = *machines_[out.to.value - 1];
  const Link& mine = link(from, to);
  if (!mine.up) return;
  for (int copies = network_.copies(); copies > 0; --copies) {
    const auto delay = network_.delay();
    if (!delay) continue;
    world_.after(*delay, [this, &from, &to, message = out.message, epoch = mine.epoch,
                          process = to.process()] { arrive(from, to, epoch, process, message); });
  }
}

void Links::arrive(Machine& from, Machine& to, uint64_t epoch, uint64_t process,
                   const paxos::Message& message) {
  // TCP gives nothing of a connection after its end.
  const Link& mine = link(from, to);
  const bool leaks = mine.leaks == epoch && random_.chance(0.5);
  if ((mine.epoch != epoch && !leaks) || to.deaf()) return;
  if (!network_.reaches(from.id(), to.id(), message)) return;
  to.deliver(
      process, [this, &from, &to, message](node::Node& node, base::Instant now, node::Effects& fx) {
        node.on_message(from.id(), message, now, fx);
        const paxos::Replica& replica = node.replica();
        oracles_.leaders.on_taken(to.id(), from.id(), message,
                                  {replica.promised(), replica.leader(), replica.ballot(), now});
      });
}

// -- the end of a connection ----------------------------------------------------------------------

void Links::cut(Machine& from, Machine& to, bool in_the_middle) {
  Link& mine = link(from, to);
  mine.leaks = in_the_middle && mine.up ? mine.epoch : 0;
  mine.up = false;
  const uint64_t epoch = ++mine.epoch;
  if (to.up()) tell_lost(to, from);
  if (!from.up()) return;
  tell_lost(from, to);
  world_.after(static_cast<int64_t>(random_.between(5, 50)) * kMs,
               [this, &from, &to, epoch, process = from.process()] {
                 if (from.up() && from.process() == process && link(from, to).epoch == epoch) {
                   connect(from, to);
                 }
               });
}

void Links::tell_lost(Machine& machine, Machine& peer) {
  world_.after(static_cast<int64_t>(random_.between(50, 3'000)) * kUs,
               [this, &machine, &peer, process = machine.process()] {
                 link(peer, machine).leaks = 0;
                 machine.deliver(process, [this, &machine, &peer](node::Node&, base::Instant now,
                                                                  node::Effects& fx) {
                   // As daemon/peers.cc has it: old news, if a new connection is there already.
                   if (!link(machine, peer).up) lose_peer(machine, peer.id(), now, fx);
                 });
               });
}

void Links::lose_peer(Machine& machine, base::NodeId peer, base::Instant now, node::Effects& fx) {
  machine.node()->on_peer_lost(peer, now, fx);
  oracles_.leaders.on_link_lost(machine.id(), peer);
}

}  // namespace holdfast::sim
