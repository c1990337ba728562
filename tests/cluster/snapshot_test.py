"""The log is trimmed, and who lags behind it gets a snapshot: under load, killed in the middle, by
part after part, and all of it is there in the end. HOLDFAST_LONG=1 sends a million leases.
"""

import contextlib
import os
import pathlib
import sqlite3
import subprocess
import time

import pytest

from cell import Cell, binary, wait_for
from load import bench_load

LEASES = 1_000_000 if os.environ.get("HOLDFAST_LONG") else 20_000
SHORT_LOG = ["--log-slots", "1000"]


@pytest.fixture(name="short_log")
def three_with_a_short_log():
    with Cell(nodes=3, args=SHORT_LOG) as cell:
        yield cell


def applied(cell, i):
    status = cell.node_status(i)
    return int(status["applied"]) if status else 0


def wait_slots(cell, i, more):
    """Until node i has applied so many slots more than now."""
    wanted = wait_for(lambda: applied(cell, i), f"node {i} says nothing") + more
    wait_for(lambda: applied(cell, i) >= wanted, f"node {i} doesn't get to slot {wanted}", 300,
             interval=0.2)


def wait_equal(cell):
    """Until every node has recorded everything: nothing is going on any more."""
    def quiet():
        nodes = (cell.status() or {"nodes": [{}]})["nodes"]
        return len({n.get(k) for n in nodes for k in ("chosen", "applied", "recorded")}) == 1
    wait_for(quiet, lambda: f"something is still going on: {cell.status()}", 60, interval=0.2)


def slots_of(node):
    """The first and the last slot of a stopped node's log, and the name of its state file."""
    with contextlib.closing(sqlite3.connect(node.data_dir / "log.db")) as db:
        first, last = db.execute("SELECT min(slot), max(slot) FROM log").fetchone()
        return first, last, db.execute("SELECT state_file FROM meta").fetchone()[0]


def state_of(node, table):
    """All rows of a table of a stopped node's record."""
    _, _, name = slots_of(node)
    with contextlib.closing(sqlite3.connect(node.data_dir / name)) as db:
        return db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()


def test_a_node_that_was_away_for_long_gets_a_snapshot_under_load(short_log):
    cell = short_log
    leader = cell.wait_leader()
    away, other = (i for i in cell.nodes if i != leader)
    assert cell.lockctl("acquire", "kept", "--ttl", "1h").returncode == 0
    with bench_load(cell):
        wait_slots(cell, other, 100)
        cell.kill(away)
        # More than the settings say is kept only for those that are up.
        wait_slots(cell, leader, 2500)
        cell.start(away)
        wait_for(lambda: cell.nodes[away].logged("installed a snapshot"),
                 "no snapshot came", 60)
        wait_slots(cell, away, 100)
    wait_equal(cell)
    assert cell.lockctl("held", "kept").returncode == 0
    for i in cell.nodes:
        cell.stop(i)
    first, last, name = slots_of(cell.nodes[away])
    assert name.startswith("state-") and first > 1000
    assert [p.name for p in cell.nodes[away].data_dir.glob("state*.db*")
            if not p.name.startswith(name)] == []
    first, last, _ = slots_of(cell.nodes[leader])
    assert last - first < 4 * 1000 + 200, "the log isn't trimmed"
    for table in ("lease", "lock", "hold", "client", "answer", "event"):
        assert state_of(cell.nodes[away], table) == state_of(cell.nodes[leader], table)
    cell.start()
    cell.wait_leader()
    assert cell.lockctl("held", "kept", timeout=20).returncode == 0


def test_killed_while_receiving_or_sending_nothing_is_lost(short_log):
    cell = short_log
    leader = cell.wait_leader()
    subprocess.run([str(binary("tests/bench/fill_leases")), cell.endpoints, str(LEASES // 10)],
                   stdout=subprocess.DEVNULL, check=True)
    away = next(i for i in cell.nodes if i != leader)
    cell.kill(away)
    with bench_load(cell):
        wait_slots(cell, leader, 2500)
        for _ in range(5):
            cell.nodes[away].clear_log()
            cell.start(away)
            wait_for(lambda: cell.nodes[away].logged("receives a snapshot")
                     or cell.nodes[away].logged("installed a snapshot"), "nothing comes", 60)
            cell.kill(away)
        cell.nodes[away].clear_log()
        cell.start(away)
        wait_for(lambda: cell.nodes[away].logged("receives a snapshot")
                 or cell.nodes[away].logged("installed a snapshot"), "nothing comes", 60)
        cell.kill(leader)
        leader = cell.wait_leader(other_than=leader)
        cell.start()
        wait_slots(cell, away, 1000)
    wait_equal(cell)
    held = cell.lockctl("held", f"bench/fill/{LEASES // 10 - 1}")
    assert held.returncode == 0, held.stderr


def test_how_long_a_large_snapshot_takes(short_log, measured):
    cell = short_log
    leader = cell.wait_leader()
    subprocess.run([str(binary("tests/bench/fill_leases")), cell.endpoints, str(LEASES)],
                   stdout=subprocess.DEVNULL, check=True)
    away = next(i for i in cell.nodes if i != leader)
    cell.kill(away)
    with bench_load(cell):
        wait_slots(cell, leader, 2500)
    cell.nodes[away].clear_log()
    cell.start(away)
    wait_for(lambda: cell.nodes[away].logged("for a snapshot"), "it asks for none", 120)
    began = time.monotonic()
    wait_for(lambda: cell.nodes[away].logged("installed a snapshot"), "no snapshot came", 120)
    took = time.monotonic() - began
    size = sum(p.stat().st_size for p in pathlib.Path(cell.nodes[away].data_dir).glob("state-*.db"))
    measured(f"a snapshot of {LEASES} leases, {size / 1e6:.0f} MB, took {took:.1f} s")
    assert took < 30
    wait_equal(cell)
