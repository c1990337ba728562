"""lockctl on a terminal: job control under a real shell, what is in the foreground, what is shown
to people only."""

import contextlib
import os
import pathlib
import pty
import re
import select
import signal
import time

import pytest

from cell import Cell, wait_for
from shell import Shell

PROMPT = "ready> "


@pytest.fixture(scope="module")
def cell():
    with Cell(nodes=1) as running:
        running.wait_leader()
        yield running


class Terminal:
    """A program at a terminal of its own. A context manager: its session is ended."""

    def __init__(self, env, *command):
        self.seen = ""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(command[0], command, env)
            finally:
                os._exit(127)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._fd)  # a hangup for all at this terminal
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def type(self, text):
        os.write(self._fd, text.encode())

    def expect(self, pattern, timeout=10):
        """Reads on until the pattern comes up in what wasn't expected yet; returns the match."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.seen)):
            left = deadline - time.monotonic()
            ready = select.select([self._fd], [], [], max(left, 0))[0]
            assert ready, f"'{pattern}' did not come, but {self.seen!r}"
            try:
                data = os.read(self._fd, 65536)
            except OSError:
                data = b""
            assert data, f"'{pattern}' did not come before the end, but {self.seen!r}"
            self.seen += data.decode(errors="replace")
        self.seen = self.seen[match.end():]
        return match

    def sees(self, pattern):
        """Whether the pattern comes up in what is there already."""
        while select.select([self._fd], [], [], 0)[0]:
            self.seen += os.read(self._fd, 65536).decode(errors="replace")
        return re.search(pattern, self.seen)

    def foreground(self):
        return os.tcgetpgrp(self._fd)

    def foreground_program(self):
        """Of the leader of the group in the foreground: before it is started, a copy of bash."""
        with contextlib.suppress(FileNotFoundError):
            return pathlib.Path(f"/proc/{self.foreground()}/comm").read_text().strip()
        return None


@pytest.fixture
def shell(cell):
    with Shell(cell.endpoints) as one:
        yield one


@pytest.fixture
def bash(shell):
    """An interactive shell with job control, at its prompt."""
    path = os.path.dirname(shell.command()[0]) + ":" + os.environ["PATH"]
    env = {**shell.env, "PATH": path, "PS1": PROMPT, "TERM": "dumb", "HISTFILE": ""}
    with Terminal(env, "bash", "--norc", "--noprofile", "-i") as terminal:
        terminal.expect(PROMPT)
        terminal.type("bind 'set enable-bracketed-paste off' 2>/dev/null; stty -echo\n")
        terminal.expect(PROMPT)
        yield terminal


def test_the_command_is_in_the_foreground_and_gives_it_back(bash, shell):
    bash.type("lockctl run tty -- sh -c 'echo my pid is $$; cat'\n")
    pid = int(bash.expect(r"my pid is (\d+)\r\n")[1])
    assert bash.foreground() == pid
    bash.type("a line\n")
    bash.expect("a line\r\n")
    bash.type("\x04")  # the end of input
    bash.expect(PROMPT)
    assert bash.foreground() == bash.pid
    bash.type("echo status $?\n")
    bash.expect("status 0")
    assert shell.code("held", "tty") == 1


def test_ctrl_c_reaches_the_command_once(bash):
    bash.type("lockctl run tty -- sh -c 'trap \"echo caught\" INT; echo up; read x; read y; "
              "exit 3'\n")
    bash.expect("up\r\n")
    bash.type("\x03")
    bash.expect("caught\r\n")
    bash.type("1\n2\n")
    assert "caught" not in bash.expect(f"(?s)(.*){PROMPT}")[1]
    bash.type("echo status $?\n")
    bash.expect("status [13]")
    bash.expect(PROMPT)
    bash.type("lockctl run tty -- sleep 60\n")
    # Nobody earlier: a Ctrl-C that hits bash's own child, just before it becomes lockctl, is lost.
    wait_for(lambda: bash.foreground_program() == "sleep", "sleep is in the foreground")
    bash.type("\x03")
    bash.expect(PROMPT)
    bash.type("echo status $?\n")
    bash.expect("status 130")


@pytest.mark.parametrize("stop", ["\x1a", None], ids=["ctrl-z", "itself"])
def test_when_the_command_stops_lockctl_stops_too_and_both_continue(bash, shell, stop):
    # exec: a shell that is stopped in the middle of its vfork doesn't count as stopped.
    command = "'echo up; exec cat'" if stop else "'echo up; kill -STOP $$; exec cat'"
    bash.type(f"lockctl run tty -- sh -c {command}\n")
    bash.expect("up\r\n")
    if stop:
        bash.type(stop)
    bash.expect("Stopped")
    bash.expect(PROMPT)
    assert bash.foreground() == bash.pid
    assert shell.code("held", "tty") == 0
    bash.type("fg\n")
    wait_for(lambda: bash.foreground() != bash.pid, "the job is in the foreground")
    bash.type("go on\n")
    bash.expect("go on\r\n")
    bash.type("\x04")
    bash.expect(PROMPT)
    bash.type("echo status $?\n")
    bash.expect("status 0")


def test_in_the_background_it_stops_when_it_wants_the_terminal(bash):
    bash.type("lockctl run tty -- sh -c 'echo up; read line; echo got $line' &\n")
    bash.expect("up\r\n")
    # The shell tells of it at its next prompt.
    wait_for(lambda: bash.type("\n") or bash.sees("Stopped"), "the job stops", interval=0.1)
    bash.type("fg\n")
    wait_for(lambda: bash.foreground() != bash.pid, "the job is in the foreground")
    bash.type("it\n")
    bash.expect("got it\r\n")
    bash.expect(PROMPT)


def test_stopped_for_too_long_the_command_is_ended(bash, shell):
    """Ctrl-Z and off to lunch: the lock passes on, the command doesn't."""
    bash.type("lockctl run tty --ttl 1s -- sh -c 'echo pid $$; exec cat'\n")
    pid = int(bash.expect(r"pid (\d+)\r\n")[1])
    bash.type("\x1a")
    bash.expect("Stopped")
    assert shell.run("run", "-w", "5s", "tty", "--", "ps", "-p", str(pid), "-o", "stat=",
                     ).stdout.strip() in ("", "Z")
    bash.type("fg\n")
    bash.expect("was not renewed in time")
    bash.expect(PROMPT)
    bash.type("echo status $?\n")
    bash.expect("status 76")


def test_the_terminal_is_given_back_when_the_command_cant_run(bash):
    bash.type("lockctl run tty -- no-such-command; echo status $?\n")
    bash.expect("cannot run no-such-command")
    bash.expect("status 127\r\n")
    bash.expect(PROMPT)
    assert bash.foreground() == bash.pid


def test_it_may_be_a_part_of_a_pipeline(bash, shell):
    bash.type("lockctl run tty -- sh -c 'echo one; echo two' | tac; echo status $?\n")
    bash.expect("two\r\none\r\nstatus 0")
    bash.expect(PROMPT)
    bash.type("echo fed | lockctl run tty -- cat\n")
    bash.expect("fed\r\n")
    bash.expect(PROMPT)
    # Its input is the terminal, its output isn't: it gets the terminal when it asks.
    bash.type("lockctl run tty -- sh -c 'read line; echo got $line' | cat\n")
    wait_for(lambda: bash.foreground() != bash.pid, "the pipeline is in the foreground")
    bash.type("it\n")
    bash.expect("got it\r\n")
    bash.expect(PROMPT)
    # Ctrl-C for all of it.
    bash.type("lockctl run tty -- sleep 60 | cat\n")
    wait_for(lambda: shell.code("held", "tty") == 0, "sleep runs, or is about to")
    bash.type("\x03")
    bash.expect(PROMPT)
    assert shell.code("held", "tty") == 1


def test_ctrl_z_while_it_waits(bash, shell):
    held = shell.object("acquire", "tty", "--ttl", "1m")
    bash.type("lockctl run tty -- echo mine\n")
    shell.wait_waiters("tty")
    bash.type("\x1a")
    bash.expect("Stopped")
    bash.type("fg\n")
    wait_for(lambda: bash.foreground() != bash.pid, "the job is in the foreground")
    assert shell.code("lease", "close", held["lease"]) == 0
    bash.expect("mine\r\n")
    bash.expect(PROMPT)


def test_without_a_shell_that_controls_it_a_stop_is_not_the_end(shell):
    """lockctl leads the session: nobody would continue it, so it goes on by itself."""
    command = shell.command("run", "tty", "--", "sh", "-c", "kill -TSTP $$; echo went on")
    with Terminal(shell.env, *command) as terminal:
        terminal.expect("went on\r\n")
        assert os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]) == 0


def test_bench_shows_how_it_goes(bash):
    bash.type("lockctl bench --clients 2 --duration 700ms --warm-up 1ms; echo status $?\n")
    bash.expect(r"\r\x1b\[K +0\.\ds +\d+ ops/s")
    bash.expect(r"\r\x1b\[KWORKLOAD ")
    bash.expect("status 0")
    bash.type("lockctl -q bench --clients 2 --duration 700ms --warm-up 1ms; echo status $?\n")
    assert "ops/s" not in bash.expect(r"(?s)(.*)status 0")[1]


def test_long_lists_go_through_the_pager(bash, shell):
    held = shell.object("acquire", "paged", "--ttl", "1m")
    bash.type("export PAGER='sed s/^/paged:/'\n")
    for verb in ("ls", "lease ls"):
        bash.expect(PROMPT)
        bash.type(f"lockctl {verb}\n")
        bash.expect("paged:.*(LOCK|LEASE) ")
        bash.expect(PROMPT)
        bash.type(f"lockctl {verb} --no-pager\n")
        assert "paged:" not in bash.expect(f"(?s)(.*){PROMPT}")[1]
        bash.type(f"lockctl {verb} -o json\n")
        assert "paged:" not in bash.expect(r"(?s)(.*)\r\n")[1]
    bash.expect(PROMPT)
    bash.type("TERM=xterm lockctl ls --no-pager; NO_COLOR=1 TERM=xterm lockctl ls --no-pager\n")
    bash.expect("\x1b\\[1mLOCK ")
    bash.expect("\nLOCK ")
    assert shell.code("lease", "close", held["lease"]) == 0
