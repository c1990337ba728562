"""lockctl key, txn, drain and quota: what they do, print and exit with."""

import json

import pytest

from cell import Cell, wait_for
from shell import Shell, error_of

DONE, NO, USAGE, LIMIT, LOST = 0, 1, 2, 73, 76


@pytest.fixture(scope="module")
def cell():
    with Cell(nodes=3) as running:
        running.wait_leader()
        yield running


@pytest.fixture
def shell(cell):
    with Shell(cell.endpoints) as one:
        yield one


@pytest.fixture
def lease(shell):
    opened = shell.object("lease", "open", "--ttl", "1m")["lease"]
    yield opened
    shell.run("lease", "close", opened)


# -- key -------------------------------------------------------------------------------------------


def test_a_key_is_put_got_listed_and_deleted(shell):
    assert shell.code("key", "get", "k/a") == NO
    put = shell.words("key", "put", "k/a", "hello world")
    assert put["key"] == "k/a" and put["revision"].isdecimal()
    assert shell.run("key", "get", "k/a").stdout == "hello world\n"
    assert shell.run("key", "get", "k/a", "--stale").stdout == "hello world\n"
    shell.run("key", "put", "k/b", "second")
    listing = shell.run("key", "ls", "k/").stdout.splitlines()
    assert listing[0].split() == ["KEY", "VALUE", "REVISION", "VERSION", "LEASE"]
    assert [line.split()[0] for line in listing[1:]] == ["k/a", "k/b"]
    assert shell.code("key", "del", "k/a") == DONE
    assert shell.code("key", "del", "k/a") == NO
    assert shell.code("key", "get", "k/a") == NO


def test_a_key_as_json(shell, lease):
    put = shell.object("key", "put", "k/json", "grün", "--lease", lease)
    assert put == {"key": "k/json", "value": "grün", "createRevision": put["revision"],
                   "revision": put["revision"], "version": 1, "lease": lease}
    assert put["revision"].isdecimal()
    assert shell.object("key", "get", "k/json") == put
    assert shell.objects("key", "ls", "k/json") == [put]
    shell.run("lease", "close", lease)
    assert shell.code("key", "get", "k/json") == NO


def test_a_value_may_come_from_stdin(shell):
    assert shell.code("key", "put", "k/stdin", input="two\nlines\n") == DONE
    assert shell.object("key", "get", "k/stdin")["value"] == "two\nlines\n"


def test_what_is_no_text_is_base64(shell):
    done = shell.run("txn", input=json.dumps({"then": [["put", "k/raw", {"base64": "/wAB"}]]}))
    assert done.returncode == DONE, done.stderr
    assert shell.object("key", "get", "k/raw")["value"] == {"base64": "/wAB"}


def test_sequential_keys(shell):
    first = shell.object("key", "put", "k/seq/", "x", "--sequential")["key"]
    second = shell.object("key", "put", "k/seq/", "x", "--sequential")["key"]
    assert first[:-10] == second[:-10] == "k/seq/"
    assert first[-10:].isdecimal() and first < second


def test_a_put_with_a_condition(shell, lease):
    assert shell.code("key", "put", "k/once", "1", "--if-revision", 0) == DONE
    done = shell.run("key", "put", "k/once", "2", "--if-revision", 0)
    assert done.returncode == NO and "guard" in done.stderr
    got = shell.words("acquire", "k/lock", "--lease", lease)
    held = ("--if-held", "k/lock", "--token", got["token"])
    assert shell.code("key", "put", "k/once", "3", *held) == DONE
    shell.run("release", "k/lock", "--lease", lease, "--token", got["token"])
    assert shell.code("key", "put", "k/once", "4", *held) == NO
    assert shell.object("key", "get", "k/once")["value"] == "3"


def test_bad_names_and_large_values_are_told(shell):
    assert shell.code("key", "put", "k//x", "1") == USAGE
    assert shell.code("key", "get", "/k") == USAGE
    assert shell.code("key", "put", "k/large", input="x" * (64 * 1024 + 1)) == USAGE
    assert shell.code("key", "put", "k/large", input="x" * (64 * 1024)) == DONE
    assert shell.code("key", "put", "k/gone", "1", "--lease", "123456789") == LOST
    assert shell.code("key", "put", "k/half", "1", "--if-held", "k/lock") == USAGE


# -- txn -------------------------------------------------------------------------------------------


def txn(shell, compare=(), then=(), orelse=()):
    text = json.dumps({"compare": compare, "then": then, "orelse": orelse})
    done = shell.run("-o", "json", "txn", input=text)
    assert done.returncode == DONE, done.stderr
    return json.loads(done.stdout)


def test_a_transaction_does_the_one_or_the_other(shell):
    create = {"compare": [["revision", "t/a", "==", 0]],
              "then": [["put", "t/a", "1"], ["get", "t/none"], ["delete", "t/nobody"]],
              "orelse": [["get", "t/a"], ["delete", "t/x"]]}
    shell.run("key", "put", "t/x", "x")
    first = txn(shell, **create)
    assert first["succeeded"] is True and first["revision"].isdecimal()
    pair, none, deleted = first["results"]
    assert (pair["key"], pair["value"], pair["version"]) == ("t/a", "1", 1)
    assert (none, deleted) == (None, False)
    second = txn(shell, **create)
    assert second["succeeded"] is False
    assert second["results"] == [pair, True]


def test_revisions_may_be_compared_as_they_are_printed(shell):
    pair = shell.object("key", "put", "t/b", "1")
    for target, operand in (("revision", pair["revision"]), ("create", pair["createRevision"]),
                            ("version", pair["version"]), ("value", "1")):
        assert txn(shell, [[target, "t/b", "==", operand]])["succeeded"], target
        assert not txn(shell, [[target, "t/b", "!=", operand]])["succeeded"], target


def test_a_guard_says_that_a_token_holds_a_lock(shell, lease):
    token = shell.words("acquire", "t/lock", "--lease", lease)["token"]
    guard = ["holds", "t/lock", "==", token]
    assert txn(shell, [guard], [["put", "t/c", "1", lease]])["succeeded"]
    shell.run("release", "t/lock", "--lease", lease, "--token", token)
    assert not txn(shell, [guard], [["put", "t/c", "2"]])["succeeded"]
    assert shell.object("key", "get", "t/c")["lease"] == lease


def test_a_transaction_may_be_in_a_file_and_be_told_in_words(shell, tmp_path):
    file = tmp_path / "txn.json"
    file.write_text('{"then": [["put", "t/d", "x"], ["delete", "t/none"]]}')
    lines = shell.run("txn", file).stdout.splitlines()
    assert lines[0].startswith("then revision=")
    assert lines[1].startswith("put t/d=x revision=") and lines[2] == "not there"


@pytest.mark.parametrize("text, says", [
    ("", "not JSON"),
    ("{", "not JSON"),
    ("[]", "an object"),
    ('{"when": []}', "when"),
    ('{"compare": [["size", "k", "==", 1]]}', "compare[0]"),
    ('{"compare": [["version", "k", "==", 1.5]]}', "whole number"),
    ('{"then": [["get", "k"], ["put", "k"]]}', "then[1]"),
    ('{"then": [["put", "k", "1"], ["get", "k"]]}', "twice"),
    ('{"then": [["put", "a//b", "1"]]}', "empty path part"),
])
def test_what_makes_no_sense_is_told(shell, text, says):
    done = shell.run("-o", "json", "txn", input=text)
    assert done.returncode == USAGE
    assert says in error_of(done)["message"]


# -- drain -----------------------------------------------------------------------------------------


def test_a_drain_keeps_locks_from_being_granted(shell, lease):
    token = shell.words("acquire", "d/held", "--lease", lease)["token"]
    assert shell.code("drain", "d/", "--reason", "new disks") == DONE
    assert shell.code("verify", "d/held", token) == DONE
    assert shell.code("acquire", "d/free", "-n") == NO
    assert shell.code("try", "d/free") == NO
    shown = shell.object("show", "d/free")
    assert shown["drain"] == "new disks"
    assert "new disks" in shell.run("show", "d/free").stdout
    (drain,) = shell.objects("drain", "--ls")
    assert (drain["prefix"], drain["reason"]) == ("d/", "new disks")
    waiting = shell.start("run", "d/free", "--", "true")
    shell.wait_waiters("d/free")
    assert shell.code("drain", "--end", "d/") == DONE
    assert waiting.wait(timeout=20) == DONE
    assert shell.code("drain", "--end", "d/") == NO
    assert shell.objects("drain", "--ls") == []


def test_a_drain_needs_a_prefix_and_a_reason(shell):
    assert shell.code("drain", "d/") == USAGE
    assert shell.code("drain") == USAGE
    assert shell.code("drain", "--ls", "d/") == USAGE


# -- quota -----------------------------------------------------------------------------------------


def test_a_quota_refuses_and_names_itself(shell, lease):
    assert shell.code("quota", "set", "--prefix", "q/", "--locks", 1, "--bytes", 10, "--reason",
                      "small") == DONE
    assert shell.code("acquire", "q/1", "--lease", lease) == DONE
    done = shell.run("-o", "json", "acquire", "q/2", "--lease", lease)
    assert done.returncode == LIMIT
    error = error_of(done)
    assert (error["code"], error["limit"], error["value"], error["prefix"]) == (
        "resourceExhausted", "quotaLocks", "1", "q/")
    assert shell.code("key", "put", "q/k", "12345678") == LIMIT
    assert shell.code("key", "put", "q/k", "1234567") == DONE
    (quota,) = shell.objects("quota", "ls")
    assert quota["prefix"] == "q/"
    assert (quota["used"]["locks"], quota["used"]["bytes"]) == (1, 10)
    assert shell.code("quota", "rm", "--prefix", "q/") == DONE
    assert shell.code("quota", "rm", "--prefix", "q/") == NO
    assert shell.code("acquire", "q/2", "--lease", lease) == DONE


def test_a_quota_is_of_a_prefix_or_of_an_owner(shell):
    assert shell.code("quota", "set", "--locks", 1, "--reason", "x") == USAGE
    assert shell.code("quota", "set", "--prefix", "q/", "--leases", 1, "--reason", "x") == USAGE


# -- after a failure -------------------------------------------------------------------------------


def test_keys_and_drains_survive_a_new_leader_and_a_restart_of_all():
    with Cell(nodes=3) as running, Shell(running.endpoints) as shell:
        running.wait_leader()
        before = shell.object("key", "put", "s/k", "kept")
        sequential = shell.object("key", "put", "s/q/", "x", "--sequential")["key"]
        shell.run("key", "del", sequential)
        shell.run("drain", "s/", "--reason", "moving")
        for node in (1, 2, 3):
            running.kill(node)
        running.start(1, 2, 3)
        running.wait_leader()
        wait_for(lambda: shell.code("key", "get", "s/k") == DONE, "the key is there", 20)
        assert shell.object("key", "get", "s/k") == before
        assert shell.code("acquire", "s/lock", "-n") == NO
        assert shell.object("key", "put", "s/q/", "x", "--sequential")["key"] > sequential
