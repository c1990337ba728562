"""Disaster: a backup of a running cell is saved, looked at and made a new cell; and what a lost
majority leaves goes on alone. All leases end, and no token comes twice.
"""

import json
import os
import shutil
import sqlite3

import pytest

from cell import Cell, binary, wait_for


def token_of(cell, lock, *args):
    done = cell.lockctl("-o", "json", "acquire", lock, "--ttl", "1h", "-n", *args)
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout)["token"])


def save(cell, path):
    done = cell.lockctl("-o", "json", "snapshot", "save", path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def restore(cell, path, to, *args):
    done = cell.lockctl("-o", "json", "snapshot", "restore", path, "--data-dir", to, *args)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def put_in_place(cell, made):
    """Every node of a cell that doesn't run gets its restored directory."""
    for line in made:
        node = cell.nodes[line["id"]]
        shutil.rmtree(node.data_dir, ignore_errors=True)
        os.rename(line["dataDir"], node.data_dir)
        node.clear_log()


def test_a_backup_becomes_a_new_cell_of_three(cell, tmp_path):
    cell.wait_leader()
    before = token_of(cell, "kept")
    saved = save(cell, tmp_path / "cell.hf")
    assert saved["leases"] >= 1 and saved["holds"] == 1
    looked_at = json.loads(cell.lockctl("-o", "json", "snapshot", "inspect",
                                        tmp_path / "cell.hf").stdout)
    assert looked_at == saved
    old_cell = cell.status()["cell"]
    after_backup = token_of(cell, "taken after the backup")
    for i in cell.nodes:
        cell.stop(i)
    made = restore(cell, tmp_path / "cell.hf", tmp_path / "new", "--cluster", cell.founders)
    assert [line["id"] for line in made] == [1, 2, 3]
    put_in_place(cell, made)
    cell.start()
    cell.wait_leader()
    assert cell.lockctl("held", "kept").returncode == 1, "its lease has ended"
    again = token_of(cell, "kept")
    assert again > after_backup > before
    status = cell.status()
    assert status["cell"] != old_cell and status["cell"] == made[0]["cell"]
    assert [n["role"] for n in status["nodes"]].count("follower") == 2


def test_one_backup_restored_twice_gives_no_token_twice(cell, tmp_path):
    cell.wait_leader()
    token_of(cell, "a")
    save(cell, tmp_path / "cell.hf")
    for i in cell.nodes:
        cell.stop(i)
    tokens = []
    for turn in range(2):
        put_in_place(cell, restore(cell, tmp_path / "cell.hf", tmp_path / f"new{turn}",
                                   "--cluster", cell.founders))
        cell.start()
        cell.wait_leader()
        tokens += [token_of(cell, lock) for lock in "abc"]
        for i in cell.nodes:
            cell.stop(i)
    assert tokens == sorted(set(tokens))


def test_a_node_of_the_old_cell_is_not_let_into_the_new_one(cell, tmp_path):
    cell.wait_leader()
    old_cell = cell.status()["cell"]
    save(cell, tmp_path / "cell.hf")
    for i in cell.nodes:
        cell.stop(i)
    made = restore(cell, tmp_path / "cell.hf", tmp_path / "new", "--cluster", cell.founders)
    put_in_place(cell, [line for line in made if line["id"] != 3])
    cell.nodes[3].clear_log()
    cell.start()
    cell.wait_leader()
    wait_for(lambda: cell.nodes[3].logged("cell " + old_cell) or cell.nodes[1].logged(old_cell),
             lambda: f"nobody refuses it: {cell.nodes[3].log()}", 20)


def test_a_damaged_backup_is_refused_and_says_where(cell, tmp_path):
    cell.wait_leader()
    token_of(cell, "a-lock-with-a-long-name")
    path = tmp_path / "cell.hf"
    save(cell, path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"a-lock-with-a-long-name", b"a-lock-with-a-wrong-nam"))
    done = cell.lockctl("snapshot", "inspect", path)
    assert done.returncode == 78
    assert "fails its checksum" in done.stderr and "take another one" in done.stderr
    done = cell.lockctl("snapshot", "restore", path, "--data-dir", tmp_path / "new")
    assert done.returncode == 78
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("args, words", [
    (["--cluster", "1=a:1,2=b:1"], "1, 3 or 5 nodes"),
    (["--cluster", "x"], "is not ID=HOST:PORT"),
    (["--cluster", "1=a:1,1=b:1,2=c:1"], "twice"),
])
def test_a_restore_that_makes_no_sense_says_what_would(cell, tmp_path, args, words):
    cell.wait_leader()
    token_of(cell, "a")
    save(cell, tmp_path / "cell.hf")
    done = cell.lockctl("snapshot", "restore", tmp_path / "cell.hf", "--data-dir",
                        tmp_path / "new", *args)
    assert done.returncode == 2 and words in done.stderr


def test_a_lost_majority_is_left_behind_by_force(cell):
    leader = cell.wait_leader()
    before = token_of(cell, "kept")
    cell.wait_caught_up()
    old_cell = cell.status()["cell"]
    left = next(i for i in cell.nodes if i != leader)
    for i in cell.nodes:
        cell.kill(i)
    node = cell.nodes[left]
    node.clear_log()
    cell.start(left, args=["--force-new-cell"])
    cell.wait_leader()
    assert node.logged("FORCING A NEW CELL")
    status = cell.status(left)
    assert len(status["nodes"]) == 1 and status["cell"] != old_cell
    endpoints = node.address
    assert cell.lockctl("held", "kept", endpoints=endpoints).returncode == 1
    done = cell.lockctl("-o", "json", "acquire", "kept", "-n", endpoints=endpoints)
    assert int(json.loads(done.stdout)["token"]) > before
    # It is in the history, for whoever asks in a year why tokens jumped.
    cell.stop(left)
    state = next(node.data_dir.glob("state-*.db"))
    with sqlite3.connect(state) as db:
        notes = [row[0] for row in db.execute("SELECT note FROM event WHERE cause = 'new cell'")]
    assert len(notes) == 1 and "--force-new-cell" in notes[0]
    # Left in a unit file it would end all leases at each start.
    node.clear_log()
    cell.start(left, args=["--force-new-cell"])
    assert cell.wait_exit(left) == 78
    assert node.logged("is a cell of its own already")
    cell.start(left)
    wait_for(lambda: node.logged("leading"), "it doesn't lead")
    # The others, should they come back, are of another cell.
    other = next(i for i in cell.nodes if i not in (left, leader))
    cell.nodes[other].clear_log()
    cell.start(other)
    wait_for(lambda: cell.nodes[other].logged("cell"), "the other says nothing")
    assert cell.lockctl("held", "kept", endpoints=endpoints).returncode in (0, 1)
