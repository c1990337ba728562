"""Fixtures of the Python package's tests: a cell of daemons, a connection, names of one's own."""

import os
import pathlib
import re
import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))

from cell import Cell, binary, wait_for  # noqa: E402

PACKAGE = binary("bindings/python/holdfast/__init__.py").parents[1]
sys.path.insert(0, str(PACKAGE))

import holdfast  # noqa: E402


@pytest.fixture(scope="session", name="daemons")
def fixture_daemons():
    """Three daemons, shared by the tests that do them no harm."""
    with Cell(nodes=3) as running:
        running.wait_leader()
        yield running


@pytest.fixture(name="cell")
def fixture_cell(daemons):
    with holdfast.connect(daemons.endpoints) as connection:
        yield connection


@pytest.fixture(name="session")
def fixture_session(cell):
    with cell.session() as opened:
        yield opened


@pytest.fixture(name="other")
def fixture_other(daemons):
    """A session of another connection, as of another process."""
    with holdfast.connect(daemons.endpoints) as connection, connection.session() as opened:
        yield opened


@pytest.fixture(name="name")
def fixture_name(request):
    """A lock's name that no other test uses."""
    return "test/" + re.sub(r"\W+", "-", request.node.name).strip("-")


@pytest.fixture(name="threads")
def fixture_threads():
    """threads(function, arguments...) runs it in a thread of its own and gives a future."""
    def submit(function, *args, **kwargs):
        future = Future()

        def run():
            future.set_running_or_notify_cancel()
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as raised:
                future.set_exception(raised)

        # Daemons: a wait that never ends shall fail its test and not hang the others.
        threading.Thread(target=run, daemon=True).start()
        return future

    return submit


@pytest.fixture(name="waits_for")
def fixture_waits_for(cell):
    """Waits until so many wait for that lock."""
    def wait(name, waiters=1):
        wait_for(lambda: len(cell.describe(name).waiters) == waiters,
                 lambda: f"{waiters} waiters: {cell.describe(name)}")
    return wait


@pytest.fixture(name="python")
def fixture_python(daemons):
    """python(program) starts Debian's Python on it, with the package and the cell at hand."""
    started = []

    def start(program, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        env = {**os.environ, "PYTHONPATH": str(PACKAGE), "HOLDFAST_ENDPOINTS": daemons.endpoints}
        process = subprocess.Popen(["/usr/bin/python3", "-B", "-c", program], env=env, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
