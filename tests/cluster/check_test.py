"""lockctl check: all nodes agree, under load too; flipped bits of a running node's databases are
found, and named.
"""

import json
import signal
import subprocess

import pytest

from cell import binary, wait_for


def check(cell, *args):
    done = cell.lockctl("-o", "json", "check", *args, timeout=120)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def overwrite(directory, old, new):
    """What a hex editor does: every `old` in the files of the directory becomes `new`."""
    found = 0
    for path in directory.iterdir():
        data = path.read_bytes()
        if old not in data:
            continue
        with open(path, "r+b") as file:
            at = data.find(old)
            while at >= 0:
                file.seek(at)
                file.write(new)
                found += 1
                at = data.find(old, at + 1)
    return found


@pytest.mark.parametrize("deep", [(), ("--deep",)])
def test_all_nodes_agree_under_load(cell, deep):
    cell.wait_leader()
    assert cell.lockctl("acquire", "held", "--ttl", "1h").returncode == 0
    command = [str(binary("bindings/cli/lockctl")), "--endpoints", cell.endpoints, "bench",
               "--clients", "4", "--duration", "60s"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as bench:
        slots = []
        for _ in range(3):
            status, result = check(cell, *deep)
            assert status == 0 and result["agrees"] and result["complete"], result
            digests = {node["digest"] for node in result["nodes"]}
            assert len(digests) == 1 and len(result["nodes"]) == 3
            slots.append(int(result["slot"]))
        bench.send_signal(signal.SIGKILL)
    assert slots == sorted(set(slots))


def test_a_node_that_is_down_is_told_of_and_the_others_still_compared(cell):
    leader = cell.wait_leader()
    cell.kill(next(i for i in cell.nodes if i != leader))
    wait_for(lambda: cell.status(leader), "no status")
    status, result = check(cell)
    assert status == 0 and result["agrees"] and not result["complete"]
    assert sorted(n["verdict"] for n in result["nodes"]) == ["ok", "ok", "unreachable"]


def test_an_overwritten_row_is_found_by_a_deep_check_and_named(cell):
    leader = cell.wait_leader()
    name = b"a-lock-with-a-long-name"
    assert cell.lockctl("acquire", name.decode(), "--ttl", "1h").returncode == 0
    cell.wait_caught_up()
    follower = cell.nodes[next(i for i in cell.nodes if i != leader)]
    # Recorded within 200 ms; then it is in state.db or its WAL.
    wait_for(lambda: any(name in p.read_bytes() for p in follower.data_dir.glob("state*")),
             "it is never recorded")
    assert overwrite(follower.data_dir, name, b"a-lock-with-a-wrong-nam") > 0
    status, result = check(cell, "--deep")
    assert status == 1 and not result["agrees"]
    bad = [node for node in result["nodes"] if node["verdict"] == "damaged"]
    assert [node["id"] for node in bad] == [follower.id]
    assert "fails its checksum" in bad[0]["damage"]
    assert follower.logged("is damaged")
    assert cell.lockctl("held", name.decode()).returncode == 0, "the cell serves on"
