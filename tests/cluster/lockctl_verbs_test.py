"""Every verb of lockctl but run: what it does, prints and exits with, as a table and as JSON."""

import json
import re
import time

import pytest

from cell import Cell, wait_for
from shell import Shell, error_of

DONE, NO, LOST = 0, 1, 76
OWNER = {"host", "pid", "bootId", "program", "user", "reason", "version", "startedAt"}


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
    """A lease that outlives the test."""
    opened = shell.object("lease", "open", "--ttl", "1m")["lease"]
    yield opened
    shell.run("lease", "close", opened)


def is_number_in_string(value):
    return isinstance(value, str) and value.isdecimal()


def is_now(unix_ms, within_s=10):
    return abs(int(unix_ms) / 1000 - time.time()) < within_s


# -- acquire and release ---------------------------------------------------------------------------


def test_acquire_prints_what_eval_understands(shell):
    got = shell.words("acquire", "a/words", "--ttl", "1m")
    assert list(got) == ["lease", "token", "deadline"]
    assert is_now(int(got["deadline"]) - 60_000)
    done = shell.run("release", "a/words", "--lease", got["lease"], "--token", got["token"],
                     "--close")
    assert (done.returncode, done.stdout, done.stderr) == (DONE, "", "")
    assert shell.code("held", "a/words") == NO
    assert shell.code("lease", "show", got["lease"]) == LOST


def test_acquire_as_json(shell):
    got = shell.object("acquire", "a/json", "--ttl", "20s")
    assert list(got) == ["lock", "lease", "token", "deadline"]
    assert got["lock"] == "a/json"
    assert is_number_in_string(got["token"]) and is_number_in_string(got["deadline"])
    assert is_now(int(got["deadline"]) - 20_000)
    assert shell.code("lease", "close", got["lease"]) == DONE


def test_acquire_under_a_lease_of_ones_own(shell, lease):
    got = shell.object("acquire", "a/own", "--lease", lease)
    assert got["lease"] == lease and is_now(int(got["deadline"]) - 60_000)
    assert shell.wait_held("a/own")["lease"] == lease
    # Another one under the same lease: the lease outlives a release.
    shell.object("acquire", "a/own2", "--lease", lease)
    assert shell.code("release", "a/own", "--lease", lease, "--token", got["token"]) == DONE
    assert shell.code("held", "a/own2") == DONE


def test_acquire_gives_up_as_told(shell, lease):
    shell.object("acquire", "a/taken", "--lease", lease)
    for args, code in ((["-n"], "wouldBlock"), (["--no-wait"], "wouldBlock"), (["-w", "0"],
                       "wouldBlock"), (["-w", "50ms"], "timeout"), (["--wait", "0.05"], "timeout")):
        done = shell.run("acquire", "a/taken", *args)
        assert (done.returncode, done.stdout) == (NO, "")
        assert done.stderr == "lockctl: not acquired: a/taken\n"
        quiet = shell.run("acquire", "a/taken", "-q", *args)
        assert (quiet.returncode, quiet.stdout, quiet.stderr) == (NO, "", "")
        done = shell.run("acquire", "-o", "json", "a/taken", *args)
        assert done.returncode == NO and error_of(done)["code"] == code
    assert shell.object("show", "a/taken")["waiters"] == []
    # What a refused acquire had opened is closed again.
    assert len(shell.objects("lease", "ls")) == 1


def test_acquire_waits_for_as_long_as_it_takes(shell, lease):
    held = shell.object("acquire", "a/wait", "--lease", lease)
    waiting = shell.start("acquire", "a/wait", "-w", "20s")
    shell.wait_waiters("a/wait")
    assert shell.code("release", "a/wait", "--lease", lease, "--token", held["token"]) == DONE
    assert waiting.wait(5) == DONE
    assert int(shell.wait_held("a/wait")["token"]) > int(held["token"])


def test_shared_holders_are_admitted_together(shell, lease):
    for _ in range(2):
        shell.object("acquire", "-s", "a/shared", "--lease", lease)
    assert shell.code("acquire", "--shared", "-n", "a/shared") == DONE
    assert shell.code("acquire", "-n", "a/shared") == NO
    info = shell.object("show", "a/shared")
    assert info["mode"] == "shared" and len(info["holders"]) == 3


def test_modes_by_name(shell, lease):
    shell.object("acquire", "--mode", "concurrent-write", "a/mode", "--lease", lease)
    assert shell.code("acquire", "--mode", "concurrent-write", "-n", "a/mode") == DONE
    assert shell.code("acquire", "--mode", "protected-read", "-n", "a/mode") == NO
    assert shell.code("try", "--mode", "concurrent-read", "a/mode") == DONE
    assert shell.code("try", "--mode", "protected-write", "a/mode") == NO
    assert shell.object("show", "a/mode")["mode"] == "concurrent-write"
    done = shell.run("acquire", "--mode", "write", "a/mode")
    assert done.returncode == 2 and "protected-write" in done.stderr
    assert shell.code("acquire", "--mode", "shared", "-s", "a/mode") == 2


def test_a_semaphore_counts_permits(shell, lease):
    args = "--capacity", "3", "a/semaphore"
    shell.object("acquire", "--permits", "2", *args, "--lease", lease)
    assert shell.code("acquire", "--permits", "2", "-n", *args) == NO
    assert shell.code("try", "a/semaphore") == DONE
    assert shell.code("acquire", "-n", *args) == DONE
    assert shell.code("try", "a/semaphore") == NO
    info = shell.object("show", "a/semaphore")
    assert (info["kind"], info["capacity"]) == ("semaphore", 3)
    assert sorted(holder["permits"] for holder in info["holders"]) == [1, 2]
    shown = shell.run("show", "a/semaphore").stdout
    assert "a/semaphore: a semaphore, 3 of 3 permits held" in shown and "PERMITS" in shown
    done = shell.run("acquire", "-n", "--capacity", "4", "a/semaphore")
    assert done.returncode == 2 and "capacity 3 now" in done.stderr
    for wrong in (("--permits", "2"), ("--permits", "4", "--capacity", "3"),
                  ("--capacity", "0"), ("--capacity", "5000000000")):
        assert shell.code("acquire", *wrong, "a/other") == 2
    assert shell.code("held", "a/other") == NO


def test_two_processes_contend_also_under_one_lease(shell, lease):
    """They are different agents: neither waits for itself."""
    got = shell.object("acquire", "a/same", "--lease", lease)
    assert shell.code("acquire", "-n", "a/same", "--lease", lease) == NO
    assert shell.code("acquire", "-w", "100ms", "a/same", "--lease", lease) == NO
    waiting = shell.start("acquire", "a/same", "--lease", lease)
    shell.wait_waiters("a/same")
    assert shell.code("release", "a/same", "--lease", lease, "--token", got["token"]) == DONE
    assert waiting.wait(5) == DONE


def test_acquire_under_a_lease_that_is_not_there(shell):
    done = shell.run("-o", "json", "acquire", "a/none", "--lease", "abcdef")
    assert done.returncode == LOST and error_of(done)["code"] == "leaseNotFound"


def test_a_wait_under_a_lease_that_ends_is_over(shell, lease):
    shell.object("acquire", "a/ends", "--lease", lease)
    other = shell.object("lease", "open", "--ttl", "1m")["lease"]
    waiting = shell.start("acquire", "a/ends", "--lease", other)
    shell.wait_waiters("a/ends")
    assert shell.code("lease", "close", other) == DONE
    assert waiting.wait(5) == LOST


def test_release_takes_the_current_token_only(shell, lease):
    got = shell.object("acquire", "a/token", "--lease", lease)
    wrong = str(int(got["token"]) + 1)
    done = shell.run("-o", "json", "release", "a/token", "--lease", lease, "--token", wrong)
    assert done.returncode == LOST and error_of(done)["code"] == "notHeld"
    assert shell.code("held", "a/token") == DONE
    right = ["release", "a/token", "--lease", lease, "--token", got["token"]]
    assert shell.code(*right) == DONE
    assert shell.code(*right) == LOST  # not there any more
    done = shell.run("-o", "json", "release", "a/token", "--lease", "abcdef", "--token", "1")
    assert done.returncode == LOST and error_of(done)["code"] == "leaseNotFound"


# -- an admin's act -------------------------------------------------------------------------------


def test_a_forced_release_ends_the_hold_that_was_looked_at(shell, lease):
    got = shell.object("acquire", "f/lock", "--lease", lease)
    args = "release-force", "f/lock", "--reason", "its host burnt down"
    done = shell.run("-o", "json", *args, "--token", str(int(got["token"]) + 1))
    assert done.returncode == NO and error_of(done)["code"] == "notHeld"
    assert shell.code("-q", *args, "--token", "1") == NO
    done = shell.run(*args, "--token", got["token"])
    assert (done.returncode, done.stdout, done.stderr) == (DONE, "", "")
    assert shell.code("held", "f/lock") == NO
    assert shell.code("release", "f/lock", "--lease", lease, "--token", got["token"]) == LOST
    for missing in (("--token", "1"), ("--reason", "why")):
        assert shell.code("release-force", "f/lock", *missing) == 2
    assert shell.code("release-force", "f/lock", "--token", "1", "--reason", "") == 2


# -- asking ----------------------------------------------------------------------------------------


def test_try_and_held_ask_and_take_nothing(shell, lease):
    assert shell.code("try", "q/free") == DONE and shell.code("held", "q/free") == NO
    assert shell.object("try", "q/free") == {"lock": "q/free", "free": True}
    shell.object("acquire", "-s", "q/read", "--lease", lease)
    assert shell.code("try", "q/read") == NO and shell.code("held", "q/read") == DONE
    assert shell.code("try", "-s", "q/read") == DONE == shell.code("try", "--shared", "q/read")
    done = shell.run("-o", "json", "try", "q/read")
    assert (done.returncode, json.loads(done.stdout)) == (NO, {"lock": "q/read", "free": False})
    assert shell.object("held", "q/read") == {"lock": "q/read", "held": True}
    # A reader doesn't overtake a writer that waits.
    shell.start("acquire", "q/read")
    shell.wait_waiters("q/read")
    assert shell.code("try", "-s", "q/read") == NO
    done = shell.run("held", "q/read")
    assert (done.stdout, done.stderr) == ("", "")


def test_verify_says_whether_a_token_holds(shell, lease):
    got = shell.object("acquire", "q/verify", "--lease", lease)
    assert shell.code("verify", "q/verify", got["token"]) == DONE
    assert shell.object("verify", "q/verify", got["token"]) == {"lock": "q/verify", "valid": True}
    done = shell.run("-o", "json", "verify", "q/other", got["token"])
    assert (done.returncode, json.loads(done.stdout)["valid"]) == (NO, False)
    assert shell.code("release", "q/verify", "--lease", lease, "--token", got["token"]) == DONE
    assert shell.code("verify", "q/verify", got["token"]) == NO
    for wrong in ("0", "x", "-1"):
        assert shell.code("verify", "q/verify", wrong) == 2


def test_ls_shows_what_is_held_or_waited_for(shell, lease):
    got = shell.object("acquire", "ls/b", "--lease", lease, "--reason", "to see it")
    shell.object("acquire", "ls/a", "--lease", lease)
    shell.start("acquire", "ls/b")
    shell.wait_waiters("ls/b")
    done = shell.run("ls", "ls/")
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["LOCK", "MODE", "HOLDERS", "WAITERS", "TOKEN", "HELD", "WHERE", "WHO"]
    assert [row.split()[0] for row in rows] == ["ls/a", "ls/b"]
    assert rows[1].split()[1:5] == ["exclusive", "1", "1", got["token"]]
    assert rows[1].endswith("to see it")
    assert all(row == row.rstrip() for row in rows)
    names = [info["name"] for info in shell.objects("ls", "ls/")]
    assert names == ["ls/a", "ls/b"]
    assert shell.run("ls", "nothing/here").stdout.splitlines() == [header_of_nothing(header)]
    assert shell.objects("ls", "nothing/here") == []
    assert {"ls/a", "ls/b"} <= {info["name"] for info in shell.objects("ls")}


def header_of_nothing(header):
    """The header of an empty table: no column is wider than its title."""
    return "  ".join(header.split())


def test_show_tells_of_holders_and_queue(shell, lease):
    got = shell.object("acquire", "s/one", "--lease", lease, "--reason", "first")
    waiting = shell.start("acquire", "s/one", "--reason", "second", "--ttl", "30s")
    shell.wait_waiters("s/one")
    info = shell.object("show", "s/one")
    assert set(info) == {"name", "kind", "mode", "capacity", "holders", "waiters",
                         "delayRemaining", "value", "revision", "drain"}
    assert (info["name"], info["kind"], info["mode"]) == ("s/one", "lock", "exclusive")
    assert is_number_in_string(info["revision"])
    (holder,), (waiter,) = info["holders"], info["waiters"]
    assert set(holder) == {"lease", "holder", "mode", "permits", "token", "acquiredAt", "owner"}
    assert (holder["lease"], holder["token"], holder["permits"]) == (lease, got["token"], 1)
    assert isinstance(holder["acquiredAt"], str) and is_now(holder["acquiredAt"])
    assert set(holder["owner"]) == OWNER == set(waiter["owner"])
    assert holder["owner"]["reason"] == "first"
    assert set(waiter) == {"lease", "holder", "mode", "permits", "position", "waitingSince",
                           "owner"}
    assert waiter["owner"]["reason"] == "second" and waiter["owner"]["pid"] == waiting.pid
    assert is_now(waiter["waitingSince"]) and isinstance(waiter["position"], int)
    text = shell.run("show", "s/one").stdout
    assert text.startswith("s/one: held, exclusive\n")
    for said in (lease, got["token"], "first", "second", f":{waiting.pid}"):
        assert said in text


def test_show_of_a_free_lock(shell):
    assert shell.run("show", "s/free").stdout == "s/free: free\n"
    info = shell.object("show", "s/free")
    assert (info["name"], info["holders"], info["waiters"]) == ("s/free", [], [])


def test_names_may_be_nearly_anything(shell, lease):
    for name in ("[a,b]", "-x", "--ttl", "ünïcødé/✓", "a b", "a'b\"c$(d)", "%s\\n", "a" * 512):
        got = shell.object("acquire", "--lease", lease, "--", name)
        assert got["lock"] == name
        assert shell.object("show", "--", name)["name"] == name
        assert name in shell.run("ls", "--", name).stdout
        assert shell.code("release", "--lease", lease, "--token", got["token"], "--", name) == DONE


# -- leases ----------------------------------------------------------------------------------------


def test_lease_open_prints_what_eval_understands(shell):
    got = shell.words("lease", "open")
    assert list(got) == ["lease", "secret", "ttl_ms"] and got["ttl_ms"] == "10000"
    assert shell.code("lease", "close", got["lease"]) == DONE


def test_lease_open_as_json(shell):
    got = shell.object("lease", "open", "--ttl", "1.5", "--reason", "why not")
    assert list(got) == ["lease", "secret", "ttlMs"] and got["ttlMs"] == 1500
    assert re.fullmatch("[0-9a-f]{32}", got["secret"])
    shown = shell.object("lease", "show", got["lease"])
    assert shown["owner"]["reason"] == "why not"
    assert shell.code("lease", "close", got["lease"]) == DONE


@pytest.mark.parametrize("ttl", ["500ms", "0.5", "24h", "1440m"])
def test_the_bounds_of_a_ttl_are_within(shell, ttl):
    assert shell.code("lease", "close", shell.object("lease", "open", "--ttl", ttl)["lease"]) == 0


def test_lease_show_and_ls(shell, lease):
    got = shell.object("acquire", "l/held", "--lease", lease)
    shown = shell.object("lease", "show", lease)
    assert set(shown) == {"lease", "ttlMs", "remainingMs", "openedAt", "owner", "holds", "waits"}
    assert shown["ttlMs"] == 60_000 and 50_000 < shown["remainingMs"] <= 60_000
    assert is_now(shown["openedAt"]) and set(shown["owner"]) == OWNER
    assert shown["holds"] == [{"lock": "l/held", "token": got["token"]}] and shown["waits"] == 0
    listed = [one for one in shell.objects("lease", "ls") if one["lease"] == lease]
    assert len(listed) == 1 and listed[0]["holds"] == shown["holds"]
    text = shell.run("lease", "show", lease).stdout
    assert f"lease {lease}: " in text and "l/held" in text and got["token"] in text
    header, *rows = shell.run("lease", "ls").stdout.splitlines()
    assert header.split() == ["LEASE", "TTL", "LEFT", "OPEN", "HOLDS", "WAITS", "WHERE", "WHO"]
    assert lease in [row.split()[0] for row in rows]


def test_lease_renew_moves_the_end(shell):
    lease = shell.object("lease", "open", "--ttl", "1s")["lease"]
    got = shell.object("lease", "renew", lease)
    assert list(got) == ["lease", "deadline"] and got["lease"] == lease
    assert is_number_in_string(got["deadline"]) and is_now(got["deadline"], 2)
    words = shell.words("lease", "renew", lease)
    assert list(words) == ["lease", "deadline"] and int(words["deadline"]) >= int(got["deadline"])
    assert shell.code("lease", "close", lease) == DONE
    done = shell.run("-o", "json", "lease", "renew", lease)
    assert done.returncode == LOST and error_of(done)["code"] == "leaseNotFound"


def test_lease_renew_goes_on_until_the_lease_is_gone(shell):
    lease = shell.object("lease", "open", "--ttl", "800ms")["lease"]
    renewing = shell.start("lease", "renew", lease, "--every", "200ms")
    time.sleep(1.2)  # longer than the TTL: that it lives is what is tested
    assert renewing.poll() is None and shell.object("lease", "show", lease)["remainingMs"] > 0
    assert shell.code("lease", "close", lease) == DONE
    assert renewing.wait(5) == LOST


def test_what_was_a_lease_is_not_there_any_more(shell):
    for verb in ("renew", "close", "show"):
        done = shell.run("-o", "json", "lease", verb, "123456")
        assert done.returncode == LOST and error_of(done)["code"] == "leaseNotFound"
        assert "123456" in done.stderr


def test_a_lease_that_nobody_renews_ends_with_all_under_it(shell):
    got = shell.object("acquire", "l/ends", "--ttl", "500ms")
    shell.wait_free("l/ends", timeout=3)
    done = shell.run("lease", "renew", got["lease"])
    assert done.returncode == LOST and got["lease"] in done.stderr


# -- the cell --------------------------------------------------------------------------------------


def test_status_tells_of_every_node(shell, cell):
    got = shell.object("status")
    assert {"cell", "leader", "revision", "nodes"} <= set(got)
    assert re.fullmatch("[0-9a-f]{16}", got["cell"]) and is_number_in_string(got["revision"])
    assert got["leader"] == cell.leader()
    assert [node["id"] for node in got["nodes"]] == [1, 2, 3]
    for node in got["nodes"]:
        assert {"id", "name", "address", "role", "pid", "version", "ballot", "chosen", "applied",
                "recorded", "lag"} <= set(node)
        assert node["address"] == cell.nodes[node["id"]].address
        assert node["pid"] == cell.nodes[node["id"]].process.pid
        assert node["role"] == ("leader" if node["id"] == got["leader"] else "follower")
        assert re.fullmatch(r"\d+\.\d+", node["ballot"]) and isinstance(node["lag"], int)
        assert all(is_number_in_string(node[slot]) for slot in ("chosen", "applied", "recorded"))
    header, columns, *rows = shell.run("status").stdout.splitlines()
    assert got["cell"] in header and f"leader {got['leader']}" in header
    assert columns.split()[:5] == ["ID", "NAME", "ADDRESS", "ROLE", "PID"] and len(rows) == 3


@pytest.mark.parametrize("workload", ["pairs", "handoff", "renew"])
def test_bench_measures(shell, workload):
    args = ["bench", "--workload", workload, "--clients", "8", "--connections", "2",
            "--duration", "300ms", "--warm-up", "100ms"]
    got = shell.object(*args)
    assert set(got) == {"workload", "clients", "connections", "seconds", "operations",
                        "opsPerSecond", "p50Us", "p90Us", "p99Us", "p999Us", "maxUs", "errors"}
    assert (got["workload"], got["clients"], got["connections"]) == (workload, 8, 2)
    assert got["errors"] == 0 and 0.3 <= got["seconds"] < 3 and got["operations"] > 10
    assert got["opsPerSecond"] == pytest.approx(got["operations"] / got["seconds"], rel=0.01)
    assert 0 < got["p50Us"] <= got["p90Us"] <= got["p99Us"] <= got["p999Us"] <= got["maxUs"]
    done = shell.run(*args, "--locks", "4")
    assert done.returncode == DONE and done.stderr == ""
    header, row = done.stdout.splitlines()
    assert header.split() == ["WORKLOAD", "CLIENTS", "SECONDS", "OPS", "OPS/S", "P50", "P90", "P99",
                              "P99.9", "MAX", "ERRORS"]
    assert row.split()[:2] == [workload, "8"] and row.split()[-1] == "0"
    assert shell.objects("ls", "bench/") == []


def test_bench_renews_in_batches(shell):
    """One call for all leases of a connection: as many operations as leases."""
    got = shell.object("bench", "--workload", "renew", "--batch", "--clients", "100",
                       "--connections", "2", "--duration", "200ms", "--warm-up", "10ms")
    assert got["operations"] % 50 == 0 and got["operations"] > 0 and got["errors"] == 0


def test_a_signal_ends_bench_and_its_leases(shell):
    running = shell.start("bench", "--clients", "4", "--duration", "60s")
    # All four leases are named after it.
    def leases():
        return [one for one in shell.objects("lease", "ls") if one["owner"]["pid"] == running.pid]
    wait_for(lambda: len(leases()) == 4, "the clients have their leases")
    running.terminate()
    assert running.wait(5) == -15
    assert leases() == []
