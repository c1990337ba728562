"""Reads that followers and learners answer: as new as the leader's, or they don't answer."""

import json
import re

import pytest

from cell import Cell, wait_for


@pytest.fixture
def cell():
    with Cell(nodes=3) as cell:
        cell.wait_leader()
        yield cell


def put(cell, value):
    done = cell.lockctl("-o", "json", "key", "put", "k/a", value)
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout)["revision"])


def get(cell, i, how="--anywhere"):
    """By node i alone: the value, the revision that it is of, and how old it says that is."""
    done = cell.lockctl("-v", "key", "get", "k/a", how, endpoints=cell.nodes[i].address)
    assert done.returncode == 0, done.stderr
    revision, age = map(int, re.search(r"as of revision (\d+), (\d+) ms", done.stderr).groups())
    return done.stdout.strip(), revision, age


def test_followers_and_learners_answer_as_the_leader_would(cell):
    cell.join(4)
    wait_for(lambda: (cell.members() or {}).get(4, {}).get("role") == "learner",
             lambda: f"node 4 never joined: {cell.members()}", 30, 0.1)
    leader = cell.wait_leader()
    ages = {i: [] for i in cell.nodes if i != leader}
    for turn in range(10):
        for i in ages:
            revision = put(cell, f"{turn} {i}")
            value, seen, age = get(cell, i)
            assert value == f"{turn} {i}" and seen >= revision
            ages[i].append(age)
    # The leader's own answers have the age 0: these were others'.
    assert all(max(told) > 0 for told in ages.values()), ages
    listed = cell.lockctl("-o", "json", "key", "ls", "k/", "--anywhere",
                          endpoints=cell.nodes[4].address)
    assert json.loads(listed.stdout)["key"] == "k/a", listed.stderr


def test_a_leader_that_slept_through_its_end_tells_nothing_old(cell):
    put(cell, "old")
    for turn in range(3):
        asleep = cell.wait_leader()
        cell.pause(asleep)
        cell.wait_leader(other_than=asleep)
        put(cell, f"new {turn}")
        cell.resume(asleep)
        assert get(cell, asleep)[0] == f"new {turn}"


def test_without_a_majority_only_stale_reads_are_answered(cell):
    put(cell, "x")
    cell.wait_caught_up()
    leader = cell.wait_leader()
    left = leader % 3 + 1
    for i in cell.nodes:
        if i != left:
            cell.kill(i)
    assert get(cell, left, "--stale")[0] == "x"
    done = cell.lockctl("--timeout", "2s", "key", "get", "k/a", "--anywhere",
                        endpoints=cell.nodes[left].address)
    assert done.returncode == 69 and done.stdout == "", done.stderr
