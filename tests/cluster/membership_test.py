"""Leaders hand over, and nodes come and go, while clients contend for locks."""

import json

import pytest

from cell import Cell, wait_for
from load import Load


@pytest.fixture(name="cell")
def cell_of_three():
    with Cell() as cell:
        cell.wait_leader()
        yield cell


def done(cell, *args, **options):
    """A command that succeeds; what it printed."""
    finished = cell.lockctl(*args, **options)
    assert finished.returncode == 0, f"{args}: {finished.stderr}"
    return finished.stdout


def refused(cell, status, *args):
    """A command that is refused with this exit status; why."""
    finished = cell.lockctl("-o", "json", *args)
    assert finished.returncode == status, f"{args}: {finished.stdout}{finished.stderr}"
    return json.loads(finished.stderr)["error"]["message"]


def wait_learnt(cell, i):
    """Node i is a member and has caught up."""
    def learnt():
        member = (cell.members() or {}).get(i)
        return member and member["role"] == "learner" and member["lag"] < 100
    wait_for(learnt, lambda: f"node {i} never caught up: {cell.members()}", 30, interval=0.1)


def promote(cell, i):
    """A leader that has just won its ballot may not have heard of the learner yet."""
    def promoted():
        said = cell.lockctl("member", "promote", i)
        assert said.returncode == 0 or "does not answer" in said.stderr, said.stderr
        return said.returncode == 0
    wait_for(promoted, f"node {i} is promoted")


def add_voter(cell, i):
    cell.join(i)
    wait_learnt(cell, i)
    promote(cell, i)


def voters(cell):
    return sorted(i for i, member in (cell.members() or {}).items() if member["voter"])


# -- transfer -------------------------------------------------------------------------------------

def test_a_leader_hands_over_and_clients_follow(cell):
    with Load(cell) as load:
        for _ in range(3):
            for to in (1, 2, 3):
                load.wait_grants(20)
                said = json.loads(done(cell, "-o", "json", "leader", "transfer", to))
                assert said == {"leader": to, "address": cell.nodes[to].address}
                assert json.loads(done(cell, "-o", "json", "leader"))["leader"] == to
        before = cell.wait_leader()
        after = json.loads(done(cell, "-o", "json", "leader", "transfer"))["leader"]
        assert after != before
        load.wait_grants(20)
        load.finish()


def test_a_leader_that_is_stopped_hands_over_first(cell):
    with Load(cell) as load:
        for _ in range(3):
            load.wait_grants(20)
            leader = cell.wait_leader()
            assert cell.stop(leader) == 0
            assert cell.nodes[leader].logged("handed over")
            load.wait_grants(20)
            cell.start(leader)
        load.finish()


def test_who_cant_lead_is_refused_with_the_reason(cell):
    leader = cell.wait_leader()
    other, silent = (i for i in cell.nodes if i != leader)
    assert "not a member" in refused(cell, 2, "leader", "transfer", 9)
    cell.join(4)
    wait_learnt(cell, 4)
    assert "learner" in refused(cell, 2, "leader", "transfer", 4)
    cell.pause(silent)
    wait_for(lambda: "does not answer" in refused(cell, 1, "leader", "transfer", silent),
             "a silent node")
    assert f"node {other} " in done(cell, "leader", "transfer", other)


# -- membership -----------------------------------------------------------------------------------

def test_three_become_five_and_three_again_under_load_while_nodes_are_killed(cell):
    with Load(cell) as load:
        add_voter(cell, 4)
        load.wait_grants(50)
        cell.join(5)
        victim = next(i for i in (1, 2, 3) if i != cell.wait_leader())
        cell.kill(victim)
        wait_learnt(cell, 5)
        promote(cell, 5)
        load.wait_grants(50)
        cell.start(victim)
        assert voters(cell) == [1, 2, 3, 4, 5]
        # Every node, the leader as well, may be the one that goes.
        cell.kill(cell.wait_leader())
        done(cell, "member", "remove", 1, timeout=60)
        cell.start(*[i for i in (2, 3, 4, 5)])
        load.wait_grants(50)
        leader = cell.wait_leader()
        wait_for(lambda: cell.lockctl("member", "remove", leader).returncode == 0,
                 "the leader is removed", 30)
        load.wait_grants(50)
        assert len(voters(cell)) == 3 and leader not in voters(cell)
        assert cell.wait_exit(leader) == 78
        load.finish(broken=[1, leader])


def test_one_becomes_five_and_one_again(tmp_path):
    with Cell(nodes=1, directory=tmp_path) as cell:
        cell.wait_leader()
        with Load(cell) as load:
            for i in (2, 3, 4, 5):
                add_voter(cell, i)
                load.wait_grants(20)
            assert voters(cell) == [1, 2, 3, 4, 5]
            for i in (1, 2, 4, 5):
                done(cell, "member", "remove", i)
                assert cell.wait_exit(i) == 78
                load.wait_grants(20)
            assert voters(cell) == [3]
            load.finish(broken=[1, 2, 4, 5])


def test_a_wiped_node_is_replaced_by_a_new_one(cell):
    lost = next(i for i in cell.nodes if i != cell.wait_leader())
    with Load(cell) as load:
        cell.kill(lost)
        cell.wipe(lost)
        cell.start(lost)
        assert cell.wait_exit(lost) == 78
        cell.join(4)
        said = cell.lockctl("member", "replace", lost, f"4={cell.nodes[4].address}")
        assert said.returncode == 0, said.stderr
        assert f"node {lost} is removed" in said.stderr
        assert voters(cell) == sorted({1, 2, 3, 4} - {lost})
        load.wait_grants(50)
        # Again: nothing is left to do.
        done(cell, "member", "replace", lost, f"4={cell.nodes[4].address}")
        load.finish(broken=[lost])


def test_all_nodes_move_to_other_addresses_one_by_one(cell):
    with Load(cell) as load:
        for i in (1, 2, 3):
            assert cell.stop(i) == 0
            node = cell.nodes[i]
            host, port = node.address.rsplit(":", 1)
            node.address = f"{host}:{int(port) + 5}"
            cell.start(i)
            done(cell, "member", "update", f"{i}={node.address}")
            cell.wait_caught_up()
        assert {m["address"] for m in cell.members().values()} == set(cell.endpoints.split(","))
        # It keeps knowing them when everybody starts anew.
        for i in (1, 2, 3):
            cell.stop(i)
        for node in cell.nodes.values():
            node.clear_log()
        cell.start()
        cell.wait_leader()
        cell.wait_caught_up()
        for each in load.contenders:
            each.close()


def test_what_would_harm_the_cell_is_refused_with_the_reason(cell):
    leader = cell.wait_leader()
    one, two = (i for i in cell.nodes if i != leader)
    assert "not a member" in refused(cell, 2, "member", "promote", 7)
    assert "not a member" in refused(cell, 2, "member", "remove", 7)
    done(cell, "member", "add", "7=127.0.0.1:1")
    assert "has not joined yet" in refused(cell, 1, "member", "promote", 7)
    assert "is the address of node 7" in refused(cell, 2, "member", "add", "8=127.0.0.1:1")
    assert "member update" in refused(cell, 1, "member", "add", "7=127.0.0.1:2")
    done(cell, "member", "add", "7=127.0.0.1:1")
    done(cell, "member", "remove", 7)
    assert "never used again" in refused(cell, 2, "member", "add", "7=127.0.0.1:1")
    assert "ID=HOST:PORT" in refused(cell, 2, "member", "add", "x")
    cell.kill(one)
    wait_for(lambda: "would stop" in refused(cell, 1, "member", "remove", two),
             "a live node's removal is refused")
    done(cell, "member", "remove", one)
    assert voters(cell) == sorted({leader, two})


def test_a_single_node_keeps_its_last_voter(tmp_path):
    with Cell(nodes=1, directory=tmp_path) as cell:
        cell.wait_leader()
        assert "last voter" in refused(cell, 1, "member", "remove", 1)
        assert "only voter" in refused(cell, 1, "leader", "transfer")


def test_a_node_without_a_disk_that_is_known_can_neither_join_nor_come_back(cell):
    add_voter(cell, 4)
    cell.kill(4)
    cell.wipe(4)
    cell.start(4)
    cell.wait_logged(4, "another disk")
    assert cell.nodes[4].running
