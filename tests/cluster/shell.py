"""lockctl as a person at a shell has it: with HOLDFAST_ENDPOINTS set and nothing else of ours."""

import contextlib
import json
import os
import subprocess

from cell import binary, wait_for


class Shell:
    """Runs lockctl against these endpoints. A context manager: ends what it has started."""

    def __init__(self, endpoints, **environment):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
        self.env = {**clean, "HOLDFAST_ENDPOINTS": endpoints, **environment}
        self._started = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
            process.wait()

    @staticmethod
    def command(*args):
        return [str(binary("bindings/cli/lockctl")), *map(str, args)]

    def run(self, *args, input=None, env=None, timeout=30, **popen):
        """The finished process, with text output."""
        return subprocess.run(self.command(*args), input=input, capture_output=True, text=True,
                              env={**self.env, **(env or {})}, timeout=timeout, check=False,
                              **popen)

    def start(self, *args, **popen):
        """A running process; what it prints is for the test's own output unless asked for."""
        popen.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(self.command(*args), text=True, env=self.env, **popen)
        self._started.append(process)
        return process

    def objects(self, *args):
        """What `-o json` printed, one object a line."""
        done = self.run("-o", "json", *args)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def object(self, *args):
        (only,) = self.objects(*args)
        return only

    def code(self, *args, **kwargs):
        return self.run(*args, **kwargs).returncode

    def words(self, *args):
        """What `acquire` and `lease open` print for eval: name=value, as a dictionary."""
        done = self.run(*args)
        assert done.returncode == 0, done.stderr
        return dict(word.split("=", 1) for word in done.stdout.split())

    # -- what is going on -------------------------------------------------------------------------

    def holders(self, lock):
        return self.object("show", lock)["holders"]

    def wait_held(self, lock, timeout=10):
        """Returns the first holder, when there is one."""
        return wait_for(lambda: self.holders(lock), f"{lock} is held", timeout)[0]

    def wait_waiters(self, lock, number=1, timeout=10):
        return wait_for(lambda: len(self.object("show", lock)["waiters"]) == number,
                        f"{number} wait for {lock}", timeout)

    def wait_free(self, lock, timeout=10):
        wait_for(lambda: not self.holders(lock), f"{lock} is free", timeout)


def running(pid):
    """Whether that process is there and more than a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(process):
    """The names of its children, by pid; zombies are none."""
    done = subprocess.run(["ps", "-o", "pid=,stat=,comm=", "--ppid", str(process.pid)],
                          capture_output=True, text=True, check=False)
    rows = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    return {int(pid): name for pid, state, name in rows if not state.startswith("Z")}


def error_of(done):
    """The one error object on stderr of a run with -o json."""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    (key, error), = json.loads(lines[0]).items()
    assert key == "error" and error["code"] and error["message"]
    return error
