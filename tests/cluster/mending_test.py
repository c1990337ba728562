"""Disks that rot (P11): bytes of a node's databases are overwritten, while it is down and while it
runs. What is damaged is named, never used, and mended from the other nodes.
"""

import contextlib
import json
import sqlite3

import pytest

from cell import Cell, wait_for
from load import bench_load

REFUSED = 78
PAGE = 4096


def wait_slots(cell, i, more):
    """Until node i has applied so many slots more than now."""
    wanted = wait_for(lambda: int(cell.node_status(i).get("applied", 0)), "it says nothing") + more
    wait_for(lambda: int(cell.node_status(i).get("applied", 0)) >= wanted,
             f"node {i} doesn't get to slot {wanted}", 300, interval=0.1)


def wait_equal(cell):
    """Until every node has recorded everything: nothing is going on any more."""
    def quiet():
        nodes = (cell.status() or {"nodes": [{}]})["nodes"]
        return len({n.get(k) for n in nodes for k in ("chosen", "applied", "recorded")}) == 1
    wait_for(quiet, lambda: f"something is still going on: {cell.status()}", 60, interval=0.2)


@contextlib.contextmanager
def database(node, name):
    """A database of a stopped node. In the end all of it is in the main file."""
    path = node.data_dir / name
    with contextlib.closing(sqlite3.connect(path)) as db:
        yield db
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            (node.data_dir / (name + suffix)).unlink()


def overwrite(path, offset, rubbish):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(rubbish)


def overwrite_each(paths, old, new):
    """What a hex editor does: every `old` in these files becomes `new`."""
    found = 0
    for path in paths:
        data = path.read_bytes()
        at = data.find(old)
        while at >= 0:
            overwrite(path, at, new)
            found += 1
            at = data.find(old, at + 1)
    return found


def damage_record(node, first_page=False):
    """Rubbish over a page of a stopped node's record."""
    with database(node, "log.db") as db:
        name = db.execute("SELECT state_file FROM meta").fetchone()[0]
    with database(node, name) as db:
        page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'lease'").fetchone()[0]
    if first_page:
        page = 1
    overwrite(node.data_dir / name, (page - 1) * PAGE, b"rubbish " * (PAGE // 8))


def damage_last_row(node):
    """Flips bytes of the newest row of a stopped node's log, which isn't recorded, and of those
    that end as it does. Its slot.
    """
    with database(node, "log.db") as db:
        slot, value = db.execute("SELECT slot, value FROM log ORDER BY slot DESC").fetchone()
        name = db.execute("SELECT state_file FROM meta").fetchone()[0]
    with database(node, name) as db:
        applied = db.execute("SELECT applied FROM meta").fetchone()[0]
    assert slot > applied, "that it isn't recorded is what this is about"
    assert overwrite_each([node.data_dir / "log.db"], value[-16:], b"rubbish, rubbish") > 0
    return slot


def state_of(node, table):
    """All rows of a table of a stopped node's record."""
    with contextlib.closing(sqlite3.connect(node.data_dir / "log.db")) as db:
        name = db.execute("SELECT state_file FROM meta").fetchone()[0]
    with contextlib.closing(sqlite3.connect(node.data_dir / name)) as db:
        return db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()


def check(cell, *args):
    done = cell.lockctl("-o", "json", "check", *args, timeout=120)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def followers(cell):
    leader = cell.wait_leader()
    return [i for i in cell.nodes if i != leader]


def test_a_row_of_the_log_that_was_damaged_while_the_node_was_down_is_mended(cell):
    away = followers(cell)[0]
    node = cell.nodes[away]
    with bench_load(cell):
        wait_slots(cell, away, 300)
        cell.kill(away)  # of its last 200 ms nothing is recorded
        slot = damage_last_row(node)
        node.clear_log()
        cell.start(away)
        said = cell.wait_logged(away, "neither promises nor accepts")[-1]
        assert said["level"] == "error" and "the row of slot" in said["message"]
        assert said["message"].endswith(f"through slot {slot}")
        cell.wait_logged(away, "is mended: what was chosen through slot")
        wait_slots(cell, away, 100)
    wait_equal(cell)
    assert cell.node_status(away)["mendsThrough"] == "0"
    status, result = check(cell, "--deep")
    assert status == 0 and result["complete"] and result["agrees"], result


def test_a_row_of_an_idle_cell_is_mended_too(cell):
    """Nothing is chosen any more: the leader has to see to it."""
    away, other = followers(cell)
    with bench_load(cell):
        wait_slots(cell, away, 100)
        for i in cell.nodes:
            cell.kill(i)
    node = cell.nodes[away]
    slot = damage_last_row(node)
    cell.start(away)
    cell.wait_logged(away, f"was chosen, through slot {slot}")
    cell.start(other)
    cell.start()
    cell.wait_leader()
    cell.wait_logged(away, "is mended: what was chosen through slot")
    wait_equal(cell)
    status, result = check(cell, "--deep")
    assert status == 0 and result["complete"] and result["agrees"], result


def test_rubbish_over_a_page_of_the_log_is_mended(cell):
    """Nobody can say which rows it had: all are lost, and the cell is idle."""
    away = followers(cell)[0]
    node = cell.nodes[away]
    with bench_load(cell):
        wait_slots(cell, away, 300)
    wait_equal(cell)
    cell.stop(away)
    with database(node, "log.db") as db:
        page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'log'").fetchone()[0]
    overwrite(node.data_dir / "log.db", (page - 1) * PAGE, b"rubbish " * (PAGE // 8))
    node.clear_log()
    cell.start(away)
    said = cell.wait_logged(away, "neither promises nor accepts")[-1]
    assert said["level"] == "error" and "table `log` was damaged" in said["message"]
    cell.wait_logged(away, "is mended: what was chosen through slot")
    wait_equal(cell)
    assert cell.node_status(away)["mendsThrough"] == "0"
    assert (node.data_dir / "log.damaged").exists()
    status, result = check(cell, "--deep")
    assert status == 0 and result["complete"] and result["agrees"], result


@pytest.mark.parametrize("log_slots", ["1000", "100000"])
def test_a_page_of_the_record_that_was_damaged_while_the_node_was_down_is_mended(log_slots):
    """By a snapshot, if its log begins further above, else by what that holds."""
    with Cell(nodes=3, args=["--log-slots", log_slots]) as cell:
        away, other = followers(cell)
        node = cell.nodes[away]
        assert cell.lockctl("acquire", "kept", "--ttl", "1h").returncode == 0
        with bench_load(cell):
            wait_slots(cell, away, 2500 if log_slots == "1000" else 200)
        wait_equal(cell)
        cell.stop(away)
        damage_record(node, first_page=log_slots != "1000")
        node.clear_log()
        cell.start(away)
        said = cell.wait_logged(away, "the record is damaged, and not used")[-1]
        words = "table `lease`" if log_slots == "1000" else "is not an SQLite database"
        assert said["level"] == "error" and words in said["reason"]
        if log_slots == "1000":
            cell.wait_logged(away, "installed a snapshot")
            cell.wait_logged(away, "is mended: what was chosen through slot")
        wait_equal(cell)
        assert (node.data_dir / "state.damaged").exists()
        assert cell.lockctl("held", "kept").returncode == 0
        for i in cell.nodes:
            cell.stop(i)
        for table in ("lease", "lock", "hold", "client", "answer", "event"):
            assert state_of(node, table) == state_of(cell.nodes[other], table)


def test_a_cell_of_one_refuses_what_nobody_can_mend():
    with Cell(nodes=1) as cell:
        cell.wait_leader()
        assert cell.lockctl("acquire", "held", "--ttl", "1h").returncode == 0
        wait_equal(cell)
        cell.stop(1)
        damage_record(cell.nodes[1])
        cell.start()
        assert cell.nodes[1].process.wait(10) == REFUSED
        refused = cell.nodes[1].logged("the data directory can't be used")[-1]
        assert "state.db: table `lease` is damaged" in refused["reason"]


def test_a_row_of_the_log_is_mended_while_the_node_runs(cell):
    away = followers(cell)[0]
    node = cell.nodes[away]
    name = b"a-lock-with-a-long-name"
    assert cell.lockctl("acquire", name.decode(), "--ttl", "1h").returncode == 0
    wait_equal(cell)
    assert overwrite_each(node.data_dir.glob("log.db*"), name, b"a-lock-with-a-wrong-nam") > 0
    status, result = check(cell, "--deep")
    assert status == 1
    bad = [n for n in result["nodes"] if n["verdict"] == "damaged"]
    assert [n["id"] for n in bad] == [away] and "fails its checksum" in bad[0]["damage"]
    assert node.logged("a row of the log is damaged, and not used")
    wait_for(lambda: check(cell, "--deep")[0] == 0, "it stays damaged", 30)
    assert int(cell.node_status(away)["damaged"]) > 0
    assert cell.lockctl("held", name.decode()).returncode == 0


def test_a_record_is_mended_while_the_node_runs():
    """The daemon's own look finds it; nobody asks for one."""
    with Cell(nodes=3, args=["--scrub-interval", "1s"]) as cell:
        away = followers(cell)[0]
        node = cell.nodes[away]
        name = b"a-lock-with-a-long-name"
        assert cell.lockctl("acquire", name.decode(), "--ttl", "1h").returncode == 0
        wait_equal(cell)
        files = node.data_dir.glob("state.db*")
        assert overwrite_each(files, name, b"a-lock-with-a-wrong-nam") > 0
        said = cell.wait_logged(away, "a database is damaged")[-1]
        assert said["database"] == "state.db" and "fails its checksum" in said["reason"]
        cell.wait_logged(away, "opens its data directory anew", timeout=40)
        wait_equal(cell)
        wait_for(lambda: check(cell, "--deep")[0] == 0, "it stays damaged", 60)
        assert node.running and int(cell.node_status(away)["damaged"]) > 0
        assert cell.lockctl("held", name.decode()).returncode == 0
