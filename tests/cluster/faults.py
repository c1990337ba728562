"""Faults under load: leaders killed and stopped, everybody killed, disks full. What clients saw is
written down and checked by history.py; a fault may cost time, never exclusion.

HOLDFAST_LONG=1 runs each of these ten times as long.
"""

import contextlib
import os
import random
import subprocess
import sys
import time

import pytest

import history
from cell import Cell, binary, wait_for

LONG = 10 if os.environ.get("HOLDFAST_LONG") else 1


class Load:
    """Processes that contend for a few locks of a cell until finish()."""

    def __init__(self, cell, processes=3, clients=3, locks=2, ttl_ms=2000):
        self.processes = [
            subprocess.Popen(
                [str(binary("tests/cluster/contender")), "--endpoints", cell.endpoints,
                 "--clients", str(clients), "--locks", str(locks), "--ttl-ms", str(ttl_ms),
                 "--seconds", "600", "--seed", str(i)],
                stdout=open(cell.directory / f"history-{i}.jsonl", "wb"), stderr=sys.stderr)
            for i in range(processes)
        ]
        self.paths = [cell.directory / f"history-{i}.jsonl" for i in range(processes)]

    def grants(self):
        return sum(path.read_bytes().count(b'"ok":true,"token"') for path in self.paths)

    def wait_grants(self, more, timeout=30):
        """Waits until that many more were granted: the cell works."""
        wanted = self.grants() + more
        wait_for(lambda: self.grants() >= wanted,
                 lambda: f"{wanted - self.grants()} grants of {more} are missing", timeout)

    def finish(self):
        """Ends the load and checks all of its histories together."""
        for process in self.processes:
            process.terminate()
        statuses = [process.wait(60) for process in self.processes]
        assert statuses == [0] * len(statuses), "a contender met an error that it can't explain"
        operations = []
        for path in self.paths:
            operations += history.read(path.read_text().splitlines())
        return history.check(operations)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def test_many_processes_contend_and_never_overlap(cell):
    cell.wait_leader()
    with Load(cell, processes=6, clients=4) as load:
        load.wait_grants(2000 * LONG, timeout=60 * LONG)
        load.finish()


def test_the_leader_is_killed_again_and_again(cell):
    """The next leader goes on where the last one fell: no grant is lost, none is given twice."""
    cell.wait_leader()
    with Load(cell) as load:
        load.wait_grants(100)
        for _ in range(5 * LONG):
            leader = cell.wait_leader()
            cell.kill(leader)
            load.wait_grants(50)
            cell.start(leader)
            cell.wait_leader()
        load.finish()


def test_a_follower_is_killed_and_catches_up(cell):
    leader = cell.wait_leader()
    follower = next(i for i in cell.nodes if i != leader)
    with Load(cell) as load:
        load.wait_grants(100)
        for _ in range(3 * LONG):
            cell.kill(follower)
            load.wait_grants(200)
            cell.start(follower)
            load.wait_grants(50)
        load.finish()
    # Quiet now: it has caught up.
    def applied():
        nodes = cell.status()["nodes"]
        return {n["id"]: int(n["applied"]) for n in nodes if n["role"] != "unreachable"}
    wait_for(lambda: len(applied()) == 3 and len(set(applied().values())) == 1, lambda: applied())


def test_all_are_killed_at_once_and_restarted(cell):
    cell.wait_leader()
    with Load(cell) as load:
        for _ in range(2 * LONG):
            load.wait_grants(100)
            for i in cell.nodes:
                cell.nodes[i].process.kill()
            for i in cell.nodes:
                cell.nodes[i].process.wait()
            cell.start()
            cell.wait_leader()
        load.wait_grants(50)
        load.finish()


def test_a_stopped_leader_answers_for_nothing_when_it_continues(cell):
    """SIGSTOP for longer than an election and than a TTL: on waking it finds renewals in its
    sockets for leases that are another leader's by now, and leases that look expired."""
    cell.wait_leader()
    with Load(cell, ttl_ms=1000) as load:
        load.wait_grants(100)
        for round_ in range(3 * LONG):
            leader = cell.wait_leader()
            cell.pause(leader)
            started = time.monotonic()
            load.wait_grants(50)  # the others go on without it
            remaining = 0.5 + round_ % 3 - (time.monotonic() - started)
            if remaining > 0:  # the fault's length
                time.sleep(remaining)
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
        load.wait_grants(50)
        end = time.monotonic() + 12 * LONG
        while time.monotonic() < end:
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


@contextlib.contextmanager
def small_disk(path, size="24m"):
    """A tmpfs of that size at `path`."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts a small tmpfs")
def test_a_full_disk_ends_one_node_and_costs_the_others_nothing(tmp_path):
    """P11: a failed write ends the process at once, with the reason; it never says yes first."""
    with small_disk(tmp_path / "1"):
        with Cell(nodes=3, directory=tmp_path) as cell:
            cell.wait_leader()
            with Load(cell) as load:
                load.wait_grants(50)
                filler = tmp_path / "1" / "filler"
                with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
                    while True:
                        file.write(b"\0" * 4096)
                assert cell.wait_exit(1, timeout=60) == 74
                assert any("full" in str(line) for line in cell.nodes[1].log()[-5:])
                load.wait_grants(100)
                # With room again it comes back and catches up: nothing was said that isn't true.
                filler.unlink()
                cell.start(1)
                load.wait_grants(100)
                wait_for(lambda: cell.status(1), "node 1 answers again")
                load.finish()
