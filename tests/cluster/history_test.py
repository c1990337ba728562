"""The history checker itself: one that finds nothing wrong in a wrong history is no checker."""

import pytest

import history


def hold(client, token, begins, ends, mode="exclusive", lock="a", asked=None):
    asked = begins - 1 if asked is None else asked
    return [
        {"client": client, "op": "acquire", "seq": "1", "lock": lock, "mode": mode, "ok": True,
         "token": str(token), "start": str(asked), "end": str(begins)},
        {"client": client, "op": "release", "seq": "2", "lock": lock, "ok": True,
         "token": str(token), "start": str(ends), "end": str(ends + 1)},
    ]


def lost(client, token, begins, ends, **more):
    acquire, release = hold(client, token, begins, ends, **more)
    del release["ok"]
    return [acquire, dict(release, op="lost")]


def show(start, end, *tokens, lock="a", mode="exclusive"):
    return [{"client": "z", "op": "show", "lock": lock, "ok": True, "start": str(start),
             "end": str(end), "holders": [{"token": str(t), "mode": mode} for t in tokens]}]


def wrong(operations, match):
    with pytest.raises(history.Violation, match=match):
        history.check(operations)


def test_holders_one_after_the_other_are_fine():
    found = history.check(hold("a", 1, 10, 20) + hold("b", 2, 20, 30))
    assert [each.token for each in found] == [1, 2]


def test_two_exclusive_holders_at_once_are_found():
    wrong(hold("a", 1, 10, 20) + hold("b", 2, 19, 30), "two holders")


def test_a_short_hold_inside_a_long_one_is_found():
    wrong(hold("a", 1, 10, 100) + hold("b", 2, 20, 21) + hold("c", 3, 50, 60), "two holders")
    wrong(hold("a", 1, 10, 100, "shared") + hold("b", 2, 20, 21, "shared") + hold("c", 3, 50, 60),
          "two holders")


def test_different_locks_dont_conflict():
    history.check(hold("a", 1, 10, 20) + hold("b", 2, 15, 30, lock="b"))


def test_shared_holders_overlap_but_not_with_an_exclusive_one():
    readers = hold("a", 1, 10, 30, "shared") + hold("b", 2, 12, 15, "shared")
    history.check(readers + hold("c", 3, 30, 40))
    wrong(readers + hold("c", 3, 29, 40), "two holders")


def test_a_token_that_shrinks_is_found():
    wrong(hold("a", 5, 10, 20) + hold("b", 4, 22, 30), "older token came later")
    wrong(hold("a", 5, 10, 20) + hold("b", 4, 22, 30, lock="b"), "older token came later")


def test_concurrent_acquires_may_be_answered_in_any_order():
    history.check(hold("a", 5, 10, 20, "shared") + hold("b", 4, 21, 30, "shared", asked=9))


def test_who_counts_on_a_hold_that_was_passed_on_is_found():
    """Both asked at once, so the tokens may come in any order; but the one with the older token was
    over when the other one was granted."""
    wrong(hold("a", 5, 10, 20) + hold("b", 4, 21, 30, asked=9), "counted on later")


def test_a_token_given_twice_is_found():
    wrong(hold("a", 5, 10, 20, "shared") + hold("b", 5, 11, 30, "shared"), "two grants")


def test_a_loss_ends_a_hold():
    history.check(lost("a", 1, 10, 20) + hold("b", 2, 20, 30))


def test_a_grant_that_came_too_late_to_be_counted_on_is_no_hold():
    """Its client was stopped, its lease ended meanwhile, and the library said so at once."""
    history.check(lost("a", 1, 50, 0, asked=5) + hold("b", 2, 20, 60))


def test_a_holder_that_is_not_shown_is_found():
    history.check(hold("a", 1, 10, 20) + show(12, 15, 1))
    wrong(hold("a", 1, 10, 20) + show(12, 15), "isn't shown")
    # It ended, or began, while the question was under way.
    history.check(hold("a", 1, 10, 20) + show(12, 21) + show(5, 15))
    wrong(hold("a", 1, 10, 90, "shared") + hold("b", 2, 11, 15, "shared") +
          hold("c", 3, 12, 80, "shared") + show(20, 30, 1, mode="shared"), "isn't shown")


def test_a_hold_that_was_released_and_is_shown_is_found():
    history.check(hold("a", 1, 10, 20) + show(20, 30, 1))
    wrong(hold("a", 1, 10, 20) + show(22, 30, 1), "released before")


def test_a_lease_that_ended_early_is_found():
    ended = {"client": "a", "op": "leaseLost", "lease": "1", "start": "9", "end": "9"}
    history.check([dict(ended, deadline="9")])
    wrong([dict(ended, deadline="10")], "before its deadline")


def test_a_hold_that_vanished_is_found():
    acquire, release = hold("a", 1, 10, 20)
    release |= {"ok": None, "end": None, "error": "notHeld", "lease": "1"}
    wrong([acquire, release], "although its lease lived")
    ended = {"op": "leaseLost", "lease": "1", "end": "9", "deadline": "9"}
    history.check([acquire, release, ended])


def test_a_line_that_was_torn_off_is_no_operation():
    assert len(history.read(['{"holdfastHistory":1}\n', '{"op":"show"}\n', '{"op":"sho'])) == 1


# -- one order for all -----------------------------------------------------------------------------


def acquire(client, start, end, ok, lock="a", mode="exclusive", **more):
    return [{"client": client, "op": "acquire", "lock": lock, "mode": mode, "lease": client,
             "start": str(start), "end": None if end is None else str(end), "ok": ok, **more}]


def opened(client):
    return [{"client": client, "op": "open", "ok": True, "lease": client, "start": "0", "end": "1"}]


def killed(client, at):
    return [{"op": "fault", "kind": "kill", "client": client, "start": str(at), "end": str(at)}]


def shown(start, end, *tokens, lease="b", lock="a"):
    (line,) = show(start, end, *tokens, lock=lock)
    line["holders"] = [dict(h, lease=lease) for h in line["holders"]]
    return [line]


def test_two_reads_that_no_order_explains_are_found():
    """Each by itself is fine: the lock was passed on while both were under way."""
    holders = hold("a", 1, 10, 20) + hold("b", 2, 40, 50, asked=11)
    history.check(holders + shown(12, 30, 2) + shown(31, 39, 2))
    wrong(holders + shown(12, 15, 2), "isn't shown")
    first, second = hold("c", 1, 10, 20, asked=1), hold("d", 2, 40, 50, asked=1)
    first[1]["end"] = "60"
    wrong(first + second + shown(21, 25, 2) + shown(26, 30, 1), "no order of events")


def test_an_acquire_of_unknown_outcome_may_be_shown_or_not():
    maybe = opened("b") + acquire("b", 10, None, None, error="unavailable")
    history.check(maybe + shown(20, 21, 7))
    history.check(maybe + shown(20, 21))
    wrong(maybe + shown(5, 6, 7), "nobody asked to be")
    wrong(maybe + shown(20, 21, 7, lock="c"), "nobody asked to be")


def test_an_acquire_that_surely_had_no_effect_is_not_shown_afterwards():
    no = opened("b") + acquire("b", 10, 15, False, error="timeout")
    history.check(no + shown(14, 16, 7))  # it was granted and given back in the very last moment
    wrong(no + shown(16, 17, 7), "nobody asked to be")


def test_a_client_that_was_killed_may_have_asked_for_anything():
    history.check(opened("b") + killed("b", 10) + shown(20, 21, 7))
    wrong(opened("b") + killed("c", 10) + shown(20, 21, 7), "nobody asked to be")


def test_a_hold_whose_release_was_never_answered_may_linger():
    acquired, release = hold("a", 1, 10, 20)
    release |= {"ok": None, "end": None, "error": "unavailable", "lease": "a"}
    history.check([acquired, release] + shown(90, 91, 1))
    history.check([acquired, release] + shown(90, 91) + hold("b", 2, 95, 99))
    wrong([acquired, release] + shown(80, 81) + shown(90, 91, 1), "no order of events")


def test_a_try_fails_only_if_somebody_is_in_the_way():
    refused = acquire("b", 12, 15, False, error="wouldBlock", **{"try": True})
    history.check(hold("a", 1, 10, 20) + refused)
    history.check(hold("a", 1, 14, 20, asked=11) + refused)
    wrong(hold("a", 1, 30, 40) + refused, "no order of events")
    wrong(hold("a", 1, 2, 5) + refused, "no order of events")
    # Another one may have waited, or held the lock, without having been told.
    history.check(hold("a", 1, 30, 40) + refused + acquire("c", 1, 90, False, error="timeout"))


def test_a_token_is_valid_exactly_as_long_as_it_holds():
    def verify(start, end, valid):
        return [{"client": "z", "op": "verify", "lock": "a", "token": "1", "valid": valid,
                 "ok": True, "start": str(start), "end": str(end)}]
    history.check(hold("a", 1, 10, 20) + verify(12, 13, True) + verify(25, 26, False))
    history.check(hold("a", 1, 10, 20) + verify(20, 21, True) + verify(20, 21, False))
    wrong(hold("a", 1, 10, 20) + verify(12, 13, False), "no order of events")
    wrong(hold("a", 1, 10, 20) + verify(25, 26, True), "no order of events")


# -- the queue -------------------------------------------------------------------------------------


def queued(start, end, *leases, held=()):
    (line,) = show(start, end, *held, mode="shared")
    return [dict(line, waiters=[{"lease": lease, "mode": "shared"} for lease in leases])]


def test_who_is_overtaken_in_the_queue_is_found():
    def waited(client, token, ends):
        lines = hold(client, token, 50 + token, ends, "shared", asked=1)
        return [dict(line, lease=client) for line in lines]
    first, second = waited("a", 1, 80), waited("b", 2, 80)
    history.check(first + second + queued(10, 11, "a", "b"))
    wrong(first + second + queued(10, 11, "b", "a"), "overtaken")
    # One that asked while the queue was looked at may have been another one of the same client.
    history.check(first + second + queued(0, 11, "b", "a"))
    wrong(first + second + queued(10, 11, "b", "nobody", "a"), "overtaken")


def test_who_came_later_and_was_let_in_at_once_is_found():
    """A writer waits behind a reader, and another reader slips in."""
    reader = hold("r", 1, 5, 30, "shared")
    writer = [dict(line, lease="w") for line in hold("w", 3, 40, 50, asked=8)]
    seen = queued(10, 11, "w", held=[1])
    wrong(reader + writer + seen + hold("late", 2, 20, 25, "shared", asked=12),
          "overtaken while it waited")
    # Asked for before the queue was looked at, or not in anybody's way.
    history.check(reader + writer + seen + hold("early", 2, 20, 25, "shared", asked=11))
    history.check(reader + writer + seen +
                  hold("elsewhere", 2, 20, 25, "shared", lock="b", asked=12))


# -- fencing ---------------------------------------------------------------------------------------


def written(token, at, ok=True, mode="exclusive", lock="a"):
    return [{"client": "guarded", "op": "write", "lock": lock, "mode": mode, "token": str(token),
             "by": "x", "ok": ok, "start": str(at), "end": str(at)}]


BEYOND = [{"op": "fault", "kind": "rate", "beyondDrift": True, "start": "1", "end": "2"}]


@pytest.mark.parametrize("clocks", [[], BEYOND])
def test_an_older_token_that_is_admitted_is_found(clocks):
    wrong(clocks + written(2, 10) + written(1, 11), "older token was admitted")
    wrong(clocks + written(2, 10, mode="shared") + written(1, 11), "older token was admitted")
    wrong(clocks + written(2, 10) + written(1, 11, mode="shared"), "older token was admitted")
    history.check(clocks + written(2, 10) + written(1, 11, ok=False) + written(2, 12))
    history.check(clocks + written(2, 10, mode="shared") + written(1, 11, mode="shared"))
    history.check(clocks + written(2, 10) + written(1, 11, lock="b"))


def test_a_certain_holder_that_is_refused_is_found():
    refused = {"client": "a", "op": "write", "lock": "a", "mode": "exclusive", "token": "1",
               "ok": False, "error": "fenced", "start": "10", "end": "11"}
    history.check([dict(refused, held=False)])
    wrong([dict(refused, held=True)], "was refused")
    history.check([dict(refused, held=True)] + BEYOND)


def test_beyond_the_drift_bound_holders_may_overlap_but_tokens_only_grow():
    overlapping = hold("a", 1, 10, 20) + hold("b", 2, 15, 30)
    wrong(overlapping, "two holders")
    history.check(overlapping + BEYOND)
    wrong(hold("a", 2, 10, 20) + hold("b", 1, 22, 30) + BEYOND, "older token came later")
    wrong(hold("a", 2, 10, 20, "shared") + hold("b", 2, 22, 30, "shared") + BEYOND, "two grants")
