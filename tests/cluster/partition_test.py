"""Partitions in network namespaces: links cut both ways or one way, under load. A cell whose
majority is connected goes on within a bounded time, and nobody counts on what is another's.

Needs root and nft. HOLDFAST_LONG=1 repeats most of these faults ten times as often.
"""

import os
import statistics

import pytest

import network
from cell import Cell, wait_for
from load import Load, true_ns

LONG = 10 if os.environ.get("HOLDFAST_LONG") else 1
GOES_ON = 15  # seconds: many elections' worth, for a busy machine
TTL_MS = 1000
needs_network = pytest.mark.skipif(not network.possible,
                                   reason="needs root and nft: makes network namespaces")


@pytest.fixture
def net():
    with network.Network(1, 2, 3, "client", "pinned") as made:
        yield made


@pytest.fixture
def split_cell(net):
    with Cell(nodes=3, network=net) as cell:
        cell.wait_leader()
        yield cell


def others(cell, one):
    return [i for i in cell.nodes if i != one]


def wait_passed(since, seconds):
    """The length of a fault."""
    wait_for(lambda: true_ns() - since > seconds * 1e9, "the end of the fault", seconds + 5)


def leads(cell, i):
    """Whether that node's own word is that it leads: its newest log line about it."""
    said = [line["message"] for line in cell.nodes[i].log()
            if line["message"] in ("leading", "no longer leading")]
    return said[-1:] == ["leading"]


def turns(cell):
    """How often each node began to lead."""
    return {i: len(node.logged("leading")) for i, node in cell.nodes.items()}


def wait_all_get_some(contenders):
    since = true_ns()
    for each in contenders:
        wait_for(lambda each=each: each.done("acquire", since), "each gets some locks", GOES_ON)


def assert_told_nothing(contenders, since):
    """No request that was made after this moment was answered with a yes."""
    for each in contenders:
        for kind in ("open", "renew", "acquire", "release", "show"):
            told = [o for o in each.done(kind, since) if int(o["start"]) > since]
            assert not told, f"answered by one that doesn't lead: {told[0]}"


@pytest.mark.parametrize("way", ["mute", "deaf", "both"])
@needs_network
def test_a_leader_cut_off_from_its_peers_as_root(net, split_cell, measured, way):
    """Mute: nobody hears it. Deaf: it hears nobody, yet the others hear its heartbeats, until it
    notices that no quorum answers. Its clients still reach it, and must be told to go elsewhere."""
    cell, gaps = split_cell, []
    with Load(cell, ttl_ms=TTL_MS) as load:
        for _ in range(2 * LONG):
            load.wait_grants(50)
            leader = cell.wait_leader()
            for other in others(cell, leader):
                if way in ("mute", "both"):
                    net.cut(leader, other)
                if way in ("deaf", "both"):
                    net.cut(other, leader)
            cut = true_ns()
            cell.wait_leader(other_than=leader, timeout=GOES_ON)
            load.wait_grants(50, timeout=GOES_ON)
            gaps.append((true_ns() - cut) / 1e9)
            wait_for(lambda gone=leader: not leads(cell, gone), "the old leader steps down")
            wait_passed(cut, 1.5 * TTL_MS / 1000)
            load.wait_grants(50, timeout=GOES_ON)
            net.heal()
        load.wait_grants(50)
        load.finish()
    cell.wait_caught_up()
    measured(f"{way}: until 50 grants by the next leader: median {statistics.median(gaps):.2f} s")


@needs_network
def test_a_client_cut_off_from_the_cell_as_root(net, split_cell, measured):
    """It learns nothing any more, and must stop counting on its lock by itself, before the cell
    gives it to the next one. The cell's leader stays, so there is little time in between."""
    cell, passed = split_cell, []
    with Load(cell, ttl_ms=TTL_MS) as load:
        keeper, heir = load.add_keeper(host="pinned")
        for _ in range(3 * LONG):
            wait_for(keeper.holds, "it gets the lock", GOES_ON)
            net.isolate("pinned")
            cut = true_ns()
            wait_for(lambda: heir.done("acquire", cut), "the lock passes on", GOES_ON)
            passed.append((true_ns() - cut) / 1e9)
            net.heal()
        load.finish()
    measured(f"the lock passed on after {statistics.median(passed):.2f} s, ttl {TTL_MS} ms")


@needs_network
def test_a_minority_alone_as_root(net, split_cell):
    """The leader, with clients beside it that reach nobody else: they are told nothing, and count
    on nothing once their leases are over. The majority's clients go on with the same locks."""
    cell = split_cell
    with Load(cell, ttl_ms=TTL_MS) as load:
        pinned = [load.add(host="pinned", clients=3)]
        keeper, _ = load.add_keeper(host="pinned")
        wait_for(keeper.holds, "the keeper gets its lock", GOES_ON)
        for _ in range(LONG):
            wait_all_get_some(pinned)
            leader = cell.wait_leader()
            for other in others(cell, leader):
                net.isolate(other, leader, "pinned")
            net.isolate("client", leader)
            cut = true_ns()
            load.wait_grants(50, since=cut + 2 * TTL_MS * 10**6, timeout=GOES_ON)
            assert_told_nothing(pinned, since=cut)
            net.heal()
            wait_all_get_some(pinned)
        load.finish()
    cell.wait_caught_up()


@pytest.mark.parametrize("alone", [False, True])
@needs_network
def test_a_stopped_leader_answers_for_nothing_when_it_continues_as_root(net, split_cell, alone):
    """Clients that reach that one node alone have filled its sockets with renewals and acquires
    while it was stopped, for longer than an election. When it continues, it thinks that it leads,
    and that these leases have just been renewed: it must find out first, also when no word of the
    next leader has come to it. Some of the leases are over by then; others could be renewed."""
    cell = split_cell
    with Load(cell, ttl_ms=TTL_MS) as load:
        pinned = [load.add(host="pinned", clients=2),
                  load.add(host="pinned", clients=2, ttl_ms=4 * TTL_MS)]
        keeper, _ = load.add_keeper(host="pinned")
        wait_for(keeper.holds, "the keeper gets its lock", GOES_ON)
        for _ in range(LONG):
            wait_all_get_some(pinned)
            leader = cell.wait_leader()
            for other in others(cell, leader):
                net.isolate("pinned", other)
                if alone:
                    net.isolate(leader, other)
            cell.pause(leader)
            stopped = true_ns()
            load.wait_grants(100, since=stopped + 2 * TTL_MS * 10**6, timeout=GOES_ON)
            cell.resume(leader)
            wait_for(lambda: not leads(cell, leader), "it learns that it leads no more")
            woken = true_ns()
            load.wait_grants(100, since=woken)
            wait_passed(woken, 0.3)
            assert_told_nothing(pinned, since=stopped)
            net.heal()
        load.finish()


@pytest.mark.parametrize("way", ["deaf", "both"])
@needs_network
def test_a_follower_that_comes_back_unseats_nobody_as_root(net, split_cell, way):
    """P7. Cut off, it asks to lead again and again; so it does while it hears nothing from the
    leader, which hears it well. Neither then nor afterwards may that cost the others anything."""
    cell = split_cell
    with Load(cell, ttl_ms=TTL_MS) as load:
        load.wait_grants(50)
        leader = cell.wait_leader()
        follower = others(cell, leader)[0]
        before = turns(cell)
        net.cut(leader, follower)
        if way == "both":
            net.isolate(follower, *others(cell, follower))
        cut = true_ns()
        wait_for(lambda: cell.nodes[follower].logged("probing"), "it asks to lead")
        load.wait_grants(100, since=cut + 2 * 10**9, timeout=GOES_ON)
        net.heal()
        load.wait_grants(100)
        load.finish()
        cell.wait_caught_up()
        assert turns(cell) == before, "the leader was unseated"
