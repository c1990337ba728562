"""Modes, semaphores, upgrades, several locks at once, and waits that could never end."""

import time

import pytest

import holdfast

MODES = ["null", "concurrent-read", "concurrent-write", "protected-read", "protected-write",
         "exclusive"]
# One row for what is held, as the VMS manual has it.
TOGETHER = ["YYYYYY", "YYYYYN", "YYYNNN", "YYNYNN", "YYNNNN", "YNNNNN"]


# -- modes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", range(6), ids=MODES)
def test_which_modes_go_together(session, other, name, held):
    with session.lock(name, mode=MODES[held]):
        for asked, mode in enumerate(MODES):
            grant = other.lock(name, mode=mode).try_acquire()
            assert bool(grant) == (TOGETHER[held][asked] == "Y"), mode
            if grant:
                grant.release()


def test_shared_is_protected_read(session, cell, name):
    with session.lock(name, mode="protected-read"):
        assert cell.describe(name).mode == "shared"


def test_an_unknown_mode_is_an_invalid_argument_that_names_the_modes(session, name):
    with pytest.raises(holdfast.InvalidArgument, match="protected-write"):
        session.lock(name, mode="write")


# -- semaphores ------------------------------------------------------------------------------------


def test_a_semaphore_has_as_many_permits_as_its_capacity(session, other, cell, name):
    first = session.semaphore(name, capacity=3, permits=2).acquire()
    assert other.semaphore(name, capacity=3, permits=2).try_acquire() is False
    second = other.semaphore(name, capacity=3).acquire()
    assert other.semaphore(name, capacity=3).try_acquire() is False
    info = cell.describe(name)
    assert (info.kind, info.capacity) == ("semaphore", 3)
    assert [holder.permits for holder in info.holders] == [2, 1]
    first.release()
    second.release()


def test_a_small_request_waits_behind_a_large_one(session, other, threads, waits_for, name):
    two = session.semaphore(name, capacity=3, permits=2).acquire()
    large = threads(other.semaphore(name, capacity=3, permits=3).acquire)
    waits_for(name)
    assert other.semaphore(name, capacity=3).try_acquire() is False
    two.release()
    assert large.result(10).held


def test_a_capacity_that_disagrees_is_refused_naming_both(session, other, name):
    with session.semaphore(name, capacity=3):
        with pytest.raises(holdfast.InvalidArgument, match="capacity 3 now.*capacity 5"):
            other.semaphore(name, capacity=5).acquire()
        with pytest.raises(holdfast.InvalidArgument, match="it can't be a lock"):
            other.lock(name).acquire()


@pytest.mark.parametrize("capacity, permits", [(0, 1), (3, 0), (3, 4), (-1, 1), (2 ** 32, 1)])
def test_numbers_of_permits_out_of_range(session, name, capacity, permits):
    with pytest.raises(holdfast.InvalidArgument):
        session.semaphore(name, capacity, permits).acquire()


# -- upgrades and downgrades -----------------------------------------------------------------------


def test_an_upgrade_gets_a_greater_token_and_a_downgrade_keeps_it(session, other, cell, name):
    lock = session.shared_lock(name)
    grant = lock.acquire()
    shared = grant.token
    reader = other.shared_lock(name).acquire()
    reader.release()
    assert lock.upgrade() is True
    assert lock.token == grant.token > reader.token > shared
    assert grant.mode == "exclusive"
    assert other.shared_lock(name).try_acquire() is False
    exclusive = grant.token
    lock.downgrade()
    assert lock.token == exclusive
    with other.shared_lock(name):
        assert [holder.mode for holder in cell.describe(name).holders] == ["shared", "shared"]
    lock.release()
    assert not cell.describe(name).holders


def test_an_upgrade_goes_ahead_of_the_queue(session, other, cell, threads, waits_for, name):
    lock = session.shared_lock(name)
    lock.acquire()
    reader = other.shared_lock(name).acquire()
    writer = threads(cell.session().lock(name).acquire)
    waits_for(name)
    upgrading = threads(lock.upgrade)
    waits_for(name, 2)
    assert other.shared_lock(name).try_acquire() is False
    reader.release()
    assert upgrading.result(10) is True
    assert not writer.done()
    lock.release()
    assert writer.result(10)


def test_at_its_timeout_an_upgrade_is_false_and_the_shared_hold_stays(session, other, cell, name):
    lock = session.shared_lock(name)
    lock.acquire()
    token = lock.token
    with other.shared_lock(name):
        began = time.monotonic()
        assert lock.upgrade(timeout=0.3) is False
        assert 0.3 <= time.monotonic() - began < 3
        assert lock.upgrade(timeout=0) is False
        assert lock.held and lock.token == token
        assert cell.describe(name).waiters == ()
    lock.release()


def test_of_two_upgraders_the_second_is_refused_at_once(session, other, threads, waits_for, name):
    mine, theirs = session.shared_lock(name), other.shared_lock(name)
    mine.acquire()
    held = theirs.acquire()
    upgrading = threads(mine.upgrade)
    waits_for(name)
    # Whichever threads they are.
    with pytest.raises(holdfast.Deadlock) as raised:
        theirs.upgrade()
    assert [step.lock for step in raised.value.cycle] == [name] * len(raised.value.cycle)
    held.release()
    assert upgrading.result(10) is True


def test_a_release_ends_an_upgrade_that_waits(session, other, threads, waits_for, name):
    lock = session.shared_lock(name)
    lock.acquire()
    with other.shared_lock(name):
        upgrading = threads(lock.upgrade)
        waits_for(name)
        lock.release()
        with pytest.raises(holdfast.Error):
            upgrading.result(10)
    assert not lock.held


def test_the_loss_of_an_upgraded_hold_is_told(cell, name):
    lost = []
    session = cell.session(ttl=1.0, on_lost=lost.append)
    lock = session.shared_lock(name)
    grant = lock.acquire()
    loss = grant.lost
    lock.upgrade()
    session.close()
    assert loss.cancelled() or loss.done()
    assert not grant.held


# -- several locks at once -------------------------------------------------------------------------


def test_all_of_several_locks_or_none(session, other, cell, threads, waits_for, name):
    one, two = name + "/1", name + "/2"
    held = other.lock(two).acquire()
    assert session.acquire_all([(one, "exclusive"), (two, "shared")], timeout=0) is None
    assert not cell.describe(one).holders
    waiting = threads(session.acquire_all, [(one, "exclusive"), (two, "shared")])
    waits_for(one)
    waits_for(two)
    assert not cell.describe(one).holders
    held.release()
    grants = waiting.result(10)
    assert [grant.lock for grant in grants] == [one, two]
    assert [grant.mode for grant in grants] == ["exclusive", "shared"]
    assert grants[0].token < grants[1].token
    with other.shared_lock(two):
        pass
    for grant in grants:
        grant.release()
    assert not cell.locks(name)


def test_a_timeout_of_several_locks_leaves_nothing_behind(session, other, cell, name):
    with other.lock(name + "/2"):
        assert session.acquire_all([name + "/1", name + "/2"], timeout=0.3) is None
        assert [lock.name for lock in cell.locks(name)] == [name + "/2"]


@pytest.mark.parametrize("wishes, says", [
    ([], "must name a lock"),
    (["twice", "once", "twice"], 'names lock "twice" twice'),
    ([f"many/{i}" for i in range(65)], "65"),
], ids=["none", "twice", "65"])
def test_what_several_locks_cant_be(session, wishes, says):
    with pytest.raises(holdfast.Error, match=says):
        session.acquire_all(wishes)


# -- deadlock --------------------------------------------------------------------------------------


def test_a_cycle_is_refused_with_the_cycle(session, other, threads, waits_for, name):
    mine = session.lock(name + "/mine").acquire()

    def hold_and_wait():
        with other.lock(name + "/theirs"):
            return other.lock(name + "/mine").acquire()

    waiting = threads(hold_and_wait)
    waits_for(name + "/mine")
    with pytest.raises(holdfast.Deadlock) as raised:
        session.lock(name + "/theirs").acquire(timeout=5)
    assert [step.lock for step in raised.value.cycle] == [name + "/theirs", name + "/mine"]
    assert [step.lease for step in raised.value.cycle] == [other.lease, session.lease]
    assert "pid" in raised.value.cycle[0].owner
    mine.release()
    waiting.result(10).release()


def test_other_threads_of_a_session_just_wait(session, threads, waits_for, name):
    held = session.lock(name).acquire()
    waiting = threads(session.lock(name).acquire)
    waits_for(name)
    held.release()
    assert waiting.result(10)
