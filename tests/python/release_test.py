"""Releasing: whose hold it is, and what a `with` body may rely on."""

import gc

import pytest

import holdfast
from cell import wait_for


def test_releasing_what_is_not_held_is_not_held(session, name):
    lock = session.lock(name)
    with pytest.raises(holdfast.NotHeld) as raised:
        lock.release()
    assert not isinstance(raised.value, holdfast.LockLost)
    assert raised.value.lock == name and raised.value.code == "notHeld"
    lock.release(missing_ok=True)
    for attribute in "token", "deadline":
        with pytest.raises(holdfast.NotHeld):
            getattr(lock, attribute)


def test_a_grant_is_released_once(session, name):
    lock = session.lock(name)
    grant = lock.acquire()
    grant.release()
    with pytest.raises(holdfast.NotHeld) as raised:
        grant.release()
    assert raised.value.token == grant.token
    with pytest.raises(holdfast.NotHeld):
        lock.release()
    assert grant.remaining == 0


def test_an_old_grant_never_touches_a_newer_one(session, name):
    lock = session.lock(name)
    old = lock.acquire()
    lock.release()
    new = lock.acquire()
    with pytest.raises(holdfast.NotHeld):
        old.release()
    assert new.held and lock.token == new.token


def test_leaving_a_body_never_touches_a_newer_grant(session, threads, name):
    lock = session.lock(name)
    with lock:
        lock.release()
        newer = threads(lock.acquire).result(10)
    assert newer.held and lock.locked()


def test_the_body_never_runs_unlocked(session, other, name):
    ran = []
    with session.lock(name):
        for timeout in 0, 0.1:
            with pytest.raises(holdfast.LockTimeout) as raised:
                with other.lock(name, timeout=timeout):
                    ran.append(timeout)
            assert isinstance(raised.value, TimeoutError)
            assert raised.value.lock == name and raised.value.code == "timeout"
    assert not ran


def test_a_body_that_raises_releases_and_raises_that(session, other, name):
    with pytest.raises(KeyError):
        with session.lock(name):
            raise KeyError(name)
    assert other.lock(name).try_acquire()


def test_a_body_may_end_its_session(cell, name):
    session = cell.session()
    with session.lock(name):
        session.close()
    assert not cell.describe(name).holders


def test_a_grant_can_be_the_body_s_own(session, other, name):
    with session.lock(name).try_acquire() as grant:
        assert other.lock(name).try_acquire() is False
    assert not grant.held and other.lock(name).try_acquire()


def test_a_hold_lasts_though_nobody_refers_to_it_as_long_as_its_session(cell, name):
    """A lock that goes because a name went out of scope would be lost without a word."""
    session = cell.session()
    session.lock(name).acquire()
    gc.collect()
    assert cell.describe(name).holders
    session.renew()
    del session
    gc.collect()
    wait_for(lambda: not cell.describe(name).holders, "the session closed its lease")


def test_a_hold_that_somebody_else_ended_was_lost(session, daemons, name):
    """The cell's word counts, whoever ended it."""
    lock = session.lock(name)
    grant = lock.acquire()
    lost = grant.lost
    daemons.lockctl("release", "--lease", session.lease, "--token", grant.token, name)
    with pytest.raises(holdfast.LockLost) as raised:
        lock.release()
    assert (raised.value.lock, raised.value.token) == (name, grant.token)
    assert lost.result(0) is raised.value
    with pytest.raises(holdfast.NotHeld):
        lock.release()


def test_leaving_a_body_says_that_the_lock_was_lost(session, daemons, name):
    with pytest.raises(holdfast.LockLost):
        with session.lock(name) as grant:
            daemons.lockctl("release", "--lease", session.lease, "--token", grant.token, name)
    with pytest.raises(KeyError):  # but not instead of what the body says
        with session.lock(name) as grant:
            daemons.lockctl("release", "--lease", session.lease, "--token", grant.token, name)
            raise KeyError(name)


def test_the_future_of_a_loss_is_cancelled_by_a_release(session, cell, name):
    lock = session.lock(name)
    grant = lock.acquire()
    lost = grant.lost
    assert not lost.done() and grant.lost is lost
    grant.release()
    assert lost.cancelled()
    grant = lock.acquire()
    grant.release()
    assert grant.lost.cancelled()
    with cell.session() as short:
        lost = short.lock(name).acquire().lost
    assert lost.cancelled()
