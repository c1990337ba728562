"""Faults under load: processes killed and stopped, disks full. What clients saw is written down and
checked by history.py: a fault may cost time, never exclusion.

HOLDFAST_LONG=1 runs most of these ten times as long. Times are measured and printed, but not
judged: the machine may be busy. That the cell goes on at all within a generous bound is.
"""

import contextlib
import os
import random
import statistics
import subprocess
import time

import pytest

from cell import Cell, wait_for
from load import PROBE, Load, true_ns

LONG = 10 if os.environ.get("HOLDFAST_LONG") else 1
IO_ERROR = 74


@pytest.fixture
def outages(measured):
    """Collects how long the cell was away, and prints the median."""
    times = []
    yield times
    if times:
        measured(f"until the next acquire: median {statistics.median(times) * 1000:.0f} ms of "
                 f"{len(times)}, worst {max(times) * 1000:.0f} ms")


def next_acquire(probe, since, timeout=30):
    """Seconds from `since` to the end of the first acquire that was begun after it."""
    def first():
        return next((int(o["end"]) for o in probe.done("acquire", since)
                     if int(o["start"]) > since), None)
    return (wait_for(first, "nothing is granted any more", timeout) - since) / 1e9


def test_many_processes_contend(cell):
    """And one of them sleeps for longer than its leases live: what it held passes on, and it
    counts on nothing when it wakes."""
    cell.wait_leader()
    with Load(cell, processes=6, clients=4, ttl_ms=1000) as load:
        load.wait_grants(500 * LONG, timeout=60 * LONG)
        sleeper = load.contenders[0]
        sleeper.pause()
        slept = true_ns()
        wait_for(lambda: true_ns() - slept > 2e9 and load.grants(slept) > 100,
                 "the others go on, once the sleeper's leases have ended")
        woken = true_ns()
        sleeper.resume()
        wait_for(lambda: sleeper.done("acquire", woken), "the sleeper contends again")
        load.finish()


def test_the_leader_is_killed_again_and_again(cell, outages):
    """The next leader goes on where the last one fell: no grant is lost, none is given twice."""
    cell.wait_leader()
    with Load(cell, clients=8, locks=6) as load:
        probe = load.add(**PROBE)
        load.add_keeper()
        for _ in range(10 * LONG):
            load.wait_grants(50)
            leader = cell.wait_leader()
            cell.kill(leader)
            outages.append(next_acquire(probe, since=true_ns()))
            cell.start(leader)
            cell.wait_logged(leader, "member of a founded cell")
            cell.nodes[leader].clear_log()
        load.finish()


def test_a_follower_is_killed_and_catches_up(cell):
    leader = cell.wait_leader()
    follower = leader % 3 + 1
    with Load(cell) as load:
        for _ in range(2 * LONG):
            load.wait_grants(50)
            cell.kill(follower)
            load.wait_grants(200)
            cell.start(follower)
        load.wait_grants(50)
        load.finish()
    cell.wait_caught_up()


def test_a_follower_far_behind_is_needed_at_once(cell):
    """It lacks more than the others have in memory, so they read it from their logs; and before it
    has that, the leader falls, so that there is no majority without it."""
    leader = cell.wait_leader()
    follower = leader % 3 + 1
    cell.kill(follower)
    done = cell.lockctl("bench", "--workload", "pairs", "--clients", 256, "--duration", "4s")
    assert done.returncode == 0, done.stderr
    with Load(cell) as load:
        load.wait_grants(50)
        cell.nodes[follower].clear_log()
        cell.start(follower)
        cell.wait_logged(follower, "the link to a node is up")
        cell.kill(leader)
        load.wait_grants(50)
        cell.start(leader)
        load.wait_grants(50)
        load.finish()
    cell.wait_caught_up()


def test_all_are_killed_at_once_and_restarted(cell):
    cell.wait_leader()
    with Load(cell) as load:
        for _ in range(2 * LONG):
            load.wait_grants(100)
            for node in cell.nodes.values():
                node.process.kill()
            for node in cell.nodes.values():
                node.process.wait()
                node.clear_log()
            cell.start()
        load.wait_grants(50)
        load.finish()
    cell.wait_caught_up()


def test_two_of_five_are_killed_at_once():
    """The leader and one more: three are a majority."""
    with Cell(nodes=5) as cell:
        cell.wait_leader()
        with Load(cell) as load:
            for _ in range(2 * LONG):
                load.wait_grants(50)
                leader = cell.wait_leader()
                victims = [leader, leader % 5 + 1]
                for i in victims:
                    cell.nodes[i].process.kill()
                for i in victims:
                    cell.nodes[i].process.wait()
                load.wait_grants(100)
                cell.start(*victims)
            load.finish()
        cell.wait_caught_up()


def test_a_stopped_leader_continues(cell, outages):
    """SIGSTOP for longer than an election, and than a TTL: on waking it finds renewals in its
    sockets for leases that are another leader's by now, and leases that look expired."""
    cell.wait_leader()
    with Load(cell, ttl_ms=1000) as load:
        probe = load.add(**PROBE)
        load.add_keeper()
        for round_ in range(4 * LONG):
            load.wait_grants(50)
            leader = cell.wait_leader()
            cell.pause(leader)
            stopped = true_ns()
            outages.append(next_acquire(probe, since=stopped))
            length = (0.6, 1.2, 2.5)[round_ % 3]
            wait_for(lambda: true_ns() - stopped > length * 1e9, "the end of the fault")
            cell.resume(leader)
        load.wait_grants(50)
        load.finish()


def test_faults_at_random(cell):
    """Kills and stops in an order drawn from a seed, which a failure prints."""
    seed = int(os.environ.get("HOLDFAST_SEED", random.SystemRandom().randrange(1 << 32)))
    print("HOLDFAST_SEED =", seed)
    draw = random.Random(seed)
    cell.wait_leader()
    with Load(cell, ttl_ms=1500) as load:
        load.add_keeper()
        load.wait_grants(50)
        for _ in range(8 * LONG):
            victim = draw.choice(list(cell.nodes))
            if draw.random() < 0.5:
                cell.kill(victim)
                time.sleep(draw.uniform(0, 0.8))  # the fault's length
                cell.start(victim)
            else:
                cell.pause(victim)
                time.sleep(draw.uniform(0, 2))  # the fault's length
                cell.resume(victim)
            if draw.random() < 0.5:
                load.wait_grants(20)
        load.wait_grants(50)
        load.finish()
    cell.wait_caught_up()


@contextlib.contextmanager
def small_disk(path, size="32m"):
    """A filesystem of its own, and of that size, at `path`."""
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path):
    """Writes to this file until nothing fits any more."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts a small tmpfs")
@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_full_disk_ends_one_node_as_root(tmp_path, role):
    """P11: a failed write ends the process at once, with the reason: it never says yes first. The
    others go on, and with room again it comes back and catches up."""
    with small_disk(tmp_path / "1"), Cell(nodes=3, directory=tmp_path) as cell:
        while (cell.wait_leader() == 1) != (role == "leader"):
            leader = cell.leader()
            cell.stop(leader)
            cell.start(leader)
        with Load(cell) as load:
            load.wait_grants(50)
            fill(tmp_path / "1" / "filler")
            assert cell.wait_exit(1, timeout=60) == IO_ERROR
            assert "full" in str(cell.nodes[1].log()[-1])
            load.wait_grants(100)
            cell.start(1)
            assert cell.wait_exit(1) == IO_ERROR  # no room yet, and it says so again
            assert "full" in str(cell.nodes[1].log()[-1])
            (tmp_path / "1" / "filler").unlink()
            cell.start(1)
            load.wait_grants(100)
            load.finish(broken=[1])
        cell.wait_caught_up()
