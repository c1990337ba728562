"""Processes: forks, signals, pickles, and the ends of interpreters."""

import copy
import os
import pickle
import select
import signal
import time

import pytest

import holdfast
from cell import wait_for


def in_child(check):
    """Runs check() in a forked child; True if it returned."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            check()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# -- forks -----------------------------------------------------------------------------------------


def test_in_a_forked_child_nothing_is_held_and_all_else_raises(cell, session, name):
    lock = session.lock(name)
    grant = lock.acquire()
    uses = {
        "cell": [cell.session, cell.locks, cell.leases, cell.status, cell.close,
                 lambda: cell.describe(name)],
        "session": [lambda: session.lock(name), session.renew, session.close,
                    lambda: session.lease, lambda: session.secret, lambda: session.deadline],
        "lock": [lock.acquire, lock.try_acquire, lock.release, lock.locked, lock.info, lock.cancel,
                 lambda: lock.token, lambda: lock.deadline, lock.__enter__,
                 lambda: lock.release(missing_ok=True)],
        "grant": [grant.release, lambda: grant.token, lambda: grant.deadline,
                  lambda: grant.remaining, lambda: grant.lost],
    }

    def check():
        assert not lock.held and not grant.held and not session.alive
        assert "over" in repr(grant) and "not held" in repr(lock)
        for kind, calls in uses.items():
            for i, call in enumerate(calls):
                with pytest.raises(holdfast.Forked):
                    call()
                    print(kind, i)

    assert in_child(check)
    assert grant.held and lock.locked()


def test_a_forked_child_that_ends_takes_nothing_along(python, session, name):
    """Its exit handlers and its garbage are of objects that are the parent's."""
    program = f"""
import holdfast, os, sys
cell = holdfast.connect()
session = cell.session()
with session.lock({name!r}) as grant:
    pid = os.fork()
    if pid == 0:
        sys.exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    session.renew()
    print(grant.held, session.lock({name!r}).locked())
"""
    out, err = python(program).communicate(timeout=20)
    assert (out, err) == ("7\nTrue True\n", "")


def test_a_forked_child_can_connect_anew(cell, session, daemons, name):
    def check():
        with holdfast.connect(daemons.endpoints) as own, own.session() as opened:
            assert opened.lock(name).try_acquire()

    assert in_child(check)


# -- pickles ---------------------------------------------------------------------------------------


def test_what_is_bound_to_its_process_refuses_pickling(cell, session, name):
    lock = session.lock(name)
    with lock as grant:
        for bound in cell, session, lock, grant:
            for refused in pickle.dumps, copy.copy, copy.deepcopy:
                with pytest.raises(TypeError, match=f"{type(bound).__name__} can't be pickled"):
                    refused(bound)


# -- signals ---------------------------------------------------------------------------------------

WAITING = """
import holdfast, signal, sys
cell = holdfast.connect()
session = cell.session(ttl=60)
lock = session.lock({name!r})
print("ready", flush=True)
try:
    {wait}
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.readline()
"""


def read_line(process):
    assert select.select([process.stdout], [], [], 20)[0], "it said nothing"
    return process.stdout.readline().strip()


@pytest.mark.parametrize("wait", ["lock.acquire()", "lock.acquire(timeout=60)", "lock.__enter__()"])
def test_an_interrupt_ends_a_wait_and_leaves_none_behind(python, session, cell, waits_for, name,
                                                         wait):
    with session.lock(name):
        process = python(WAITING.format(name=name, wait=wait), stdin=-1)
        assert read_line(process) == "ready"
        waits_for(name)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert read_line(process) == "interrupted"
        assert time.monotonic() - began < 5
        # The process, its session and the connection are still there; the wait is not.
        wait_for(lambda: cell.describe(name).waiters == (), "no wait is left")
    assert not cell.describe(name).holders
    process.communicate("\n", timeout=20)
    assert process.returncode == 0


def test_an_interrupt_ends_a_request_that_nobody_answers(python):
    """Opening a session waits too."""
    program = """
import holdfast, os, sys
cell = holdfast.connect("127.0.0.1:1", timeout=60)
try:
    print("ready", flush=True)
    cell.session()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    process = python(program)
    assert read_line(process) == "ready"
    process.send_signal(signal.SIGINT)
    assert read_line(process) == "interrupted"


def test_a_handler_that_returns_lets_the_wait_go_on(python, session, waits_for, name):
    program = f"""
import holdfast, signal
signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
with holdfast.connect() as cell, cell.session() as session:
    with session.lock({name!r}) as grant:
        print("held", grant.held)
"""
    lock = session.lock(name)
    lock.acquire()
    process = python(program)
    waits_for(name)
    process.send_signal(signal.SIGUSR1)
    assert read_line(process) == "handled"
    lock.release()
    out, err = process.communicate(timeout=20)
    assert (out, err) == ("held True\n", "")


# -- ends of interpreters --------------------------------------------------------------------------


def ends_well(process, timeout=20):
    out, err = process.communicate(timeout=timeout)
    assert (process.returncode, err) == (0, ""), (out, err)
    return out


def test_an_expression_that_keeps_nothing_leaves_nothing(python, cell, name):
    """The line that `./dev up` shows: session and cell go as soon as the grant does."""
    program = f"import holdfast; print(holdfast.connect().session().lock({name!r}).acquire())"
    assert "held" in ends_well(python(program))
    assert not cell.describe(name).holders


def test_an_interpreter_that_ends_with_live_sessions_gives_all_back(python, cell, name):
    program = f"""
import holdfast, threading
cell = holdfast.connect()
sessions = [cell.session(on_lost=print, on_jeopardy=print) for _ in range(3)]
grants = [s.shared_lock({name!r}).acquire() for s in sessions]
futures = [g.lost for g in grants]
print(all(g.held for g in grants))
"""
    began = time.monotonic()
    assert ends_well(python(program)) == "True\n"
    assert time.monotonic() - began < 10
    assert not cell.describe(name).holders


def test_an_interpreter_that_ends_while_the_cell_is_away_does_not_hang(daemons, python):
    program = """
import holdfast, sys
cell = holdfast.connect()
session = cell.session()
session.lock("x").acquire()
print("ready", flush=True)
sys.stdin.readline()
"""
    process = python(program, stdin=-1)
    assert read_line(process) == "ready"
    for node in daemons.nodes:
        daemons.pause(node)
    try:
        began = time.monotonic()
        process.communicate("\n", timeout=20)
        assert process.returncode == 0 and time.monotonic() - began < 10
    finally:
        for node in daemons.nodes:
            daemons.resume(node)


def test_an_interpreter_ends_with_threads_that_wait(python, session, cell, name):
    """Daemon threads are ended when they next want the GIL, in the middle of our code."""
    program = f"""
import holdfast, threading, time
cell = holdfast.connect()
session = cell.session(on_lost=print)
lock = session.lock({name!r})
def work():
    while True:
        try:
            lock.acquire()
        except holdfast.Error:
            pass
for _ in range(8):
    threading.Thread(target=work, daemon=True).start()
while len(cell.describe({name!r}).waiters) < 1:
    time.sleep(0.01)
"""
    with session.lock(name):
        for process in [python(program) for _ in range(4)]:
            ends_well(process)
    wait_for(lambda: not cell.describe(name).waiters, "no wait is left")


def test_a_script_is_named_in_listings(cell, tmp_path, python, name):
    script = tmp_path / "import_invoices.py"
    script.write_text(f"""
import holdfast, sys
session = holdfast.connect().session()
grant = session.lock({name!r}).acquire()
sys.stdin.readline()
""", encoding="utf-8")
    python(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')", stdin=-1)
    wait_for(lambda: cell.describe(name).holders, "it holds")
    assert cell.describe(name).holders[0].owner.program == script.name
