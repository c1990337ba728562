"""Small keys, transactions, keys that go with a session, sequential names, drains."""

import pickle

import pytest

import holdfast


def test_a_key_is_put_got_and_deleted(cell, name):
    assert cell.get(name) is None
    put = cell.put(name, b"one")
    assert put == holdfast.KeyValue(name, b"one", put.revision, put.revision, 1, None)
    again = cell.put(name, b"two")
    assert (again.version, again.create_revision) == (2, put.revision)
    assert again.revision > put.revision
    assert cell.get(name) == again
    assert cell.get(name, stale=True).key == name
    assert cell.delete(name) is True
    assert cell.delete(name) is False
    assert cell.get(name) is None


def test_values_are_bytes_of_any_kind_and_may_be_given_as_text(cell, name):
    value = bytes(range(256))
    cell.put(name, value)
    assert cell.get(name).value == value
    assert cell.put(name, "grün").value == "grün".encode()
    assert cell.put(name, bytearray(b"x")).value == b"x"
    assert cell.put(name, b"").value == b""


def test_keys_are_listed_by_prefix_in_order(cell, name):
    for i in (3, 1, 2):
        cell.put(f"{name}/{i}", str(i))
    listed = cell.keys(name + "/")
    assert [pair.key for pair in listed] == [f"{name}/{i}" for i in (1, 2, 3)]
    assert [pair.value for pair in listed] == [b"1", b"2", b"3"]
    assert cell.keys(name + "/2") == listed[1:2]
    assert [pair.key for pair in cell.keys(name + "/", stale=True)] == [p.key for p in listed]


def test_a_long_listing_comes_in_pages(cell, name):
    for first in range(0, 1500, 100):
        cell.txn(then=[("put", f"{name}/{i:04}", b"v" * 900) for i in range(first, first + 100)])
    assert [pair.key for pair in cell.keys(name)] == [f"{name}/{i:04}" for i in range(1500)]


def test_a_key_goes_with_its_session(cell, name):
    session = cell.session()
    put = cell.put(name, b"here", lease=session)
    assert put.lease == session.lease
    session.close()
    assert cell.get(name) is None


def test_a_put_without_a_session_outlives_it(cell, name):
    with cell.session() as session:
        cell.put(name, b"1", lease=session)
        cell.put(name, b"2")
    assert cell.get(name).value == b"2"


def test_a_key_of_a_lease_that_is_gone_is_refused(cell, name):
    session = cell.session()
    lease = session.lease
    session.close()
    with pytest.raises(holdfast.LeaseLost):
        cell.put(name, b"1", lease=lease)


# -- guards ----------------------------------------------------------------------------------------


def test_a_put_is_guarded_by_a_grant(cell, session, name):
    grant = session.lock(name).acquire()
    cell.put(name, b"mine", guard=grant.guard())
    cell.put(name, b"mine still", guard=grant)
    guard = grant.guard()
    grant.release()
    with pytest.raises(holdfast.Conflict) as caught:
        cell.put(name, b"too late", guard=guard)
    assert caught.value.code == "conflict"
    assert cell.get(name).value == b"mine still"
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), holdfast.Conflict)


def test_only_one_creates_a_key(cell, name):
    absent = ("revision", name, "==", 0)
    assert cell.put(name, b"first", guard=absent).version == 1
    with pytest.raises(holdfast.Conflict):
        cell.put(name, b"second", guard=absent)


# -- transactions ----------------------------------------------------------------------------------


def test_a_transaction_does_the_one_or_the_other(cell, name):
    def increment():
        before = cell.get(name)
        value = int(before.value) if before else 0
        revision = before.revision if before else 0
        return cell.txn(compare=[("revision", name, "==", revision)],
                        then=[("put", name, str(value + 1))], orelse=[("get", name)])

    assert increment().succeeded and increment().succeeded
    result = cell.txn(compare=[("value", name, "==", b"7")], then=[("delete", name)],
                      orelse=[("get", name), ("get", name + "/other"), ("delete", name + "/x")])
    assert result.succeeded is False
    assert result.results[0].value == b"2"
    assert result.results[1:] == (None, False)
    assert result.revision >= result.results[0].revision


def test_results_are_in_the_order_of_the_operations(cell, name):
    result = cell.txn(then=[("put", name, b"1"), ("get", name + "/none"), ("delete", name + "/x")])
    assert result.succeeded is True
    assert result.results[0] == cell.get(name)
    assert result.results[1:] == (None, False)


@pytest.mark.parametrize("relation, operand, holds", [
    ("==", 2, True), ("!=", 2, False), ("<", 2, False), (">", 1, True), ("<", 3, True)])
def test_relations(cell, name, relation, operand, holds):
    cell.put(name, b"b")
    cell.put(name, b"b")
    assert cell.txn(compare=[("version", name, relation, operand)]).succeeded is holds


def test_a_key_that_is_not_there_has_numbers_of_zero_and_no_value(cell, name):
    for target in ("version", "revision", "create"):
        assert cell.txn(compare=[(target, name, "==", 0)]).succeeded
    assert not cell.txn(compare=[("value", name, "==", b"")]).succeeded
    assert not cell.txn(compare=[("value", name, "!=", b"x")]).succeeded


def test_a_transaction_binds_keys_to_a_session(cell, name):
    with cell.session() as session:
        cell.txn(then=[("put", name + "/a", b"1", session), ("put", name + "/b", b"1")])
    assert [pair.key for pair in cell.keys(name)] == [name + "/b"]


def test_a_guard_of_a_grant_that_is_gone_does_not_hold(cell, session, name):
    grant = session.lock(name).acquire()
    guard = grant.guard()
    assert cell.txn(compare=[guard]).succeeded
    grant.release()
    assert not cell.txn(compare=[guard]).succeeded


@pytest.mark.parametrize("arguments", [
    {"then": [("put", "k", b"1"), ("get", "k")]},
    {"then": [("put", "a//b", b"1")]},
    {"then": [("put", "k")]},
    {"then": [("push", "k", b"1")]},
    {"compare": [("size", "k", "==", 1)]},
    {"compare": [("version", "k", "=", 1)]},
    {"compare": [("version", "k", "==", "one")]},
    {"compare": [("version", "k", "==", -1)]},
    {"compare": [("version", "k")]},
    {},
], ids=str)
def test_what_makes_no_sense_is_an_invalid_argument(cell, arguments):
    with pytest.raises(holdfast.InvalidArgument):
        cell.txn(**arguments)


def test_limits_are_named(cell, name):
    with pytest.raises(holdfast.ResourceExhausted, match="65537 bytes"):
        cell.put(name, b"x" * (64 * 1024 + 1))
    cell.put(name, b"x" * (64 * 1024))
    with pytest.raises(holdfast.ResourceExhausted, match="129"):
        cell.txn(then=[("get", f"{name}/{i}") for i in range(129)])
    assert len(cell.txn(then=[("get", f"{name}/{i}") for i in range(128)]).results) == 128


# -- sequential names ------------------------------------------------------------------------------


def test_sequential_names_grow_and_are_never_used_again(cell, name):
    names = [cell.put(name + "/", b"x", sequential=True).key for _ in range(3)]
    assert names == sorted(set(names))
    assert all(len(key) == len(name) + 1 + 10 and key[-10:].isdecimal() for key in names)
    for key in names:
        cell.delete(key)
    assert cell.put(name + "/", b"x", sequential=True).key > names[-1]


# -- drains ----------------------------------------------------------------------------------------


def test_nothing_is_granted_under_a_prefix_that_is_drained(cell, session, other, threads, waits_for,
                                                          name):
    held = session.lock(name + "/held").acquire()
    cell.drain(name + "/", "new disks")
    try:
        assert held.held
        assert other.lock(name + "/free").try_acquire() is False
        waits = threads(other.lock(name + "/free").acquire)
        waits_for(name + "/free")
        assert [(drain.reason, drain.prefix) for drain in cell.drains()
                if drain.prefix == name + "/"] == [("new disks", name + "/")]
    finally:
        assert cell.undrain(name + "/") is True
    assert waits.result(10).held
    assert cell.undrain(name + "/") is False
