"""Sessions: opening, closing, losing, and what can be seen of them."""

import dataclasses
import os
import threading
import time

import pytest

import holdfast
from cell import Cell, wait_for


@pytest.fixture(name="fragile")
def fixture_fragile():
    """Daemons of a test's own, which may be stopped."""
    with Cell(nodes=1) as daemons:
        daemons.wait_leader()
        yield daemons
        for node in daemons.nodes:
            daemons.resume(node)


def stop_all(daemons):
    for node in daemons.nodes:
        daemons.pause(node)


# -- opening and closing ---------------------------------------------------------------------------


def test_endpoints_are_one_string_or_several(daemons):
    for endpoints in daemons.endpoints, daemons.endpoints.split(","), daemons.endpoints + ",":
        with holdfast.connect(endpoints, timeout=5) as cell:
            assert len(cell.status().nodes) == 3


def test_without_endpoints_the_environment_tells(python):
    program = "import holdfast; print(len(holdfast.connect().status().nodes))"
    assert python(program).communicate(timeout=20) == ("3\n", "")


@pytest.mark.parametrize("endpoints", ["", [], " , ", "nonsense", "host:port"])
def test_endpoints_that_are_none_are_an_invalid_argument(endpoints):
    with pytest.raises(holdfast.InvalidArgument):
        holdfast.connect(endpoints)


@pytest.mark.parametrize("ttl", [0, -1, 0.1, 86401, float("nan"), 1e300])
def test_a_ttl_out_of_range_is_an_invalid_argument(cell, ttl):
    with pytest.raises(holdfast.InvalidArgument):
        cell.session(ttl=ttl)


@pytest.mark.parametrize("lock_delay", [-1, 61])
def test_a_lock_delay_out_of_range_is_an_invalid_argument(cell, lock_delay):
    with pytest.raises(holdfast.InvalidArgument):
        cell.session(lock_delay=lock_delay)


def test_a_session_closes_its_lease_at_the_end(cell, name):
    with cell.session(ttl=60, reason="month's end") as session:
        assert session.lease in [lease.lease for lease in cell.leases()]
        assert session.alive and session.ttl == 60 and len(session.secret) == 32
        session.lock(name).acquire()
    assert session.lease not in [lease.lease for lease in cell.leases()]
    assert not cell.describe(name).holders
    assert not session.alive


def test_closing_twice_is_fine_and_later_use_raises(cell, name):
    session = cell.session()
    lock = session.lock(name)
    grant = lock.acquire()
    session.close()
    session.close()
    for use in session.renew, lock.acquire, lambda: session.lock(name):
        with pytest.raises(holdfast.LeaseLost):
            use()
    with pytest.raises(holdfast.NotHeld):
        grant.release()
    assert not lock.held


@pytest.mark.parametrize("what", ["session", "cell"])
def test_closing_ends_all_waits(daemons, other, threads, waits_for, name, what):
    """Those at the cell, and those behind the object's own holder, of whom no cell knows."""
    cell = holdfast.connect(daemons.endpoints)
    session = cell.session()
    held = session.lock(name + "/held")
    held.acquire()
    other.lock(name).acquire()
    lock = session.lock(name)
    waiting = [threads(lock.acquire), threads(lock.acquire),
               threads(held.acquire), threads(held.acquire, timeout=60)]
    waits_for(name)
    wait_for(lambda: all(w.running() for w in waiting), "all wait")
    {"session": session, "cell": cell}[what].close()
    for one in waiting:
        with pytest.raises(holdfast.LeaseLost):
            one.result(10)
    cell.close()


def test_renewing_moves_the_deadline(session):
    before = session.deadline
    session.renew()
    assert session.deadline > before


def test_a_session_lives_as_long_as_it_is_there(cell, name):
    with cell.session(ttl=0.5) as session, session.lock(name) as grant:
        ends = time.monotonic() + 1.5
        while time.monotonic() < ends:
            assert grant.held
            time.sleep(0.01)


def test_a_closed_cell_answers_nothing(daemons):
    cell = holdfast.connect(daemons.endpoints)
    cell.status()
    cell.close()
    cell.close()
    for use in cell.status, cell.locks, cell.session:
        with pytest.raises(holdfast.Unavailable):
            use()


def test_a_cell_may_be_closed_by_several_threads_at_once(daemons, threads):
    for _ in range(20):
        cell = holdfast.connect(daemons.endpoints)
        cell.session()
        for closing in [threads(cell.close) for _ in range(4)]:
            closing.result(10)


def test_no_answer_is_unavailable_and_not_no():
    """Nobody listens there, and so nobody can say that the lock is taken."""
    with holdfast.connect("127.0.0.1:1", timeout=0.3) as cell:
        began = time.monotonic()
        with pytest.raises(holdfast.Unavailable) as raised:
            cell.session()
        assert isinstance(raised.value, ConnectionError) and raised.value.code == "unavailable"
        assert time.monotonic() - began < 5


# -- losing ----------------------------------------------------------------------------------------


def test_without_the_cell_a_session_ends_at_its_deadline(fragile, name):
    """By the local clock alone: all daemons are stopped, and nobody tells the client anything."""
    told, warned = threading.Event(), []

    def on_lost(reason):
        warned.append((reason, time.clock_gettime(time.CLOCK_BOOTTIME)))
        told.set()

    left = []
    with holdfast.connect(fragile.endpoints) as cell:
        session = cell.session(ttl=1.0, on_lost=on_lost, on_jeopardy=left.append)
        lock = session.lock(name)
        grant = lock.acquire()
        lost = grant.lost
        stop_all(fragile)
        wait_for(lambda: left, "jeopardy")
        assert grant.held and 0 < left[0] < 1.0
        deadline = grant.deadline
        assert told.wait(10)
        reason, at = warned[0]
        assert deadline <= at < deadline + 1.0
        assert isinstance(reason, holdfast.LeaseLost) and len(warned) == 1
        assert not grant.held and not lock.held and grant.remaining == 0 and not session.alive
        assert isinstance(lost.result(5), holdfast.LeaseLost)
        with pytest.raises(holdfast.LockLost) as raised:
            lock.release()
        assert (raised.value.lock, raised.value.token) == (name, grant.token)
        for use in session.renew, lock.acquire, lambda: session.lock(name):
            with pytest.raises(holdfast.LeaseLost):
                use()
        session.close()
        fragile.resume(1)


def test_a_loss_is_told_also_when_the_session_is_closed_before(cell, daemons, name):
    """A slow callback of another session holds up the news."""
    reached, go_on = threading.Event(), threading.Event()

    def slow(reason):
        reached.set()
        go_on.wait(20)

    sessions = [cell.session(ttl=0.5, on_lost=slow), cell.session(ttl=0.5)]
    lost = [session.lock(name, mode="shared").acquire().lost for session in sessions]
    daemons.lockctl("lease", "close", sessions[0].lease)
    assert reached.wait(10)
    daemons.lockctl("lease", "close", sessions[1].lease)
    wait_for(lambda: not sessions[1].alive, "the second is lost")
    sessions[1].close()
    go_on.set()
    for future in lost:
        assert isinstance(future.result(10), holdfast.LeaseLost)


def test_pending_acquires_of_a_lost_session_raise(fragile, threads, name):
    with holdfast.connect(fragile.endpoints) as cell, cell.session(ttl=1.0) as session:
        holder, lock = session.lock(name), session.lock(name)
        holder.acquire()
        waiting = [threads(lock.acquire), threads(lock.acquire, timeout=60),
                   threads(holder.acquire), threads(holder.acquire, timeout=60)]
        wait_for(lambda: len(cell.describe(name).waiters) == 1, "a wait")
        stop_all(fragile)
        for one in waiting:
            with pytest.raises(holdfast.LeaseLost):
                one.result(10)
        fragile.resume(1)


def test_a_body_that_outlives_its_lease_ends_with_lock_lost(fragile, name):
    with holdfast.connect(fragile.endpoints) as cell, cell.session(ttl=0.5) as session:
        with pytest.raises(holdfast.LockLost):
            with session.lock(name) as grant:
                stop_all(fragile)
                grant.lost.result(10)
        fragile.resume(1)


def test_a_lease_that_somebody_else_closed_is_lost(cell, daemons, name):
    told = threading.Event()
    session = cell.session(ttl=1.0, on_lost=lambda reason: told.set())
    with pytest.raises(holdfast.LockLost):
        with session.lock(name):
            daemons.lockctl("lease", "close", session.lease)
            assert told.wait(10)


def test_a_callback_that_raises_or_closes_its_session_harms_nobody(cell, daemons, caplog):
    told = []
    sessions = []

    def on_lost(reason):
        sessions[len(told)].close()
        told.append(reason)
        raise ValueError("from a callback")

    sessions += [cell.session(ttl=0.5, on_lost=on_lost) for _ in range(2)]
    for session in sessions:
        daemons.lockctl("lease", "close", session.lease)
    wait_for(lambda: len(told) == 2, "both are told")
    wait_for(lambda: len(caplog.records) == 2, "both are logged")


def test_an_acquire_outlives_its_leader(name):
    """A waiting acquire survives a failover, and the grant comes from the new leader."""
    with Cell(nodes=3) as daemons, holdfast.connect(daemons.endpoints) as cell:
        leader = daemons.wait_leader()
        with cell.session() as session:
            lock = session.lock(name)
            before = lock.acquire()
            daemons.kill(leader)
            lock.release()
            assert lock.acquire(timeout=20).token > before.token


# -- seeing ----------------------------------------------------------------------------------------


def test_holders_and_waiters_are_told_with_their_owners(cell, session, other, threads, waits_for,
                                                        name):
    lock = session.lock(name, reason="nightly")
    grant = lock.acquire()
    waiting = threads(other.lock(name).acquire)
    waits_for(name)
    info = lock.info()
    assert info == cell.describe(name) and [info] == cell.locks(name)
    assert (info.name, info.kind, info.mode) == (name, "lock", "exclusive")
    assert info.value is None and info.delay_remaining == 0 and info.revision > grant.token
    (holder,), (waiter,) = info.holders, info.waiters
    assert (holder.lease, holder.token, holder.mode) == (session.lease, grant.token, "exclusive")
    assert (waiter.lease, waiter.position) == (other.lease, 1)
    assert abs(holder.acquired_at - time.time()) < 30 and waiter.waiting_since > 1e9
    assert holder.owner.pid == os.getpid() and holder.owner.reason == "nightly"
    assert holder.owner.host and holder.owner.boot_id and holder.owner.user
    assert holder.owner.version == holdfast.__version__
    assert 0 < holder.owner.started_at <= holder.acquired_at
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.name = "other"
    lock.release()
    waiting.result(10)


def test_a_free_lock_is_described_too(cell, name):
    info = cell.describe(name)
    assert (info.name, info.mode, info.holders, info.waiters) == (name, "", (), ())


def test_locks_are_listed_by_prefix(cell, session, name):
    grants = [session.lock(f"{name}/{i}").acquire() for i in range(3)]
    assert [lock.name for lock in cell.locks(name + "/")] == [grant.lock for grant in grants]
    assert cell.locks(name + "/none") == []
    (lease,) = [lease for lease in cell.leases() if lease.lease == session.lease]
    assert {(hold.lock, hold.token) for hold in lease.holds} == {(g.lock, g.token) for g in grants}
    assert lease.ttl == 10 and 0 < lease.remaining <= 10 and lease.owner.pid == os.getpid()


def test_the_status_tells_of_all_nodes(cell, daemons):
    status = cell.status()
    assert [node.id for node in status.nodes] == [1, 2, 3]
    assert status.leader == daemons.leader()
    assert {node.role for node in status.nodes} == {"leader", "follower"}
    assert status.revision > 0 and len(status.cell) == 16
