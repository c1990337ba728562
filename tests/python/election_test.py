"""Elections: one leads, says something of itself, and is seen by others."""

import pytest

import holdfast


def test_who_campaigns_alone_leads(session, name):
    election = session.election(name)
    assert election.leader() is None and not election.leading
    grant = election.campaign(b"host:1")
    assert grant and grant.held and election.leading
    leader = election.leader()
    assert (leader.value, leader.token) == (b"host:1", grant.token)
    assert leader.owner.pid > 0
    election.resign()
    assert election.leader() is None and not grant.held


def test_the_next_one_has_a_greater_term(session, other, name, threads, waits_for):
    first = session.election(name)
    term = first.campaign(b"one")
    second = threads(other.election(name).campaign, b"two")
    waits_for(name)
    first.resign()
    assert second.result(timeout=10).token > term.token
    assert first.leader().value == b"two"


def test_a_campaign_can_be_tried_limited_and_cancelled(session, other, name, threads, waits_for):
    leading = session.election(name)
    leading.campaign()
    candidate = other.election(name)
    assert candidate.campaign(timeout=0) is False
    assert candidate.campaign(timeout=0.05) is False
    waiting = threads(candidate.campaign)
    waits_for(name)
    candidate.cancel()
    with pytest.raises(holdfast.Cancelled):
        waiting.result(timeout=10)
    waits_for(name, 0)


def test_campaigning_while_leading_proclaims(session, name):
    election = session.election(name)
    grant = election.campaign(b"one")
    assert election.campaign(b"two") is grant
    assert election.leader().value == b"two" and election.leader().token == grant.token
    election.proclaim(b"")
    assert election.leader().value == b""


def test_who_does_not_lead_can_neither_proclaim_nor_resign(session, other, name):
    other.election(name).campaign()
    candidate = session.election(name)
    for act in candidate.resign, lambda: candidate.proclaim(b"x"):
        with pytest.raises(holdfast.NotHeld):
            act()


def test_observers_hear_of_leaders_values_and_vacancies(session, other, name, threads, waits_for):
    first, second = session.election(name), other.election(name)
    with first.observe() as seen:
        assert next(seen) is None
        first.campaign(b"one")
        assert next(seen).value == b"one"
        first.proclaim(b"uno")
        assert next(seen).value == b"uno"
        waiting = threads(second.campaign, b"two")
        waits_for(name)
        first.resign()
        waiting.result(timeout=10)
        assert next(seen).value == b"two"  # without a vacancy: it was waiting
        second.resign()
        assert next(seen) is None


def test_an_observer_begins_with_who_leads(session, name):
    session.election(name).campaign(b"here")
    with session.election(name).observe() as seen:
        assert next(seen).value == b"here"


def test_a_leader_whose_session_is_over_leads_no_more(cell, session, name):
    with session.election(name).observe() as seen:
        assert next(seen) is None
        with cell.session() as brief:
            brief.election(name).campaign(b"brief")
            assert next(seen).value == b"brief"
        assert next(seen) is None


def test_an_election_is_no_lock(session, other, name):
    session.election(name).campaign()
    with pytest.raises(holdfast.InvalidArgument):
        other.lock(name).acquire()


def test_a_value_that_is_too_long_is_refused(session, name):
    with pytest.raises(holdfast.ResourceExhausted):
        session.election(name).campaign(b"x" * (64 * 1024 + 1))
    assert session.election(name).leader() is None
