"""Leases that outlive their programs, and those that end with their connection."""

import signal
import time

import pytest

import holdfast
from cell import wait_for

# Holds a lock and tells under which lease, then waits to be killed.
HOLDER = """
import sys, time, holdfast
cell = holdfast.connect({endpoints!r})
session = cell.session(ttl={ttl}, drop_on_disconnect={drop})
lock = session.lock({name!r})
grant = lock.acquire()
print(session.lease, session.secret, grant.token, flush=True)
time.sleep(60)
"""


@pytest.fixture(name="holder")
def fixture_holder(daemons, python, name):
    """holder(ttl, drop) starts a program that holds the lock; it, lease, secret, token."""
    def start(ttl=2.0, drop=False):
        program = python(HOLDER.format(endpoints=daemons.endpoints, ttl=ttl, drop=drop, name=name))
        lease, secret, token = program.stdout.readline().split()
        return program, lease, secret, int(token)
    return start


def kill(program):
    program.send_signal(signal.SIGKILL)
    program.wait()


def test_a_restarted_program_has_its_lease_and_its_lock_again(cell, other, holder, name, threads):
    program, lease, secret, token = holder()
    waiting = threads(other.lock(name).acquire)
    wait_for(lambda: cell.describe(name).waiters, "the other waits")
    kill(program)
    with cell.session(lease=lease, secret=secret) as session:
        assert session.lease == lease and session.ttl == 2.0
        grant = session.lock(name).acquire()
        assert grant.token > token  # whoever had it before is refused where this was seen
        assert not cell.verify(name, token) and cell.verify(name, grant.token)
        time.sleep(2.5)  # it is renewed: the other still waits
        assert session.alive and not waiting.done()
        grant.release()
        waiting.result(10).release()


def test_the_session_is_given_when_the_other_cannot_believe_in_it_any_more(cell, holder):
    program, lease, secret, _ = holder(ttl=3.0)
    begun = time.monotonic()
    with cell.session(lease=lease, secret=secret):
        assert 1.5 < time.monotonic() - begun < 3.5  # it was renewed a second before at most
    kill(program)


def test_whoever_had_the_lease_loses_it(daemons, cell):
    lost = []
    with holdfast.connect(daemons.endpoints) as old:
        former = old.session(ttl=1.5, on_lost=lost.append)
        with cell.session(lease=former.lease, secret=former.secret) as session:
            assert not former.alive
            wait_for(lambda: lost, "the loss is told")
            assert isinstance(lost[0], holdfast.LeaseLost)
            with pytest.raises(holdfast.LeaseLost):
                former.lock("x").acquire()
            assert session.alive
        assert not former.alive


def test_a_session_of_the_same_connection_can_be_adopted(cell, name):
    former = cell.session(ttl=1.0)
    token = former.lock(name).acquire().token
    with cell.session(lease=former.lease, secret=former.secret) as session:
        assert not former.alive
        assert session.lock(name).acquire().token > token


def test_the_id_alone_is_not_enough(cell, session):
    with pytest.raises(holdfast.InvalidArgument, match="both its id and its secret"):
        cell.session(lease=session.lease)
    with pytest.raises(holdfast.InvalidArgument, match="both its id and its secret"):
        cell.session(secret=session.secret)
    with pytest.raises(holdfast.InvalidArgument, match="32 hexadecimal digits"):
        cell.session(lease=session.lease, secret="00")
    with pytest.raises(holdfast.InvalidArgument, match="is not the id of a lease"):
        cell.session(lease="zz", secret=session.secret)
    with pytest.raises(holdfast.PermissionDenied):
        cell.session(lease=session.lease, secret="0" * 32)
    assert session.alive


def test_a_lease_that_is_over_is_not_found(cell):
    with cell.session() as session:
        lease, secret = session.lease, session.secret
    with pytest.raises(holdfast.LeaseLost):
        cell.session(lease=lease, secret=secret)


def test_a_crash_frees_at_once_what_ends_with_its_connection(cell, session, holder, name):
    program, *_ = holder(ttl=60.0, drop=True)
    assert not session.lock(name).acquire(timeout=0)
    time.sleep(2)  # longer than the grace: it lives as long as its connection does
    assert not session.lock(name).acquire(timeout=0)
    kill(program)
    begun = time.monotonic()
    session.lock(name).acquire(timeout=20).release()
    assert time.monotonic() - begun < 4


def test_without_that_it_lasts_its_ttl(session, holder, name):
    program, *_ = holder(ttl=4.0)
    kill(program)
    assert not session.lock(name).acquire(timeout=2)
    session.lock(name).acquire(timeout=10).release()


def test_it_survives_a_change_of_leaders(daemons, cell, name):
    with cell.session(ttl=30, drop_on_disconnect=True) as session:
        grant = session.lock(name).acquire()
        leader = daemons.wait_leader()
        assert daemons.lockctl("leader", "transfer").returncode == 0
        wait_for(lambda: daemons.wait_leader() != leader, "another leads")
        time.sleep(2)
        assert session.alive and cell.verify(name, grant.token)
        grant.release()
