"""Types: the package and a program that uses it are clean under mypy --strict, the stubs true."""

import os
import subprocess

from conftest import PACKAGE

PROGRAM = '''
from concurrent.futures import Future

import holdfast


def on_lost(reason: holdfast.Error) -> None:
    print(reason.code, reason.lock, reason.token)


def work() -> int:
    cell: holdfast.Cell = holdfast.connect(["host:7421"], timeout=5.0)
    with cell.session(ttl=10.0, on_jeopardy=print, on_lost=on_lost) as session:
        lock = session.lock("billing/ledger", mode="shared", timeout=5, reentrant=True)
        with lock as grant:
            token: int = grant.token
            lost: Future[holdfast.Error] = grant.lost
            assert not lost.done() and grant.remaining < grant.deadline
        if tried := lock.try_acquire():
            tried.release()
        waited = lock.acquire(timeout=1.5)
        if not waited:
            return 0
        names: list[str] = [holder.owner.program for holder in lock.info().holders]
        print(names, cell.status().leader, [hold.lock for lease in cell.leases()
                                            for hold in lease.holds])
        deadline: float = lock.deadline
        return token + waited.token + lock.token + int(deadline)
'''

# pybind11's classes have a metaclass of its own, and those that Python can't make an __init__ that
# only refuses.
NOT_IN_STUBS = r"holdfast\._holdfast\.\w+(\.__init__)?"


def mypy(*args, cwd):
    env = {**os.environ, "PYTHONPATH": str(PACKAGE), "MYPYPATH": str(PACKAGE)}
    done = subprocess.run(["/usr/bin/python3", "-B", "-m", *args], cwd=cwd, env=env,
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_is_clean_under_mypy_strict(tmp_path):
    mypy("mypy", "--strict", "-p", "holdfast", cwd=tmp_path)


def test_a_program_that_uses_it_is_clean_under_mypy_strict(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    mypy("mypy", "--strict", "program.py", cwd=tmp_path)


def test_the_stubs_tell_what_the_extension_module_has(tmp_path):
    (tmp_path / "allowed").write_text(NOT_IN_STUBS + "\n", encoding="utf-8")
    mypy("mypy.stubtest", "--allowlist", "allowed", "--ignore-unused-allowlist",
         "holdfast._holdfast", cwd=tmp_path)
