"""Acquiring: who gets a lock, who waits, and how a wait ends."""

import os
import threading
import time

import pytest

import holdfast
from cell import wait_for


# -- trying and waiting ----------------------------------------------------------------------------


def test_a_free_lock_is_acquired_and_is_held_until_it_is_released(session, name):
    lock = session.lock(name)
    grant = lock.acquire()
    assert grant and grant.held and lock.held and lock.locked()
    assert lock.token == grant.token > 0
    assert lock.deadline == grant.deadline > time.clock_gettime(time.CLOCK_BOOTTIME)
    assert 9.0 < grant.remaining <= 9.8
    lock.release()
    assert not grant.held and not lock.held and not lock.locked()


def test_tokens_only_grow(session, other, name):
    tokens = []
    for _ in range(5):
        for owner in session, other:
            with owner.lock(name) as grant:
                tokens.append(grant.token)
    assert tokens == sorted(set(tokens))


def test_a_try_never_enters_the_queue(session, other, cell, name):
    with session.lock(name):
        lock = other.lock(name)
        assert lock.try_acquire() is False
        assert lock.acquire(blocking=False) is False
        assert lock.acquire(timeout=0) is False
        assert cell.describe(name).waiters == ()
    assert lock.try_acquire()


def test_a_wait_ends_with_the_grant(session, other, threads, waits_for, name):
    lock = session.lock(name)
    lock.acquire()
    waiting = threads(other.lock(name).acquire)
    waits_for(name)
    lock.release()
    assert waiting.result(10).held


def test_a_timeout_that_runs_out_leaves_nothing_behind(session, other, cell, name):
    with session.lock(name):
        began = time.monotonic()
        assert other.lock(name).acquire(timeout=0.3) is False
        assert 0.3 <= time.monotonic() - began < 3
        assert cell.describe(name).waiters == ()
    assert cell.describe(name).holders == ()


def test_the_least_timeout_waits_and_does_not_try(session, other, cell, name):
    """Rounded down to nanoseconds it would be 0, which never stands in a queue."""
    with session.lock(name):
        assert other.lock(name).acquire(timeout=1e-12) is False
    assert cell.describe(name).revision == 0  # the lock is gone: it has neither holder nor waiter


def test_an_infinite_timeout_waits_for_ever(session, other, threads, waits_for, name):
    lock = session.lock(name)
    lock.acquire()
    waiting = threads(other.lock(name).acquire, timeout=float("inf"))
    waits_for(name)
    lock.release()
    assert waiting.result(10)


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan"), float("-inf")])
def test_a_timeout_below_zero_is_an_invalid_argument(session, name, timeout):
    with pytest.raises(holdfast.InvalidArgument):
        session.lock(name).acquire(timeout=timeout)
    with pytest.raises(holdfast.InvalidArgument):
        session.lock(name, timeout=timeout)


def test_not_blocking_with_a_timeout_is_an_invalid_argument(session, name):
    for timeout in 0, 1:
        with pytest.raises(holdfast.InvalidArgument):
            session.lock(name).acquire(blocking=False, timeout=timeout)


def test_the_objects_own_timeout_holds_where_none_is_given(session, other, name):
    with session.lock(name):
        began = time.monotonic()
        assert other.lock(name, timeout=0.2).acquire() is False
        assert other.lock(name, timeout=60).acquire(timeout=0.2) is False
        assert other.lock(name, timeout=60).acquire(blocking=False) is False
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("bad", ["", "/a", "a/", "a//b", "a\nb", "x" * 513],
                         ids=["empty", "before", "after", "twice", "control", "long"])
def test_a_name_out_of_range_is_an_invalid_argument(session, bad):
    with pytest.raises(holdfast.InvalidArgument) as raised:
        session.lock(bad).acquire()
    assert raised.value.code == "invalidArgument" and raised.value.lock == bad


# -- modes -----------------------------------------------------------------------------------------


def test_shared_holders_share_and_an_exclusive_one_waits_for_them_all(session, other, threads,
                                                                     waits_for, name):
    first, second = session.shared_lock(name), other.lock(name, mode="shared")
    assert first.acquire() and second.acquire()
    writer = threads(other.lock(name).acquire)
    waits_for(name)
    assert session.shared_lock(name).try_acquire() is False, "a waiting writer isn't overtaken"
    first.release()
    assert not writer.done()
    second.release()
    assert writer.result(10)


def test_a_mode_that_is_none_is_an_invalid_argument(session, name):
    with pytest.raises(holdfast.InvalidArgument):
        session.lock(name, mode="Exclusive")


# -- oneself ---------------------------------------------------------------------------------------


def test_acquiring_an_object_again_in_its_thread_is_refused_at_once(session, name):
    lock = session.lock(name)
    grant = lock.acquire()
    for again in lock.acquire, lock.try_acquire, lock.__enter__:
        with pytest.raises(holdfast.AlreadyHeld) as raised:
            again()
        assert raised.value.lock == name
    assert grant.held


def test_after_a_release_the_object_can_be_acquired_again(session, name):
    lock = session.lock(name)
    for _ in range(3):
        grant = lock.acquire()
        grant.release()
        with lock:
            pass


def test_waiting_for_oneself_through_a_second_object_is_a_deadlock(session, cell, name):
    held = session.lock(name).acquire()
    for timeout in None, 5:
        with pytest.raises(holdfast.Deadlock) as raised:
            session.lock(name).acquire(timeout=timeout)
        assert raised.value.lock == name
        step, = raised.value.cycle
        assert (step.lock, step.lease, step.token) == (name, session.lease, held.token)
        assert f"pid {os.getpid()} on" in step.owner
    assert session.lock(name).try_acquire() is False
    assert cell.describe(name).waiters == ()
    held.release()
    with session.shared_lock(name), pytest.raises(holdfast.Deadlock):
        session.lock(name).acquire()


def test_in_another_thread_of_the_session_a_second_object_just_waits(session, threads, waits_for,
                                                                    name):
    lock = session.lock(name)
    lock.acquire()
    waiting = threads(session.lock(name).acquire)
    waits_for(name)
    lock.release()
    assert waiting.result(10)


def test_a_later_thread_is_not_taken_for_an_earlier_one(session, threads, name):
    """Threads' identifiers come back when a thread has ended; grants outlive their thread."""
    lock = session.lock(name)
    first = threading.Thread(target=lock.acquire)
    first.start()
    first.join()
    for _ in range(5):
        outcome = []
        later = threading.Thread(target=lambda: outcome.append(lock.acquire(timeout=0.05)))
        later.start()
        later.join()
        assert outcome == [False]
    lock.release()


def test_a_reentrant_object_counts(session, other, name):
    lock = session.lock(name, reentrant=True)
    with lock as outer, lock as inner:
        assert inner.token == outer.token
        lock.acquire()
        lock.release()
        assert lock.held
    assert not lock.held
    with pytest.raises(holdfast.NotHeld):
        lock.release()
    assert other.lock(name).try_acquire()


def test_reentrance_is_for_the_thread_that_holds_it(session, threads, name):
    lock = session.lock(name, reentrant=True)
    lock.acquire()
    assert threads(lock.acquire, timeout=0.1).result(10) is False


# -- threads ---------------------------------------------------------------------------------------


def test_one_object_shared_by_threads_admits_them_one_at_a_time(session, threads, name):
    lock = session.lock(name)
    inside, most, tokens = [], [], []

    def work():
        for _ in range(10):
            with lock as grant:
                inside.append(1)
                most.append(len(inside))
                tokens.append(grant.token)
                inside.pop()

    for done in [threads(work) for _ in range(6)]:
        done.result(30)
    assert len(tokens) == 60 and max(most) == 1
    assert tokens == sorted(tokens)


def test_a_grant_may_be_released_by_another_thread(session, other, threads, name):
    lock = session.lock(name)
    lock.acquire()
    threads(lock.release).result(10)
    assert not lock.held and other.lock(name).try_acquire()


def test_others_go_on_while_one_waits(session, other, threads, waits_for, name):
    """The GIL is released: a thread that waits in C++ with it would stop them all."""
    with session.lock(name):
        waiting = threads(other.lock(name).acquire, timeout=1.0)
        waits_for(name)
        turns, began = 0, time.monotonic()
        while not waiting.done():
            turns += 1
        assert turns > 1000 and time.monotonic() - began < 10
        assert waiting.result() is False


def test_cancel_ends_the_waits_of_other_threads_and_is_not_sticky(session, other, threads, cell,
                                                                  waits_for, name):
    holder, lock = session.lock(name), other.lock(name)
    holder.acquire()
    waiting = [threads(lock.acquire) for _ in range(3)]  # one at the cell, two behind it
    waits_for(name)
    wait_for(lambda: sum(w.running() for w in waiting) == 3, "three waits")

    def cancelled():
        lock.cancel()  # a wait may not have come that far yet
        return all(w.done() for w in waiting)

    wait_for(cancelled, "cancelled")
    for one in waiting:
        with pytest.raises(holdfast.Cancelled) as raised:
            one.result()
        assert raised.value.lock == name and raised.value.code == "cancelled"
    wait_for(lambda: cell.describe(name).waiters == (), "no wait is left")
    later = threads(lock.acquire)
    waits_for(name)
    holder.release()
    assert later.result(10)
