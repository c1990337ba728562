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
