"""Watches and the history: every event once and in order, whoever leads."""

import datetime
import time

import pytest

import holdfast
from cell import Cell


def use(session, name, times=1):
    for _ in range(times):
        session.lock(name).acquire().release()


def test_a_watch_tells_what_happens_from_now_on(cell, session, name):
    use(session, name)
    with cell.watch(name) as watch:
        grant = session.lock(name).acquire()
        event = next(watch)
        assert (event.type, event.name, event.token) == ("grant", name, grant.token)
        assert event.revision == grant.token and event.lease == session.lease
        assert event.owner.pid > 0 and abs(event.at - time.time()) < 10
        grant.release()
        assert next(watch).type == "release"
        assert watch.next(timeout=0.05) is None


def test_a_watch_from_a_revision_is_inclusive(cell, session, name):
    use(session, name, 2)
    events = cell.history(name)
    with cell.watch(name, from_revision=events[1].revision) as watch:
        assert [next(watch) for _ in range(3)] == events[1:]


def test_two_watches_of_one_name_each_hear_everything(cell, session, name):
    with cell.watch(name) as one, cell.watch(name) as other:
        use(session, name, 3)
        assert [next(one) for _ in range(6)] == [next(other) for _ in range(6)]


def test_a_slow_reader_misses_nothing(cell, session, name):
    rounds = 3000  # more events than a watch keeps for its reader
    with cell.watch(name) as watch:
        use(session, name, rounds)
        told = [next(watch) for _ in range(2 * rounds)]
    assert told == cell.history(name)


def test_close_from_another_thread_ends_the_iteration(cell, name, threads):
    watch = cell.watch(name)
    told = threads(list, watch)
    time.sleep(0.05)
    watch.close()
    watch.close()
    assert told.result(timeout=10) == []
    with pytest.raises(StopIteration):
        next(watch)


def test_closing_the_cell_ends_its_watches(daemons, name, threads):
    cell = holdfast.connect(daemons.endpoints)
    told = threads(list, cell.watch(name))
    cell.close()
    assert told.result(timeout=10) == []


def test_a_watch_goes_on_after_the_leader_is_gone():
    with Cell(nodes=3) as daemons, holdfast.connect(daemons.endpoints) as cell:
        daemons.wait_leader()
        with cell.session() as session, cell.watch("x") as watch:
            use(session, "x", 5)
            leader = daemons.wait_leader()
            daemons.kill(leader)
            use(session, "x", 5)
            told = [next(watch) for _ in range(20)]
            assert [event.type for event in told] == ["grant", "release"] * 10
            assert told == cell.history("x")


def test_the_history_since_a_revision_or_a_time(cell, session, name):
    use(session, name)
    grant, release = cell.history(name)
    assert release.held >= 0 and release.cause == "released" and grant.cause == "free"
    assert cell.history(name, since=release.revision) == [release]
    assert cell.history(name, since=datetime.timedelta(hours=1)) == [grant, release]
    time.sleep(0.02)
    assert cell.history(name, since=datetime.timedelta(milliseconds=1)) == []
    assert cell.history(name + "/below") == []


def test_why_names_who_is_in_the_way(cell, session, other, name, threads, waits_for):
    grant = other.lock(name, reason="restoring").acquire()
    waiting = threads(session.lock(name).acquire)
    waits_for(name)
    why = cell.why(name)
    holder, waiter = why.blockers
    assert (holder.kind, holder.token, holder.lease) == ("holder", grant.token, other.lease)
    assert holder.owner.reason == "restoring" and "restoring" in why.text
    assert (waiter.kind, waiter.position, waiter.lease) == ("waiter", 1, session.lease)
    grant.release()
    waiting.result(timeout=10).release()
    assert cell.why(name).blockers == () and "nothing" in cell.why(name).text
