"""A node whose clock runs otherwise than a majority's finds out, says so and doesn't lead."""

import json

import pytest

from cell import Cell, binary, wait_for

ELECTION = ["--election", "200ms"]  # so that 20 of them, which it takes to find out, are 4 s


@pytest.fixture
def cell():
    with Cell(nodes=3, args=ELECTION) as cell:
        cell.wait_leader()
        yield cell


def skew(cell, i, rate):
    """Starts node i again, with a clock that runs at so many times its rate."""
    cell.stop(i)
    cell.nodes[i].clear_log()
    cell.nodes[i].env = {"LD_PRELOAD": str(binary("tests/cluster/libskewed_clock.so")),
                         "SKEWED_CLOCK_RATE": str(rate)}
    cell.start(i)
    cell.wait_caught_up()


def clock(cell, i):
    return next(n["clock"] for n in (cell.status() or {"nodes": []})["nodes"] if n["id"] == i)


def knows(cell, i):
    return wait_for(lambda: (cell.status() and clock(cell, i)["known"]) and clock(cell, i),
                    lambda: f"nobody knows how node {i}'s clock runs: {cell.status()}", 30, 0.2)


def transfer(cell, i):
    return cell.lockctl("leader", "transfer", i)


@pytest.mark.parametrize("rate", [1.06, 0.94])
def test_a_leader_with_a_wrong_clock_hands_over_and_leads_no_more(cell, rate):
    odd = cell.wait_leader()
    skew(cell, odd, rate)
    # Nobody can know it yet.
    wait_for(lambda: transfer(cell, odd).returncode == 0, "it never led", 10, 0.1)
    cell.wait_logged(odd, "clock doesn't run as a majority's do", 30)
    cell.wait_leader(other_than=odd)
    wait_for(lambda: cell.status() and clock(cell, odd)["standsBack"],
             lambda: f"status doesn't tell: {cell.status()}", 20, 0.2)
    told = clock(cell, odd)
    assert abs(told["ppm"] - (rate - 1) * 1e6) <= told["errorPpm"] + 1000
    assert f"node {cell.leader()}'s runs" in told["trouble"]
    shown = cell.lockctl("status").stdout
    assert f"node {odd} doesn't lead, its clock is wrong" in shown and "CLOCK" in shown
    assert "its clock is wrong" in cell.lockctl("members").stdout
    # The one that leads finds it out by its own readings, and until then asks in vain.
    def refuses():
        said = transfer(cell, odd)
        assert said.returncode == 1, said.stdout
        return "clock doesn't run as the other nodes' do" in said.stderr
    wait_for(refuses, "the leader knows whose clock is wrong", 20, 0.2)
    # It still votes: with it, another may fail.
    cell.kill(cell.leader())
    cell.wait_leader(other_than=odd)
    done = cell.lockctl("run", "a", "--", "true")
    assert done.returncode == 0, done.stderr


def test_good_clocks_are_within_the_bound_of_each_other(cell):
    leader = cell.wait_leader()
    for i in cell.nodes:
        told = knows(cell, i)
        assert abs(told["ppm"]) <= told["errorPpm"] + 1000
        assert told["trouble"] == "" and not told["standsBack"]
        assert i != leader or (told["ppm"], told["errorPpm"]) == (0, 0)
    members = json.loads(cell.lockctl("-o", "json", "members").stdout)["members"]
    assert all(m["clock"]["known"] for m in members)
