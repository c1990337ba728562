"""What lockctl tells of the past, of what happens, of who waits and of who leads."""

import json
import signal
import subprocess

import pytest

from cell import Cell, wait_for
from shell import Shell, error_of

DONE, NO, USAGE, LOST, DENIED = 0, 1, 2, 76, 77
EVENT = {"revision", "type", "name", "value", "token", "lease", "owner", "cause", "at", "mode",
         "permits", "waitedMs", "heldMs", "note"}


@pytest.fixture(scope="module")
def cell():
    with Cell(nodes=3) as running:
        running.wait_leader()
        yield running


@pytest.fixture
def shell(cell):
    with Shell(cell.endpoints) as one:
        yield one


class Lines:
    """The lines of a process that goes on."""

    def __init__(self, shell, *args):
        self.process = shell.start(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def object(self):
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=10)


def watching(shell, *args):
    """A watch that has begun: what happens from here on is told."""
    lines = Lines(shell, "-o", "json", "-v", *args)
    assert "watching from revision" in lines.process.stderr.readline()
    return lines


def kinds(events):
    return [event["type"] for event in events]


# -- history ---------------------------------------------------------------------------------------


def test_history_tells_who_what_when_why_and_how_long(shell):
    shell.run("run", "h/one", "--reason", "the month's end", "--", "sleep", "0.2")
    grant, release = shell.objects("history", "h/one")
    assert set(grant) == EVENT == set(release)
    assert (grant["type"], grant["cause"], grant["note"]) == ("grant", "free", "the month's end")
    assert (release["type"], release["cause"]) == ("release", "released")
    assert grant["token"] == release["token"] and grant["mode"] == "exclusive"
    assert release["heldMs"] >= 200
    assert grant["owner"]["program"].startswith("lockctl run")
    table = shell.run("history", "h/one")
    assert table.returncode == DONE
    assert [line.split()[3] for line in table.stdout.splitlines()] == ["grant", "release"]


def test_history_tells_how_long_was_waited(shell):
    first = shell.start("run", "h/wait", "--", "sleep", "0.4")
    shell.wait_held("h/wait")
    shell.run("run", "h/wait", "--", "true")
    assert first.wait(timeout=10) == DONE
    events = shell.objects("history", "h/wait")
    assert kinds(events) == ["grant", "queue", "release", "grant", "release"]
    assert events[3]["cause"] == "waited" and events[3]["waitedMs"] > 0


def test_history_from_a_revision_and_of_a_time(shell):
    shell.run("run", "h/since", "--", "true")
    grant, release = shell.objects("history", "h/since")
    assert shell.objects("history", "h/since", "--since", release["revision"]) == [release]
    assert shell.objects("history", "h/since", "--since", grant["revision"]) == [grant, release]
    assert shell.objects("history", "h/since", "--since", "1h") == [grant, release]
    assert shell.objects("history", "h/since", "--since", "1ms") == []
    bad = shell.run("history", "--since", "soon")
    assert bad.returncode == USAGE and "soon" in bad.stderr


def test_all_of_the_history_names_leases_too(shell):
    lease = shell.object("lease", "open", "--ttl", "1m")["lease"]
    shell.run("lease", "close", lease)
    mine = [event for event in shell.objects("history") if event["lease"] == lease]
    assert kinds(mine) == ["lease-open", "lease-close"]


def test_history_that_follows_goes_on_without_gap_or_repeat(shell):
    shell.run("run", "h/follow", "--", "true")
    following = Lines(shell, "-o", "json", "history", "h/follow", "-f")
    assert following.object()["type"] == "grant"
    assert following.object()["type"] == "release"
    shell.run("run", "h/follow", "--", "true")
    assert following.object()["type"] == "grant"
    assert following.object()["type"] == "release"
    assert following.end() == -signal.SIGINT


def test_a_forced_release_is_recorded_with_its_reason(shell):
    got = shell.object("acquire", "h/force", "--ttl", "1m")
    shell.run("release-force", "h/force", "--token", got["token"], "--reason", "stuck since noon")
    forced = shell.objects("history", "h/force")[-1]
    assert forced["type"] == "force" and "stuck since noon" in forced["note"]
    shell.run("lease", "close", got["lease"])


# -- watch -----------------------------------------------------------------------------------------


def test_a_watch_tells_what_happens_under_its_prefix(shell):
    watch = watching(shell, "watch", "w/a")
    for lock in "w/a", "w/b", "w/ab":
        shell.run("run", lock, "--", "true")
    told = [watch.object() for _ in range(4)]
    assert [event["name"] for event in told] == ["w/a", "w/a", "w/ab", "w/ab"]
    assert kinds(told) == ["grant", "release"] * 2
    revisions = [int(event["revision"]) for event in told]
    assert revisions == sorted(set(revisions))
    assert watch.end() == -signal.SIGINT


def test_a_watch_from_a_revision_begins_there(shell):
    shell.run("run", "w/from", "--", "true")
    grant, release = shell.objects("history", "w/from")
    watch = watching(shell, "watch", "w/from", "--from", grant["revision"])
    assert watch.object() == grant
    assert watch.object() == release
    watch.end()


def test_a_watch_survives_the_leader(cell, shell):
    watch = watching(shell, "watch", "w/leader")
    shell.run("run", "w/leader", "--", "true")
    assert kinds([watch.object(), watch.object()]) == ["grant", "release"]
    leader = cell.wait_leader()
    cell.kill(leader)
    shell.run("run", "w/leader", "--", "true")
    assert kinds([watch.object(), watch.object()]) == ["grant", "release"]
    cell.start(leader)
    watch.end()


def test_a_watch_runs_a_command_for_each_event(shell, tmp_path):
    seen = tmp_path / "seen"
    lines = Lines(shell, "-v", "watch", "w/run", "--", "sh", "-c", f"cat >> {seen}")
    assert "watching" in lines.process.stderr.readline()
    shell.run("run", "w/run", "--", "true")
    wait_for(lambda: seen.exists() and seen.read_text().count("\n") == 2, "two events were handled")
    assert kinds(map(json.loads, seen.read_text().splitlines())) == ["grant", "release"]
    lines.end()


def test_a_command_that_is_not_there_ends_the_watch(shell):
    shell.run("run", "w/none", "--", "true")
    revision = shell.objects("history", "w/none")[0]["revision"]
    assert shell.code("watch", "w/none", "--from", revision, "--", "/no/such/command") == 127


# -- why and waits ---------------------------------------------------------------------------------


def test_why_follows_the_chain_of_who_waits_for_whom(shell):
    inner = shell.start("run", "y/inner", "--reason", "restoring", "--", "sleep", "60")
    shell.wait_held("y/inner")
    outer = shell.object("acquire", "y/outer", "--ttl", "1m")
    waiter = shell.start("acquire", "y/inner", "--lease", outer["lease"])
    shell.wait_waiters("y/inner")
    why = shell.object("why", "--lease", outer["lease"])
    (blocker,) = why["blockers"]
    assert (blocker["kind"], blocker["lock"]) == ("holder", "y/inner")
    assert blocker["owner"]["reason"] == "restoring" and int(blocker["token"]) > 0
    assert "restoring" in why["text"] and "y/inner" in why["text"]
    of_lock = shell.object("why", "y/inner")
    assert [b["kind"] for b in of_lock["blockers"]] == ["holder", "waiter"]
    assert shell.run("why", "y/inner").stdout == of_lock["text"] or "holds" in of_lock["text"]
    table = shell.run("waits", "y/").stdout.splitlines()
    assert len(table) == 2 and outer["lease"] in table[1]
    for process in waiter, inner:
        process.terminate()
        process.wait(timeout=10)
    shell.run("lease", "close", outer["lease"])


def test_why_of_a_free_lock_and_of_nonsense(shell):
    assert shell.run("why", "y/free").stdout == "nothing is in the way\n"
    assert shell.object("why", "y/free")["blockers"] == []
    assert shell.code("why") == USAGE
    assert shell.code("why", "y/free", "--lease", "1") == USAGE
    assert shell.code("why", "--lease", "ffffff") == LOST


# -- sql -------------------------------------------------------------------------------------------


def test_sql_asks_the_record_and_changes_nothing(shell):
    got = shell.object("acquire", "s/one", "--ttl", "1m")
    rows = wait_for(lambda: shell.objects(
        "sql", f"SELECT lock, token, mode FROM hold WHERE lease = {int(got['lease'], 16)}"),
        "the hold is recorded")
    assert rows == [{"lock": "s/one", "token": got["token"], "mode": "exclusive"}]
    assert shell.object("sql", "SELECT 1.5 AS x, NULL AS n") == {"x": 1.5, "n": None}
    secret = shell.object("sql", "SELECT secret FROM lease LIMIT 1")
    assert secret == {"secret": None}
    refused = shell.run("-o", "json", "sql", "DELETE FROM hold")
    assert refused.returncode == DENIED and error_of(refused)["code"] == "permissionDenied"
    assert shell.code("sql", "SELECT * FROM nothing") == USAGE
    shell.run("lease", "close", got["lease"])


# -- elections -------------------------------------------------------------------------------------


def test_one_leads_and_the_next_follows(shell):
    observer = Lines(shell, "-o", "json", "observe", "e/one")
    assert observer.object() == {"name": "e/one", "leader": None}
    first = shell.start("elect", "e/one", "--value", "host-1", stdout=subprocess.PIPE)
    leader = observer.object()["leader"]
    assert leader["value"] == "host-1" and leader["owner"]["program"] == "lockctl"
    assert f"token={leader['token']}" in first.stdout.readline()
    second = shell.start("elect", "e/one", "--value", "host-2", "--", "sleep", "60")
    shell.wait_waiters("e/one")
    first.terminate()
    assert first.wait(timeout=10) == -signal.SIGTERM
    following = observer.object()["leader"]  # without a vacancy: it was waiting
    assert following["value"] == "host-2" and int(following["token"]) > int(leader["token"])
    second.terminate()
    assert second.wait(timeout=10) == 128 + signal.SIGTERM
    assert observer.object()["leader"] is None
    observer.end()


def test_elect_runs_a_command_with_the_term(shell):
    done = shell.run("elect", "e/run", "--", "sh", "-c", 'echo "$HOLDFAST_LOCK $HOLDFAST_TOKEN"')
    name, token = done.stdout.split()
    assert done.returncode == DONE and name == "e/run" and token.isdecimal()
    assert shell.code("elect", "e/run", "--", "sh", "-c", "exit 3") == 3


def test_who_is_not_elected_is_told(shell):
    leading = shell.start("elect", "e/busy", "--", "sleep", "60")
    shell.wait_held("e/busy")
    assert shell.code("elect", "-n", "e/busy", "--", "true") == NO
    assert shell.code("elect", "-w", "100ms", "e/busy", "--", "true") == NO
    assert shell.code("run", "-n", "e/busy", "--", "true") == USAGE  # an election is no lock
    leading.terminate()
    leading.wait(timeout=10)


# -- top and torture -------------------------------------------------------------------------------


def test_top_shows_who_waits_and_who_holds(shell):
    holding = shell.start("run", "t/busy", "--", "sleep", "60")
    shell.wait_held("t/busy")
    waiting = shell.start("run", "t/busy", "--", "true")
    shell.wait_waiters("t/busy")

    def busy(rows):  # other tests' locks may be contended too
        return [row for row in rows if row["lock"] == "t/busy"]

    view = wait_for(lambda: busy((seen := shell.object("top", "--times", "1"))["waits"]) and seen,
                    "the record has the waiter")
    assert [lock["waiters"] for lock in busy(view["contended"])] == [1]
    assert view["owners"][0]["holds"] >= 1 and len(view["status"]["nodes"]) == 3
    text = shell.run("top", "--times", "2", "--every", "200ms").stdout
    assert text.count("most contended locks") == 2 and "t/busy" in text
    holding.terminate()
    assert waiting.wait(timeout=10) == DONE


def test_torture_says_that_a_sound_cell_keeps_its_promises(shell, tmp_path):
    history = tmp_path / "history"
    done = shell.object("torture", "--duration", "1s", "--clients", "6", "--history", history)
    assert done["passed"] is True and done["violations"] == 0 and done["grants"] > 10
    header, *operations = map(json.loads, history.read_text().splitlines())
    assert header["holdfastHistory"] == 1
    granted = [each for each in operations if each["op"] == "acquire" and each["ok"]]
    assert len(granted) == done["grants"]
    assert len({each["token"] for each in granted}) == len(granted)


def test_torture_without_a_cell_passes_nothing(shell):
    assert shell.code("--endpoints", "127.0.0.1:1", "--timeout", "300ms", "torture",
                      "--duration", "1s", "--clients", "2") == 69
