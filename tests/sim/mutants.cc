#include "tests/sim/mutants.h"

#include <algorithm>
#include <array>

namespace holdfast::sim {
namespace {

constexpr std::array kOfTheCell = std::to_array<Mutant>({
    // -- Paxos
    {"ballot_used_again", "P1", 50, "a candidate takes a ballot that was used before"},
    {"ballot_before_durable", "P1", 50, "a ballot is used before it is durable"},
    {"promise_before_durable", "P2", 50, "a promise is answered before it is durable"},
    {"accept_before_durable", "P2", 50, "an accept is answered before it is durable"},
    {"promise_leaves_out_pending", "P2", 400, "a promise leaves out a row still being written"},
    {"accept_keeps_promise", "P2", 50, "accepting in a ballot doesn't raise the promise to it"},
    {"own_vote_before_durable", "P2", 50, "the leader counts its own vote before its write ends"},
    {"phase1_asks_too_far", "P3", 400, "phase 1 leaves out the first slot not known chosen"},
    {"lowest_ballot_wins", "P3", 400, "of the answers' values the lowest ballot's is proposed"},
    {"no_op_over_value", "P3", 400, "a no-op is proposed where another node accepted a value"},
    {"own_rows_forgotten", "P3", 400, "the new leader doesn't count what it accepted itself"},
    {"chosen_not_fetched", "P3", 400, "a leader proposes where an answerer knows a chosen value"},
    {"half_is_a_quorum", "P4", 50, "half of the voters is taken for a quorum"},
    {"votes_of_older_ballot", "P4", 400, "votes of two ballots are added up"},
    {"chosen_over_older_ballot", "P5", 400, "chosen_upto is trusted over an older ballot's entry"},
    {"no_probe", "P7", 50, "a candidate doesn't ask before phase 1"},
    {"probe_always_yes", "P7", 50, "a probe is answered yes although a leader is heard"},
    {"stale_leave_counts", "P7", 400, "leave to take over counts after another ballot was heard"},
    {"confirm_drawn_early", "P8", 400, "a confirm round that began before the request counts"},
    {"deposed_leader_confirmed", "P8", 400, "a heartbeat is echoed below the promise"},
    {"leads_without_quorum", "P8", 400, "a leader that no quorum answers doesn't step down"},
    {"reproposes_behind_change", "P9", 400, "re-proposing goes on behind a membership change"},
    {"proposes_behind_change", "P9", 400, "a leader proposes behind a membership change"},
    {"same_ballot_goes_on", "P9", 400, "no new ballot follows on a membership change"},
    {"swaps_voters", "P9", 400, "one change removes a voter and adds another"},
    {"laggard_promoted", "P9", 400, "a learner is promoted before it has caught up"},
    {"founded_by_a_majority", "P10", 50, "a cell is founded before every voter is there"},
    {"wiped_disk_admitted", "P10", 400, "a node is let in with another disk"},
    {"old_copy_admitted", "P10", 400, "a node is let in with an older copy of its directory"},
    {"recovered_counts_as_chosen", "P11", 400, "rows found in the log at start count as chosen"},
    {"promises_while_mending", "P11", 400, "a node with a damaged row promises all the same"},
    {"accepts_while_mending", "P11", 400, "a node with a damaged row accepts all the same"},
    {"damaged_row_forgotten", "P11", 400, "a damaged row counts as one that never was"},
    {"votes_without_record", "P11", 400, "a node votes whose log begins above its record"},
    {"mends_with_unchosen", "P11", 400, "what is only accepted is given away as chosen"},
    {"mended_by_a_node_without_it", "P11", 400, "what another node hasn't got mends a damaged row"},
    {"slots_left_unfilled", "P11", 400, "a leader doesn't fill the slots that a voter has lost"},
    {"batch_loses_a_command", "P12", 50, "a sealed batch leaves out its last command"},
    {"late_decision_counts", "P13", 400, "an expiry decided in an older ballot is carried out"},
    {"queue_survives_leader", "P13", 400, "what a leader queued is kept when it steps down"},
    // -- lease time
    {"new_leader_gives_less", "6", 400, "a new leader doesn't give every lease its full TTL"},
    {"lease_ends_early", "6", 400, "a lease's first deadline is too early"},
    {"lease_clock_runs_fast", "6", 400, "a renewal moves the deadline by less than the TTL"},
    {"renewal_moves_nothing", "6", 50, "a renewal is answered yes and doesn't move the deadline"},
    {"renewed_unconfirmed", "6", 400, "a renewal is answered without a confirm round"},
    {"renewed_while_ending", "6", 800, "a renewal is answered yes after the expiry was proposed"},
    {"cell_time_turns_back", "7", 400, "cell time may turn back"},
    {"cell_time_from_own_clock", "5, 7", 400, "cell time is each leader's own clock"},
    // -- clocks beyond ε
    {"clock_delays_ignored", "6", 400, "a clock's rate is estimated as if messages took no time"},
    {"one_clock_decides", "6", 400, "one clock that runs otherwise makes a node's own the odd one"},
    {"odd_leader_leads_on", "6", 400, "a leader whose clock runs wrong doesn't hand over"},
    {"odd_node_asks", "6", 400, "a node whose clock runs wrong asks to lead"},
    // -- the client library: how long it counts on a lease
    {"deadline_from_answer", "2.4", 400, "a renewal counts from when its answer came"},
    {"open_counts_from_retry", "2.4", 400, "a lease counts from the last copy of its open"},
    {"deadline_without_drift", "2.4", 400, "the client's deadline leaves no room for clock rates"},
    {"clock_sleeps_along", "2.4", 400, "the client's clock stands still while its process does"},
    {"loss_told_late", "2.4", 50, "a loss isn't told at the deadline"},
    {"answer_before_deadline", "2.4", 400, "an answer brings back a session past its deadline"},
    // -- the client library: what it tells, and sees through
    {"wait_left_behind", "2.7", 50, "a wait isn't cancelled before its caller is told no"},
    {"unknown_told_as_no", "2.7", 400, "a cancelling that isn't answered is told as no"},
    {"refusal_of_a_copy", "7a", 400, "a copy's refusal is told as final"},
    {"late_grant_kept", "2.5", 50, "a grant that came after its caller gave up is kept"},
    {"unsent_release_dropped", "2.5", 400, "a release that finds no leader in time is forgotten"},
    {"asks_again_too_soon", "2.7", 400, "an acquire is sent while an earlier one is unsettled"},
    {"retry_takes_new_number", "7a", 50, "a retry has a number of its own"},
    {"tells_what_it_hasnt", "7a", 50, "the cell is told that all answers have come"},
    {"calls_end_with_connection", "10", 50, "calls aren't repeated when their connection is lost"},
});

constexpr std::array kOfTheStateMachine = std::to_array<Mutant>({
    // -- the state machine, and what users rely on
    {"shared_beside_exclusive", "2.1", 50, "a reader is let in beside a writer"},
    {"token_of_the_release", "2.2", 50, "a token is a revision that was given before"},
    {"grant_to_the_dead", "6", 400, "a hold passes to a lease that ends in the same command"},
    {"release_wakes_nobody", "2.5", 50, "a release doesn't pass the lock on"},
    {"waiter_overtaken", "2.6", 50, "a request is granted although others wait"},
    {"second_comes_first", "2.6", 50, "the second waiter is served before the first"},
    {"one_reader_at_a_time", "2.6", 50, "of neighbouring readers only one is admitted"},
    {"late_copy_acts", "2.7", 800, "a copy that comes after the answer was told acts again"},
    {"retry_acts_again", "2.7", 50, "a retry acts again"},
    {"cancel_settles_nothing", "7a", 400, "a cancelled number that was never seen isn't settled"},
    {"answers_dropped_early", "7a", 50, "an answer is dropped before its client told it has it"},
    {"read_unconfirmed", "2.8", 400, "a read is answered without a confirm round"},
    {"read_index_unconfirmed", "2.8", 400, "a leader names its slot without a confirm round"},
    {"read_joins_older_question", "2.8", 400,
     "a read waits for an answer asked for before it came"},
    {"read_here_not_applied", "2.8", 50, "a follower doesn't apply the slot before it answers"},
    {"follower_answers_reads", "2.8", 400, "a follower answers a linearizable read"},
    // -- modes, semaphores, several locks, conversions, delays, forced releases
    {"upgrade_waits_its_turn", "2.6", 400, "an upgrade waits behind those who wait for the lock"},
    {"upgrade_beside_readers", "2.1", 100, "an upgrade is granted beside other holders"},
    {"upgrade_keeps_token", "1", 100, "an upgrade keeps the token that it had"},
    {"downgrade_admits_nobody", "2.5", 100, "a downgrade doesn't admit those who may go beside it"},
    {"semaphore_admits_too_many", "2.1", 100, "a semaphore gives out one permit too many"},
    {"small_request_overtakes", "2.6", 100,
     "a small request goes ahead of one that waits for more"},
    {"several_granted_in_part", "2.1", 100, "several locks are granted when one of them is free"},
    {"several_wake_nobody_behind", "2.5", 400, "who waits behind a request for several isn't seen"},
    {"no_delay_after_force", "2", 400, "a forced release leaves out the lock-delay"},
    {"delay_ends_early", "2", 400, "a lock-delay ends when half of it is over"},
    {"force_with_stale_token", "2.2", 400, "a forced release with an old token ends a newer hold"},
    // -- keys and drains
    {"first_guard_decides", "2.8", 100, "of several guards only the first is looked at"},
    {"guard_holds_always", "2.2", 400, "a guard doesn't see that a token holds a lock no more"},
    {"put_keeps_the_lease", "7", 100, "a put doesn't change the lease that the key ends with"},
    {"keys_outlive_their_lease", "7", 100, "keys stay when their lease ends"},
    {"sequence_begins_anew", "7", 400, "a sequence without keys begins anew"},
    {"drain_binds_waiters_only", "2", 100, "a drain doesn't keep newcomers out"},
    {"drain_binds_newcomers_only", "2", 400, "a drain doesn't keep waiters out"},
    {"drain_end_wakes_nobody", "2.5", 100, "the end of a drain lets nobody in who waits"},
    // -- lease checkpoints
    {"checkpoint_outlives_renewal", "6", 400, "a renewal is answered while a checkpoint stands"},
    {"checkpoint_not_heeded", "6", 400, "a new leader gives checkpointed leases their full TTL"},
    {"recorded_before_durable", "8", 400, "a slot is recorded before the log holds it durably"},
    {"barrier_passed", "8", 50, "more is applied before a barrier is recorded"},
    // -- trimming and snapshots
    {"trimmed_before_recorded", "8", 400, "rows go that state.db doesn't hold yet"},
    {"install_keeps_rows", "8", 400, "a snapshot doesn't set the first retained slot"},
    {"install_forgets_rows", "8", 400, "a snapshot drops what was accepted above its slot"},
    {"install_forgets_promise", "8", 400, "a snapshot drops the promise"},
    {"snapshot_part_unchecked", "8", 400, "the checksum of a snapshot's part isn't looked at"},
});

constexpr auto kMutants = [] {
  std::array<Mutant, kOfTheCell.size() + kOfTheStateMachine.size()> all{};
  std::ranges::copy(kOfTheStateMachine, std::ranges::copy(kOfTheCell, all.begin()).out);
  return all;
}();

}  // namespace

std::span<const Mutant> mutants() {
  return kMutants;
}

const Mutant* find_mutant(std::string_view name) {
  const auto found = std::ranges::find(kMutants, name, &Mutant::name);
  return found == kMutants.end() ? nullptr : &*found;
}

}  // namespace holdfast::sim
