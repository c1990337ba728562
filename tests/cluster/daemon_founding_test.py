"""Founding by all; disks that were lost, put back, or taken from elsewhere (P10)."""

import shutil

import pytest

from cell import Cell, wait_for

REFUSED = 78
NO_LEADER = 69
NOT_ENOUGH = 1.5  # seconds in which a cell that may not be founded isn't


def cell_id(cell, i):
    return cell.wait_logged(i, "member of a founded cell")[-1]["cell"]


def serves(cell, timeout="10s"):
    """Whether a command can be run under a lock."""
    done = cell.lockctl("--timeout", timeout, "run", "founding/test", "--", "true")
    assert done.returncode in (0, NO_LEADER), done.stderr
    return done.returncode == 0


def waits_for(cell, i, missing):
    """Whether node i said that it waits for this one."""
    other = cell.nodes[missing]
    return [line for line in cell.nodes[i].logged("founding the cell: waiting")
            if str(missing) in line["for"] and other.address in line["for"]]


def test_founding_needs_every_node_of_the_list():
    """Two of three are a majority, but a cell founded by two could be founded twice."""
    with Cell(nodes=3, start=False) as cell:
        cell.start(1, 2)
        for i in (1, 2):
            wait_for(lambda i=i: waits_for(cell, i, 3), f"node {i} waits for 3")
        with pytest.raises(AssertionError):
            cell.wait_leader(timeout=NOT_ENOUGH)
        cell.start(3)
        cell.wait_leader()
        assert len({cell_id(cell, i) for i in (1, 2, 3)}) == 1


def test_once_founded_a_majority_is_enough():
    with Cell(nodes=3) as cell:
        cell.wait_leader()
        for i in (1, 2, 3):
            cell_id(cell, i)
            assert cell.stop(i) == 0
        cell.start(2, 3)
        assert cell.wait_leader() in (2, 3)


def test_a_cell_of_one_founds_itself():
    with Cell(nodes=1) as cell:
        assert cell.wait_leader() == 1


def test_lists_that_differ_found_nothing():
    """A typing error in one of three lists must not make a cell that two disagree with."""
    with Cell(nodes=3, start=False) as cell:
        cell.start(1, 2)
        good = cell.founders
        cell.nodes[2].address, kept = "127.0.0.9:1", cell.nodes[2].address
        cell.start(3)
        cell.nodes[2].address = kept
        assert cell.founders == good
        with pytest.raises(AssertionError):
            cell.wait_leader(timeout=NOT_ENOUGH)


def test_a_wiped_node_is_refused_and_the_others_go_on():
    """An acceptor that forgot its promises must never vote: not as itself, not as a newcomer."""
    with Cell(nodes=3) as cell:
        leader = cell.wait_leader()
        victim = leader % 3 + 1
        for i in (1, 2, 3):
            cell_id(cell, i)
        cell.kill(victim)
        cell.wipe(victim)
        cell.start(victim)
        cell.wait_logged(victim, "member replace")
        assert cell.leader() == leader
        assert not cell.nodes[victim].logged("member of a founded cell")[1:]
        assert serves(cell)
        # With one more down there are two, but only one that remembers what it promised.
        third = next(i for i in (1, 2, 3) if i not in (leader, victim))
        cell.kill(third)
        assert not serves(cell, timeout="2s")
        cell.start(third)
        assert serves(cell)


def test_two_wiped_nodes_do_not_found_a_second_cell():
    """They are a majority of the list: only the third, which remembers, stands in their way."""
    with Cell(nodes=3) as cell:
        cell.wait_leader()
        first = cell_id(cell, 1)
        for i in (1, 2, 3):
            cell_id(cell, i)
            cell.kill(i)
        for i in (2, 3):
            cell.wipe(i)
            cell.nodes[i].clear_log()
        cell.start()
        for i in (2, 3):
            cell.wait_logged(i, "member replace")
        with pytest.raises(AssertionError):
            cell.wait_leader(timeout=NOT_ENOUGH)
        for i in (2, 3):
            assert not cell.nodes[i].logged("member of a founded cell")
        assert cell_id(cell, 1) == first


def test_an_old_copy_of_a_directory_is_refused():
    """It has the right incarnation, but promises made since it was copied are missing."""
    with Cell(nodes=3) as cell:
        leader = cell.wait_leader()
        victim = leader % 3 + 1
        cell_id(cell, victim)
        cell.stop(victim)
        directory = cell.nodes[victim].data_dir
        copy = directory.with_suffix(".copy")
        shutil.copytree(directory, copy)
        cell.nodes[victim].clear_log()
        cell.start(victim)
        # Both others let it in, and so know of this start.
        wait_for(lambda: len(cell.nodes[victim].logged("the link to a node is up")) == 2,
                 "the restarted node to be let in")
        cell.stop(victim)
        shutil.rmtree(directory)
        copy.rename(directory)
        cell.start(victim)
        # Raising its start count on the copy gives the number that the others saw already, from
        # another process.
        assert cell.wait_exit(victim) == REFUSED
        assert cell.nodes[victim].logged("member replace")
        cell.start(victim)  # and it remembers that
        assert cell.wait_exit(victim) == REFUSED
        assert serves(cell)


@pytest.mark.parametrize("name", ["log.db", "state.db"])
def test_a_foreign_file_is_refused_and_left_alone(name):
    with Cell(nodes=1) as cell:
        cell.wait_leader()
        cell.stop(1)
        foreign = cell.nodes[1].data_dir / name
        assert foreign.exists()
        foreign.write_text("my diary\n" * 100)
        cell.start()
        assert cell.wait_exit(1) == REFUSED
        assert cell.nodes[1].logged(str(foreign))
        assert foreign.read_text() == "my diary\n" * 100


def test_another_nodes_directory_is_refused():
    with Cell(nodes=3) as cell:
        cell.wait_leader()
        for i in (1, 2):
            cell_id(cell, i)
            cell.stop(i)
        a, b = cell.nodes[1].data_dir, cell.nodes[2].data_dir
        spare = a.with_suffix(".spare")
        a.rename(spare), b.rename(a), spare.rename(b)
        cell.start(1)
        assert cell.wait_exit(1) == REFUSED
