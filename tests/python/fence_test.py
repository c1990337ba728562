"""Fences, verify, forced releases, lock-delays: what keeps a former holder from doing harm."""

import sqlite3
import time

import pytest

import holdfast
from cell import wait_for


@pytest.fixture(name="fence", params=["memory", "path", "connection"])
def fixture_fence(request, tmp_path):
    if request.param == "memory":
        yield holdfast.Fence()
    elif request.param == "path":
        fence = holdfast.SqliteFence(tmp_path / "data.db")
        yield fence
        fence.close()
    else:
        connection = sqlite3.connect(tmp_path / "data.db")
        yield holdfast.SqliteFence(connection)
        connection.close()


# -- fences ----------------------------------------------------------------------------------------


def test_an_older_token_is_refused_once_a_newer_one_was_seen(fence):
    fence.admit("a", 5)
    fence.admit("a", 5)
    fence.admit("a", 9)
    with pytest.raises(holdfast.Fenced, match="comes after 9") as raised:
        fence.admit("a", 5)
    assert (raised.value.lock, raised.value.token) == ("a", 5)
    fence.admit("b", 5)
    fence.admit("a", 10)


def test_shared_holders_pass_in_any_order_and_an_exclusive_one_fences_them(fence):
    fence.admit("a", 7, mode="shared")
    fence.admit("a", 5, mode="shared")
    fence.admit("a", 6, mode="protected-read")
    fence.admit("a", 8, mode="exclusive")
    with pytest.raises(holdfast.Fenced):
        fence.admit("a", 7, mode="shared")
    fence.admit("a", 9, mode="shared")
    with pytest.raises(holdfast.Fenced):
        fence.admit("a", 8, mode="exclusive")


@pytest.mark.parametrize("token", [0, -1, 2 ** 63])
def test_what_is_no_token_is_an_invalid_argument(fence, token):
    with pytest.raises(holdfast.InvalidArgument):
        fence.admit("a", token)


def test_an_unknown_mode_is_an_invalid_argument(fence):
    with pytest.raises(holdfast.InvalidArgument, match="protected-write"):
        fence.admit("a", 1, mode="write")


def test_a_mark_in_a_file_outlives_its_process(tmp_path):
    first = holdfast.SqliteFence(tmp_path / "data.db")
    first.admit("a", 9)
    first.close()
    with pytest.raises(holdfast.Fenced):
        holdfast.SqliteFence(tmp_path / "data.db").admit("a", 8)


def test_a_mark_goes_with_the_transaction_that_it_guards(tmp_path):
    connection = sqlite3.connect(tmp_path / "data.db")
    connection.execute("CREATE TABLE data (value)")
    fence = holdfast.SqliteFence(connection)
    connection.commit()
    fence.admit("a", 9)
    connection.execute("INSERT INTO data VALUES ('lost')")
    connection.rollback()
    fence.admit("a", 8)
    connection.execute("INSERT INTO data VALUES ('kept')")
    connection.commit()
    with pytest.raises(holdfast.Fenced):
        fence.admit("a", 7)
    assert connection.execute("SELECT value FROM data").fetchall() == [("kept",)]


def test_a_paused_former_holder_is_refused(cell, name):
    """The whole story: it is stopped, its lock passes on, it goes on and tries to write."""
    fence, written = holdfast.Fence(), []

    def write(grant, what):
        fence.admit(name, grant.token)
        written.append(what)

    paused = cell.session(ttl=1.0)
    former = paused.lock(name).acquire()
    write(former, "before")
    cell.force_release(name, former.token, "as if it had stood still past its ttl")
    with cell.session() as session, session.lock(name) as now:
        write(now, "now")
        with pytest.raises(holdfast.Fenced):
            write(former, "too late")
    assert written == ["before", "now"]


# -- verify ----------------------------------------------------------------------------------------


def test_verify_knows_current_tokens_only(session, cell, name):
    lock = session.lock(name)
    lock.acquire()
    token = lock.token
    assert cell.verify(name, token)
    assert not cell.verify(name, token + 1)
    assert not cell.verify(name + "x", token)
    lock.release()
    assert not cell.verify(name, token)


# -- forced releases -------------------------------------------------------------------------------


def test_a_forced_release_ends_that_hold_and_no_other(session, other, cell, threads, waits_for,
                                                      name):
    lock = session.lock(name)
    grant = lock.acquire()
    waiting = threads(other.lock(name).acquire)
    waits_for(name)
    with pytest.raises(holdfast.NotHeld):
        cell.force_release(name, grant.token + 1, "a guess")
    cell.force_release(name, grant.token, "its host burnt down")
    newer = waiting.result(10)
    assert newer.token > grant.token
    with pytest.raises(holdfast.NotHeld):
        cell.force_release(name, grant.token, "again")
    with pytest.raises(holdfast.LockLost):
        lock.release()
    assert newer.held and cell.verify(name, newer.token)


def test_a_forced_release_needs_a_reason(session, cell, name):
    with session.lock(name) as grant:
        with pytest.raises(holdfast.InvalidArgument, match="reason"):
            cell.force_release(name, grant.token, "")


# -- lock-delays -----------------------------------------------------------------------------------


def test_after_a_loss_the_lock_stays_closed_for_its_delay(cell, other, threads, waits_for, name):
    careful = cell.session(lock_delay=1.5)
    grant = careful.lock(name).acquire()
    waiting = threads(other.lock(name).acquire)
    waits_for(name)
    began = time.monotonic()
    cell.force_release(name, grant.token, "lost")
    info = cell.describe(name)
    assert not info.holders and 0 < info.delay_remaining <= 1.5
    assert other.lock(name).try_acquire() is False
    assert waiting.result(10).held
    assert 1.4 <= time.monotonic() - began < 5
    careful.close()


def test_a_delay_ends_by_time_alone(cell, name):
    careful = cell.session(lock_delay=0.5)
    grant = careful.lock(name).acquire()
    cell.force_release(name, grant.token, "lost")
    assert [lock.name for lock in cell.locks(name)] == [name]
    wait_for(lambda: not cell.locks(name), "the delay is over, and the lock gone", timeout=10)
    careful.close()


def test_no_delay_follows_a_release_or_a_close(cell, session, name):
    careful = cell.session(lock_delay=30.0)
    lock = careful.lock(name)
    lock.acquire()
    lock.release()
    with session.lock(name, timeout=0):
        pass
    lock.acquire()
    careful.close()
    with session.lock(name, timeout=0):
        pass


@pytest.mark.parametrize("delay", [-1, 60.001, 1e6])
def test_a_delay_out_of_range_is_an_invalid_argument(cell, delay):
    with pytest.raises(holdfast.InvalidArgument):
        cell.session(lock_delay=delay)
