"""The search for an order: histories made by hand that have one, however odd, or have none."""

import pytest

import linearizable
from linearizable import End, Grant, Read, check

READER = {"mode": "shared"}


def grant(token, call, returned, mode="exclusive"):
    return Grant(token, mode, call, returned)


def read(call, returned, *tokens):
    return Read(lambda holders: holders == frozenset(tokens), call, returned, "read")


def test_one_after_the_other():
    assert check([grant(1, 0, 5), grant(2, 6, 9)], [End(1, 5, 6), End(2, 10, 11)], []) is None


def test_a_grant_while_another_one_certainly_holds_is_found():
    assert check([grant(1, 0, 5), grant(2, 6, 9)], [End(1, 10, 11)], []) == grant(2, 6, 9)


def test_readers_share_and_writers_dont():
    shared = [grant(1, 0, 5, **READER), grant(2, 1, 6, **READER)]
    assert check(shared, [], [read(7, 8, 1, 2)]) is None
    assert check([*shared, grant(3, 7, 9)], [End(1, 7, 8)], []) == grant(3, 7, 9)


def test_an_end_of_unknown_outcome_may_have_happened_at_any_time_or_never():
    """A lease that was lost, or a release that was never answered."""
    first, second = grant(1, 0, 5), grant(2, 50, 60)
    assert check([first, second], [End(1, 10)], []) is None
    assert check([first], [End(1, 10)], [read(90, 91, 1)]) is None
    assert check([first], [End(1, 10)], [read(90, 91)]) is None


def test_what_has_ended_doesnt_come_back():
    wrong = read(92, 93, 1)
    assert check([grant(1, 0, 5)], [End(1, 10)], [read(90, 91), wrong]) is wrong


def test_an_end_doesnt_come_before_its_call():
    assert check([grant(1, 0, 5), grant(2, 6, 9)], [End(1, 10)], []) == grant(2, 6, 9)


def test_tokens_come_in_order_although_answers_dont():
    assert check([grant(2, 0, 5, **READER), grant(1, 1, 9, **READER)], [], []) is None
    late = grant(1, 6, 9, **READER)
    assert check([grant(2, 0, 5, **READER), late], [], []) == grant(2, 0, 5, **READER)


def test_a_read_between_two_holds_may_see_neither():
    assert check([grant(1, 0, 5), grant(2, 6, 20)], [End(1, 7, 9)], [read(6, 15)]) is None


def test_a_read_may_see_any_moment_of_its_own_and_no_other():
    holds, ends = [grant(1, 0, 5), grant(2, 6, 20)], [End(1, 7, 9)]
    for seen in ((1,), (), (2,)):
        assert check(holds, ends, [read(6, 25, *seen)]) is None
    stale = read(10, 25, 1)
    assert check(holds, ends, [stale]) is stale
    both = read(6, 25, 1, 2)
    assert check(holds, ends, [both]) is both


def test_two_reads_must_agree_on_one_order():
    """Two readers end at about the same time: somebody saw the first alone, or somebody saw the
    second alone, but not both."""
    holds = [grant(1, 0, 5, **READER), grant(2, 0, 5, **READER)]
    ends = [End(1, 10, 20), End(2, 10, 20)]
    for one in (1, 2):
        assert check(holds, ends, [read(10, 20, one)]) is None
    assert check(holds, ends, [read(10, 20, 1), read(10, 20, 2)]) is not None


def test_a_read_that_returns_early_holds_later_ones_to_it():
    """The first read saw the second holder, so the first hold was over: the next can't see it."""
    holds, ends = [grant(1, 0, 5), grant(2, 6, 40)], [End(1, 6, 40)]
    assert check(holds, ends, [read(10, 20, 2), read(21, 30, 2)]) is None
    back = read(21, 30, 1)
    assert check(holds, ends, [read(10, 20, 2), back]) is back


def test_an_end_before_its_grant_is_found():
    assert check([grant(1, 50, 60)], [End(1, 10, 20)], []) == End(1, 10, 20)


def test_giving_up_is_said(monkeypatch):
    monkeypatch.setattr(linearizable, "MOST_STATES", 100)
    many = [grant(i, 0, 5, **READER) for i in range(1, 20)]
    with pytest.raises(linearizable.Undecided):
        check(many, [End(i, 6) for i in range(1, 20)], [read(7, 8, 99)])
