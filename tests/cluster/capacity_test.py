"""Many live leases with a lock each: what they cost, and that all are there after a restart. A few
thousand; with HOLDFAST_LONG=1 as many as Holdfast is meant for, which `./dev bench` measures too.
"""

import os
import pathlib
import subprocess
import time

from cell import binary, wait_for

LEASES = 100_000 if os.environ.get("HOLDFAST_LONG") else 5_000
MOST_MB = 100


def resident_mb(node):
    """Megabytes of memory that a node's process has now."""
    status = pathlib.Path(f"/proc/{node.process.pid}/status").read_text(encoding="ascii")
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(kib) * 1024 / 1e6


def wait_recorded(cell):
    """Until every node has recorded everything: nothing is going on any more."""
    def quiet():
        nodes = (cell.status() or {"nodes": [{}]})["nodes"]
        return len({n.get(k) for n in nodes for k in ("chosen", "applied", "recorded")}) == 1
    wait_for(quiet, lambda: f"something is still going on: {cell.status()}", 60, interval=0.2)


def test_many_live_leases_fit_and_survive(cell, measured):
    cell.wait_leader()
    subprocess.run([str(binary("tests/bench/fill_leases")), cell.endpoints, str(LEASES)],
                   stdout=subprocess.DEVNULL, check=True)
    wait_recorded(cell)
    full_mb = resident_mb(cell.nodes[cell.leader()])
    for node in cell.nodes.values():
        cell.kill(node.id)
        node.clear_log()
    began = time.monotonic()
    cell.start()
    held = cell.lockctl("--timeout", "60s", "held", f"bench/fill/{LEASES - 1}", timeout=90)
    took = time.monotonic() - began
    assert held.returncode == 0, held.stderr
    wait_recorded(cell)
    again_mb = resident_mb(cell.nodes[cell.wait_leader()])
    measured(f"{LEASES} leases: the leader has {full_mb:.0f} MB, {again_mb:.0f} MB after a restart "
             f"of all, which took {took:.2f} s")
    listed = cell.lockctl("-o", "json", "lease", "ls", timeout=120).stdout.splitlines()
    assert len(listed) == LEASES
    assert max(full_mb, again_mb) < MOST_MB
