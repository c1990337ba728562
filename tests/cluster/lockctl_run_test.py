"""lockctl run: what CMD gets, what comes back, signals, exit codes, waiting."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from cell import Cell, wait_for
from shell import Shell, children, error_of, running

NO, UNREACHABLE, LOST, CANNOT_RUN, NOT_FOUND = 1, 69, 76, 126, 127


@pytest.fixture(scope="module")
def cell():
    with Cell(nodes=3) as running:
        running.wait_leader()
        yield running


@pytest.fixture
def shell(cell):
    with Shell(cell.endpoints) as one:
        yield one


# -- what goes in and what comes out ---------------------------------------------------------------


def test_input_output_and_errors_are_passed_on(shell):
    done = shell.run("run", "io", "--", "sh", "-c", "cat; echo to err >&2", input="in\0put\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "in\0put\n", "to err\n")


def test_a_megabyte_goes_through(shell):
    text = "0123456789abcde\n" * 65536
    assert shell.run("run", "io", "--", "cat", input=text).stdout == text


@pytest.mark.parametrize("status", [0, 1, 2, 69, 76, 77, 255])
def test_the_exit_status_is_passed_on(shell, status):
    done = shell.run("run", "status", "--", "sh", "-c", f"exit {status}")
    assert (done.returncode, done.stderr) == (status, "")


@pytest.mark.parametrize("name", ["TERM", "KILL", "INT", "USR1", "SEGV"])
def test_death_by_a_signal_is_128_and_its_number(shell, name):
    done = shell.run("run", "status", "--", "sh", "-c", f"kill -{name} $$")
    assert done.returncode == 128 + getattr(signal, f"SIG{name}")


def test_several_locks_are_held_together_or_not_at_all(shell):
    script = ("lockctl held many/a && lockctl held many/b && lockctl held many/c && "
              "echo $HOLDFAST_LOCK $HOLDFAST_LOCK_2 $HOLDFAST_LOCK_3 && "
              "echo $HOLDFAST_TOKEN $HOLDFAST_TOKEN_2 $HOLDFAST_TOKEN_3")
    script = script.replace("lockctl", shell.command()[0])
    done = shell.run("run", "many/a", "-L", "many/b", "-L", "many/c", "--", "sh", "-c", script)
    names, tokens = done.stdout.splitlines()
    assert names.split() == ["many/a", "many/b", "many/c"]
    tokens = [int(token) for token in tokens.split()]
    assert len(tokens) == 3 and tokens == sorted(tokens)
    assert shell.objects("ls", "many/") == []
    held = shell.object("acquire", "many/b", "--ttl", "1m")
    assert shell.code("run", "-n", "many/a", "-L", "many/b", "--", "true") == NO
    assert shell.code("held", "many/a") == NO
    done = shell.run("run", "many/a", "-L", "many/a", "--", "true")
    assert done.returncode == 2 and 'names lock "many/a" twice' in done.stderr
    assert shell.code("lease", "close", held["lease"]) == 0


def test_as_many_run_at_once_as_the_semaphore_has_permits(shell, tmp_path):
    running_now = tmp_path / "running"
    running_now.mkdir()
    script = f"touch {running_now}/$$; ls {running_now} | wc -l; sleep 0.2; rm {running_now}/$$"
    started = [shell.start("run", "builders", "--capacity", "2", "--", "sh", "-c", script,
                           stdout=subprocess.PIPE) for _ in range(6)]
    counts = [int(process.communicate(timeout=30)[0]) for process in started]
    assert all(process.returncode == 0 for process in started)
    assert max(counts) <= 2


def test_the_environment_tells_of_the_lock(shell):
    script = "import json, os; print(json.dumps(dict(os.environ)))"
    done = shell.run("run", "env/lock", "--ttl", "20s", "--", sys.executable, "-c", script,
                     env={"HOLDFAST_LOCK": "outer", "HOLDFAST_TOKEN": "1", "KEPT": "a=b"})
    got = json.loads(done.stdout)
    assert got["HOLDFAST_LOCK"] == "env/lock" and got["KEPT"] == "a=b"
    assert int(got["HOLDFAST_TOKEN"]) > 1 and int(got["HOLDFAST_LEASE"], 16) > 0
    ahead = int(got["HOLDFAST_DEADLINE"]) / 1000 - time.time()
    assert 10 < ahead < 20
    assert got["HOLDFAST_ENDPOINTS"] == shell.env["HOLDFAST_ENDPOINTS"]


def test_the_variables_name_the_hold(shell):
    check = ('lockctl() { "$0" "$@"; }; lockctl -o json show "$HOLDFAST_LOCK"; '
             'echo "$HOLDFAST_TOKEN $HOLDFAST_LEASE"')
    lockctl = shell.command()[0]
    shown, words = shell.run("run", "env/hold", "--reason", "as told", "--", "sh", "-c", check,
                             lockctl).stdout.splitlines()
    (holder,) = json.loads(shown)["holders"]
    assert words.split() == [holder["token"], holder["lease"]]
    assert holder["owner"]["reason"] == "as told"
    assert holder["owner"]["program"] == "lockctl run sh"


@pytest.mark.parametrize("args", [
    ["[a,b]", "[", "]", "[[x]]"], ["--", "-n", "--", "--ttl"], ["--help"], ["-o", "json"], [""],
    ["a b", "*", "$HOME", "%s", "\\"], ["-h", "--version"], ["\x01[", "é"],
], ids=str)
def test_all_behind_the_first_dashes_reaches_the_command_untouched(shell, args):
    script = "import json, sys; print(json.dumps(sys.argv[1:]))"
    done = shell.run("run", "args", "--", sys.executable, "-c", script, *args)
    assert json.loads(done.stdout) == args, done.stderr


def test_options_of_run_may_stand_anywhere_before_the_dashes(shell):
    for args in (["run", "-n", "o", "-E", "3"], ["-q", "run", "o", "-n"], ["run", "o", "-qn"],
                 ["--timeout", "3s", "run", "--wait=1s", "o", "--ttl=1m"]):
        assert shell.run(*args, "--", "echo", "ran").stdout == "ran\n"


def test_what_cant_be_run(shell, tmp_path):
    done = shell.run("run", "cant", "--", "no-such-command")
    assert done.returncode == NOT_FOUND and "no-such-command: No such file" in done.stderr
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\n")
    for path in (plain, tmp_path):
        done = shell.run("-o", "json", "run", "cant", "--", str(path))
        assert done.returncode == CANNOT_RUN and str(path) in error_of(done)["message"]
    assert shell.code("run", "cant", "--", "") == NOT_FOUND
    # Whatever the name is made of: it is shown to others as the owner's program.
    raw = subprocess.run([*shell.command("run", "cant", "--"), b"\xff" * 101 + "é".encode() * 60],
                         env=shell.env, capture_output=True, check=False, timeout=10)
    assert raw.returncode == NOT_FOUND
    assert shell.code("held", "cant") == NO


def test_neither_lock_nor_lease_is_left_behind(shell):
    started = shell.start("run", "left", "--", "true")
    assert started.wait(10) == 0
    assert shell.code("held", "left") == NO
    assert started.pid not in [one["owner"]["pid"] for one in shell.objects("lease", "ls")]


def test_the_command_starts_as_lockctl_was_started(shell, tmp_path):
    """Ignored and blocked signals, open descriptors, the working directory, the umask."""
    script = ("import os, signal; print(signal.getsignal(signal.SIGHUP).name, "
              "signal.getsignal(signal.SIGPIPE).name, "
              "sorted(s.name for s in signal.pthread_sigmask(0, [])), os.getcwd(), "
              "oct(os.umask(0)), sorted(map(int, os.listdir('/proc/self/fd')))[3:])")
    direct = [sys.executable, "-E", "-c", script]

    def prepare():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        os.umask(0o27)

    def start(command):
        with open(os.devnull, "rb") as extra:
            return subprocess.run(command, env=shell.env, capture_output=True, text=True,
                                  timeout=10, check=False, preexec_fn=prepare, cwd=tmp_path,
                                  pass_fds=[extra.fileno()]).stdout
    assert start(shell.command("run", "start", "--", *direct)) == start(direct)


# -- signals and processes -------------------------------------------------------------------------

SHOW_SIGNAL = """
import signal, sys, time
def show(number, frame):
    print(signal.Signals(number).name, flush=True)
    if number in (signal.SIGTERM, signal.SIGQUIT):
        sys.exit(40 + number)
for number in map(lambda name: getattr(signal, "SIG" + name), sys.argv[1:]):
    signal.signal(number, show)
print("ready", flush=True)
while True:
    signal.pause()
"""
FORWARDED = ["HUP", "INT", "USR1", "USR2", "ALRM", "WINCH", "QUIT", "TERM"]


def test_signals_are_forwarded(shell):
    started = shell.start("run", "signals", "--", sys.executable, "-c", SHOW_SIGNAL, *FORWARDED,
                          stdout=subprocess.PIPE)
    assert started.stdout.readline() == "ready\n"
    for name in FORWARDED[:-2] + ["TERM"]:
        started.send_signal(getattr(signal, "SIG" + name))
        assert started.stdout.readline() == f"SIG{name}\n"
    assert started.wait(10) == 40 + signal.SIGTERM
    assert shell.code("held", "signals") == NO


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT"])
def test_a_signal_that_ends_the_command_shows_in_the_status(shell, name):
    started = shell.start("run", "ends", "--", "sleep", "60")
    shell.wait_held("ends")
    wait_for(lambda: "sleep" in children(started).values(), "CMD runs")
    (child,) = [pid for pid, program in children(started).items() if program == "sleep"]
    started.send_signal(getattr(signal, "SIG" + name))
    assert started.wait(10) == 128 + getattr(signal, "SIG" + name)
    assert not running(child)


def test_a_signal_that_was_ignored_at_the_start_stays_so(shell):
    """As nohup does it."""
    started = shell.start("run", "nohup", "--", sys.executable, "-c", SHOW_SIGNAL, "TERM",
                          stdout=subprocess.PIPE,
                          preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert started.stdout.readline() == "ready\n"
    started.send_signal(signal.SIGHUP)
    started.send_signal(signal.SIGTERM)
    assert started.stdout.readline() == "SIGTERM\n"
    assert started.wait(10) == 40 + signal.SIGTERM


def test_the_command_has_a_group_of_its_own_and_the_guard_a_session(shell):
    script = "ps -o pid=,pgid=,sid= -p $$; ps -o pid=,ppid=,sid=,comm= -A | grep holdfast-guard"
    started = shell.start("run", "group", "--", "sh", "-c", script, stdout=subprocess.PIPE)
    out, _ = started.communicate(timeout=10)
    own, *guards = out.splitlines()
    pid, group, session = own.split()
    assert pid == group != str(os.getpgrp()) and session == str(os.getsid(0))
    (guard,) = [line.split() for line in guards if line.split()[1] == str(started.pid)]
    assert guard[2] == guard[0]  # a session leader
    assert not running(int(guard[0]))


def test_what_the_command_leaves_behind_ends_before_the_lock_passes_on(shell):
    """A background child in the group: TERM, and the lock is released only when it is gone."""
    script = ('(trap "echo term; exit" TERM; echo up; while :; do sleep 0.01; done) & '
              'echo $!; sleep 60 & sleep 0.2; exit 7')
    started = shell.start("run", "behind", "--kill-grace", "1s", "--", "sh", "-c", script,
                          stdout=subprocess.PIPE)
    out, _ = started.communicate(timeout=10)
    assert started.returncode == 7 and "term" in out.split()
    assert not running(int(next(word for word in out.split() if word.isdecimal())))
    assert shell.code("held", "behind") == NO


def test_what_ignores_term_is_killed_after_the_grace(shell):
    script = 'trap "" TERM; sleep 60 & echo $!; exit 0'
    began = time.monotonic()
    done = shell.run("run", "grace", "--kill-grace", "300ms", "--", "sh", "-c", script)
    assert done.returncode == 0 and 0.3 <= time.monotonic() - began < 5
    assert not running(int(done.stdout))


def test_a_daemon_that_left_the_group_is_out_of_reach(shell):
    """As the manual says."""
    done = shell.run("run", "daemon", "--", "sh", "-c",
                     "setsid sleep 60 >/dev/null 2>&1 & echo $!; sleep 0.2")
    pid = int(done.stdout)
    assert done.returncode == 0 and running(pid)
    os.kill(pid, signal.SIGKILL)


def test_locks_nest(shell):
    inner = shell.command("run", "nest/b", "--", "sh", "-c", "echo $HOLDFAST_LOCK; exit 5")
    done = shell.run("run", "nest/a", "--", *inner)
    assert (done.returncode, done.stdout) == (5, "nest/b\n")


# -- not acquired, and waiting ---------------------------------------------------------------------


@pytest.fixture
def taken(shell):
    """A lock that somebody holds."""
    got = shell.object("acquire", "taken", "--ttl", "1m")
    yield "taken"
    shell.run("lease", "close", got["lease"])


def test_not_acquired(shell, taken):
    run = ["run", taken, "--", "echo", "ran"]
    for options, code in ((["-n"], "wouldBlock"), (["--no-wait"], "wouldBlock"),
                          (["-w", "50ms"], "timeout"), (["--wait", "0"], "wouldBlock")):
        done = shell.run(run[0], *options, *run[1:])
        assert (done.returncode, done.stdout) == (NO, "")
        assert done.stderr == "lockctl: not acquired: taken\n"
        for status in (0, 7, 255):
            done = shell.run(run[0], "-q", *options, "-E", status, *run[1:])
            assert (done.returncode, done.stdout, done.stderr) == (status, "", "")
        done = shell.run(run[0], "-ojson", *options, "--not-acquired", "9", *run[1:])
        assert done.returncode == 9 and error_of(done)["code"] == code
    assert len(shell.objects("lease", "ls")) == 1


def test_wait_means_at_most(shell, taken):
    began = time.monotonic()
    assert shell.code("run", "-w", "400ms", taken, "--", "true") == NO
    assert 0.4 <= time.monotonic() - began < 2


def test_waiters_are_served_in_order(shell):
    with_lock = ["run", "order", "--", "sh", "-c"]
    first = shell.start(*with_lock, "read line", stdin=subprocess.PIPE)
    shell.wait_held("order")
    waiting = []
    for i in range(3):
        waiting.append(shell.start(*with_lock, f"echo {i}; sleep 0.05", stdout=subprocess.PIPE))
        shell.wait_waiters("order", i + 1)
    began = [process.stdout for process in waiting]
    first.stdin.write("\n")
    first.stdin.flush()
    ends = []
    wait_for(lambda: ends.extend(p for p in waiting if p not in ends and p.poll() is not None)
             or len(ends) == 3, "all had their turn", interval=0.002)
    assert ends == waiting and [pipe.read() for pipe in began] == ["0\n", "1\n", "2\n"]


def test_shared_runs_side_by_side(shell):
    hold = ["--", "sh", "-c", "echo in; read line"]
    readers = [shell.start("run", "-s", "shared", *hold, stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE) for _ in range(2)]
    assert [reader.stdout.readline() for reader in readers] == ["in\n", "in\n"]
    assert shell.code("run", "-n", "shared", "--", "true") == NO
    assert shell.code("run", "-n", "-s", "shared", "--", "true") == 0


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
def test_a_signal_ends_the_wait_and_leaves_nothing_behind(shell, taken, name):
    waiting = shell.start("run", taken, "--", "true")
    shell.wait_waiters(taken)
    waiting.send_signal(getattr(signal, "SIG" + name))
    assert waiting.wait(5) == -getattr(signal, "SIG" + name)
    assert shell.object("show", taken)["waiters"] == []
    assert waiting.pid not in [one["owner"]["pid"] for one in shell.objects("lease", "ls")]


def test_a_signal_to_a_wait_under_ones_own_lease_leaves_no_waiter(shell, taken):
    lease = shell.object("lease", "open", "--ttl", "1m")["lease"]
    waiting = shell.start("acquire", taken, "--lease", lease)
    shell.wait_waiters(taken)
    waiting.terminate()
    assert waiting.wait(5) == -signal.SIGTERM
    assert shell.object("show", taken)["waiters"] == []


def test_a_wait_survives_outages_once_it_is_queued():
    """All nodes killed and restarted, and a leader killed: the place in the queue is kept."""
    with Cell(nodes=3) as cell, Shell(cell.endpoints) as shell:
        cell.wait_leader()
        holder = shell.start("run", "outage", "--", "sh", "-c", "read line", stdin=subprocess.PIPE)
        shell.wait_held("outage")
        waiting = shell.start("--timeout", "200ms", "run", "outage", "--", "echo", "at last",
                              stdout=subprocess.PIPE)
        shell.wait_waiters("outage")
        late = shell.start("run", "outage", "--", "true")
        shell.wait_waiters("outage", 2)
        for i in cell.nodes:
            cell.kill(i)
        time.sleep(0.5)  # longer than --timeout: that it isn't bounded by it is what is tested
        cell.start()
        cell.kill(cell.wait_leader())
        cell.wait_leader()
        assert waiting.poll() is None and late.poll() is None
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert waiting.communicate(timeout=10)[0] == "at last\n"
        assert (holder.wait(10), waiting.returncode, late.wait(10)) == (0, 0, 0)


def test_a_wait_ends_with_its_lease_or_its_time():
    with Cell(nodes=1) as cell, Shell(cell.endpoints) as shell:
        cell.wait_leader()
        shell.object("acquire", "gone", "--ttl", "1m")
        losing = shell.start("-o", "json", "run", "gone", "--ttl", "1s", "--", "true",
                             stderr=subprocess.PIPE)
        timing_out = shell.start("-o", "json", "run", "gone", "-w", "1s", "-E", "5", "--", "true",
                                 stderr=subprocess.PIPE)
        shell.wait_waiters("gone", 2)
        cell.kill(1)
        assert losing.wait(10) == LOST
        assert json.loads(losing.stderr.read())["error"]["code"] == "leaseNotFound"
        # Whether it is in the queue can't be known now, so this is no "no".
        assert timing_out.wait(10) == UNREACHABLE
        assert json.loads(timing_out.stderr.read())["error"]["code"] == "unavailable"
