"""The history checker itself: one that finds nothing wrong in a wrong history is no checker."""

import pytest

import history


def hold(client, token, begins, ends, mode="exclusive", lock="a"):
    return [
        {"client": client, "op": "acquire", "seq": "1", "lock": lock, "mode": mode, "ok": True,
         "token": str(token), "start": str(begins - 1), "end": str(begins)},
        {"client": client, "op": "release", "seq": "2", "lock": lock, "ok": True,
         "token": str(token), "start": str(ends), "end": str(ends + 1)},
    ]


def test_holders_one_after_the_other_are_fine():
    assert history.check(hold("a", 1, 10, 20) + hold("b", 2, 20, 30)) == [10, 20]


def test_two_exclusive_holders_at_once_are_found():
    with pytest.raises(history.Violation, match="two holders"):
        history.check(hold("a", 1, 10, 20) + hold("b", 2, 19, 30))


def test_a_short_hold_inside_a_long_one_is_found():
    with pytest.raises(history.Violation, match="two holders"):
        history.check(hold("a", 1, 10, 100) + hold("b", 2, 101, 102) + hold("c", 3, 50, 60))


def test_shared_holders_overlap_but_not_with_an_exclusive_one():
    readers = hold("a", 1, 10, 30, "shared") + hold("b", 2, 12, 15, "shared")
    history.check(readers + hold("c", 3, 30, 40))
    with pytest.raises(history.Violation, match="two holders"):
        history.check(readers + hold("c", 3, 29, 40))


def test_a_token_that_shrinks_is_found():
    with pytest.raises(history.Violation, match="older token"):
        history.check(hold("a", 5, 10, 20) + hold("b", 4, 21, 30))


def test_a_token_given_twice_is_found():
    with pytest.raises(history.Violation, match="twice"):
        history.check(hold("a", 5, 10, 20, "shared") + hold("b", 5, 11, 30, "shared"))


def test_a_loss_ends_a_hold():
    lost = [dict(line, op="lost") if line["op"] == "release" else line
            for line in hold("a", 1, 10, 20)]
    history.check(lost + hold("b", 2, 20, 30))
