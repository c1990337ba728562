"""lockctl run when the lease is lost: CMD's group is gone before anybody else holds the lock.

In each test a witness runs under the lock, and a rival waits for it. What the witness wrote down
last is compared with two times of the rival's grant: by CLOCK_MONOTONIC_RAW when the rival's own
command starts, which is a little late; and by the wall clock as the leader noted it when it decided
on the grant, which is early. The last sign of life is before both.
"""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from cell import Cell, wait_for
from proxy import Proxy
from shell import Shell, children, running
import witness

LIMIT, LOST = 73, 76
TTL = 1.5
RIVAL = "import time; print(time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW), flush=True); input()"

stubbornness = pytest.mark.parametrize("stubborn", [False, True], ids=["obedient", "stubborn"])


@pytest.fixture(scope="module")
def cell():
    with Cell(nodes=3) as running:
        running.wait_leader()
        yield running


class Drama:
    """A victim that runs a witness under a lock, and a rival that waits for it."""

    def __init__(self, directory, lock, victims, rivals):
        self.lock = lock
        self.path = directory / "life"
        self.victims = victims  # shells
        self.rivals = rivals
        self.victim = self.rival = None

    def begin(self, *options, stubborn=False, ttl=TTL):
        self.victim = self.victims.start(
            "run", self.lock, "--ttl", f"{ttl}s", *options, "--", sys.executable, witness.__file__,
            self.path, *(["stubborn"] if stubborn else []),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(witness.MEMBERS):
            assert self.victim.stdout.readline()
        self.rival = self.rivals.start("run", self.lock, "--", sys.executable, "-c", RIVAL,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.rivals.wait_waiters(self.lock)
        return self.victim

    def life(self):
        return witness.last_sign_of_life(self.path)

    def lives(self):
        """Whether the witness has written anything in the last few moments."""
        before = self.life()
        time.sleep(0.05)  # a hundred times what it sleeps
        return self.life() != before

    def check(self, timeout=15):
        """Waits until the rival holds the lock; none of the victim's group lived to see it."""
        pid = self.rival.pid
        holder = wait_for(
            lambda: next((h for h in self.rivals.holders(self.lock) if h["owner"]["pid"] == pid),
                         None), "the rival gets the lock", timeout)
        began_ns = int(self.rival.stdout.readline())
        raw_ns, wall_ns = self.life()
        assert raw_ns < began_ns
        assert wall_ns < int(holder["acquiredAt"]) * 1_000_000
        assert not self.lives()
        return began_ns - raw_ns


@pytest.fixture
def drama(cell, tmp_path, request):
    with Shell(cell.endpoints) as shell:
        yield Drama(tmp_path, f"loss/{request.node.name}", shell, shell)


def guard_of(process):
    """The pid of the guard of a lockctl run; None while there is none."""
    found = [pid for pid, name in children(process).items() if name == "holdfast-guard"]
    return found[0] if found else None


def check_said(process, code, words):
    """The end of a lockctl run with -o json: its exit code and what it said last."""
    assert process.wait(10) == code
    error = json.loads(process.stderr.read().splitlines()[-1])["error"]
    assert words in error["message"]
    return error


# -- lockctl can't do it ---------------------------------------------------------------------------


@stubbornness
def test_lockctl_is_stopped(drama, stubborn):
    """SIGSTOP: it renews nothing; the guard acts before the deadline."""
    victim = drama.begin("-o", "json", stubborn=stubborn)
    time.sleep(TTL / 2)  # somewhere between two renewals
    stopped = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    victim.send_signal(signal.SIGSTOP)
    drama.check()
    # Not at once: who is stopped for a moment doesn't lose a thing.
    assert drama.life()[0] - stopped > 0.3e9
    victim.send_signal(signal.SIGCONT)
    error = check_said(victim, LOST, "lockctl was stopped")
    assert error["code"] == "leaseNotFound"


def test_lockctl_is_stopped_for_a_moment(drama):
    victim = drama.begin()
    for _ in range(3):
        victim.send_signal(signal.SIGSTOP)
        time.sleep(TTL / 4)  # the fault's length
        victim.send_signal(signal.SIGCONT)
        time.sleep(TTL / 3)  # it renews again
    assert drama.lives() and victim.poll() is None
    victim.terminate()
    assert victim.wait(10) == 128 + signal.SIGTERM
    drama.check()


@stubbornness
def test_lockctl_is_killed(drama, stubborn):
    """kill -9: the guard ends the group at once."""
    victim = drama.begin("--kill-grace", "200ms", stubborn=stubborn)
    killed = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    victim.kill()
    drama.check()
    grace = 0.2e9 if stubborn else 0
    assert grace - 0.01e9 < drama.life()[0] - killed < grace + 0.3e9


def test_lockctl_is_killed_with_its_whole_group(cell, tmp_path):
    """kill -9 -GROUP, as shells and supervisors do it: guard and CMD are in groups of their own."""
    with Shell(cell.endpoints) as shell:
        drama = Drama(tmp_path, "loss/group", shell, shell)
        victim = drama.begin()
        guard = guard_of(victim)
        assert os.getpgid(guard) == guard != os.getpgid(victim.pid)
        victim.kill()
        drama.check()
        wait_for(lambda: not running(guard), "the guard goes when it is done")


def test_the_guard_is_killed_and_replaced(drama):
    victim = drama.begin("-v")
    first = guard_of(victim)
    os.kill(first, signal.SIGKILL)
    second = wait_for(lambda: guard_of(victim) not in (None, first) and guard_of(victim),
                      "there is a new guard")
    assert drama.lives() and second != first
    victim.kill()
    drama.check()


def test_a_guard_that_is_killed_again_and_again_ends_the_command(drama):
    """It must not run where nothing would end it in time."""
    victim = drama.begin("-o", "json")
    killed = set()
    while victim.poll() is None and len(killed) < 10:
        guard = guard_of(victim)
        if guard is not None and guard not in killed:
            killed.add(guard)
            os.kill(guard, signal.SIGKILL)
    assert len(killed) == 4
    assert check_said(victim, LIMIT, "guard")["code"] == "resourceExhausted"
    drama.check()


# -- the cell can't be reached ---------------------------------------------------------------------


@stubbornness
def test_lockctl_is_cut_off(tmp_path, stubborn):
    """The cell goes on without it, and gives the lock to the rival as soon as it may."""
    with Cell(nodes=1) as cell:
        cell.wait_leader()
        with Proxy(cell.endpoints) as proxy, Shell(proxy.address) as far, \
                Shell(cell.endpoints) as near:
            drama = Drama(tmp_path, "loss/cut", far, near)
            victim = drama.begin("-o", "json", stubborn=stubborn)
            time.sleep(TTL / 2)  # somewhere between two renewals
            proxy.cut()
            drama.check()
            check_said(victim, LOST, "could not be renewed")


def test_only_the_guard_is_left(tmp_path):
    """Cut off and stopped at once."""
    with Cell(nodes=1) as cell:
        cell.wait_leader()
        with Proxy(cell.endpoints) as proxy, Shell(proxy.address) as far, \
                Shell(cell.endpoints) as near:
            drama = Drama(tmp_path, "loss/both", far, near)
            victim = drama.begin(stubborn=True)
            proxy.cut()
            victim.send_signal(signal.SIGSTOP)
            drama.check()


@pytest.mark.parametrize("fault", ["stopped", "killed"])
def test_the_whole_cell_is_gone(tmp_path, fault):
    """All nodes: the group ends by the local deadline, with nobody to tell of a loss."""
    with Cell(nodes=3) as cell, Shell(cell.endpoints) as shell:
        cell.wait_leader()
        drama = Drama(tmp_path, "loss/cell", shell, shell)
        victim = drama.begin("-o", "json", stubborn=True)
        for i in cell.nodes:
            cell.pause(i) if fault == "stopped" else cell.kill(i)
        gone = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        check_said(victim, LOST, "could not be renewed")
        assert drama.life()[0] - gone < TTL * 1e9
        assert not drama.lives()
        if fault == "stopped":
            for i in cell.nodes:
                cell.resume(i)
        else:
            cell.start()
        drama.check()


def test_a_short_outage_costs_nothing(tmp_path):
    with Cell(nodes=3) as cell, Shell(cell.endpoints) as shell:
        cell.wait_leader()
        drama = Drama(tmp_path, "loss/short", shell, shell)
        victim = drama.begin(ttl=3)
        for _ in range(2):
            leader = cell.wait_leader()
            cell.kill(leader)
            cell.wait_leader()
            cell.start(leader)
        time.sleep(3)  # longer than the TTL: that it was renewed since is what is tested
        assert drama.lives() and victim.poll() is None
        victim.terminate()
        assert victim.wait(10) == 128 + signal.SIGTERM
        drama.check()


def test_jeopardy_is_told_when_it_begins_and_how_it_ends(tmp_path):
    told = tmp_path / "told"
    hook = f'echo "$HOLDFAST_EVENT $HOLDFAST_LOCK $HOLDFAST_LEFT_MS" >> {told}'
    with Cell(nodes=1) as cell, Shell(cell.endpoints) as shell:
        cell.wait_leader()
        victim = shell.start("run", "lock", "--ttl", "3s", "--on-jeopardy", hook, "--", "sleep",
                             "60", stderr=subprocess.PIPE)
        shell.wait_held("lock")
        cell.pause(1)
        wait_for(lambda: told.exists() and told.read_text(), "jeopardy is told")
        cell.resume(1)
        wait_for(lambda: told.read_text().count("\n") == 2, "it is told that all is well again")
        cell.pause(1)
        assert victim.wait(timeout=20) == LOST
        cell.resume(1)
    lines = [line.split() for line in told.read_text().splitlines()]
    assert [event for event, _, _ in lines] == ["jeopardy", "safe", "jeopardy", "lost"]
    assert all(lock == "lock" for _, lock, _ in lines)
    assert 0 < int(lines[0][2]) < 2500


def test_a_command_that_ends_in_an_outage_keeps_its_status():
    """It held the lock to its end. That its lease passes while nobody can be told is no loss."""
    with Cell(nodes=1) as cell, Shell(cell.endpoints) as shell:
        cell.wait_leader()
        started = shell.start("run", "outage", "--ttl", "1s", "--", "sh", "-c", "read line; exit 5",
                              stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        shell.wait_held("outage")
        cell.kill(1)
        started.stdin.write("\n")
        started.stdin.flush()
        assert started.wait(10) == 5
        assert "the lock stays taken until its lease ends" in started.stderr.read()


def test_the_lease_is_ended_by_somebody_else(drama):
    """An admin's act frees the lock at once; the group ends at the next renewal."""
    victim = drama.begin("-o", "json")
    (holder,) = drama.rivals.holders(drama.lock)
    assert drama.rivals.code("lease", "close", holder["lease"]) == 0
    check_said(victim, LOST, "not there any more")
    assert not drama.lives()


def test_the_end_of_the_command_comes_before_the_grant(drama):
    """Nothing is lost here: what CMD leaves behind is gone before the lock passes on, too."""
    victim = drama.begin("--kill-grace", "300ms", stubborn=True)
    (leader,) = set(children(victim)) - {guard_of(victim)}
    os.kill(leader, signal.SIGKILL)
    assert victim.wait(10) == 128 + signal.SIGKILL
    drama.check()
