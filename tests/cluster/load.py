"""Processes that contend for a few locks while faults happen, and what they saw.

    with Load(cell, processes=3) as load:
        load.wait_grants(100)
        ...
        holds = load.finish()    # all histories together are in order, or history.Violation
"""

import contextlib
import json
import signal
import subprocess
import sys
import time

import history
from cell import binary, wait_for


def true_ns():
    """The clock of all histories."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)


@contextlib.contextmanager
def bench_load(cell, clients=8):
    """lockctl bench in the background, until the end."""
    command = [str(binary("bindings/cli/lockctl")), "--endpoints", cell.endpoints, "bench",
               "--clients", str(clients), "--duration", "300s"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as bench:
        try:
            yield
        finally:
            bench.send_signal(signal.SIGKILL)


# A client that contends for nothing: how long its acquires take says how long the cell was away.
PROBE = {"prefix": "probe", "clients": 1, "locks": 1, "shared": 0, "hold_ms": 0, "pause_ms": 1,
         "show": 0}
# A client that holds a lock for long, through faults, and so might count on it for too long; and
# one that waits to get the same lock.
KEEPER = {"prefix": "keep", "clients": 1, "locks": 1, "shared": 0, "hold_ms": 10_000}
HEIR = {**KEEPER, "hold_ms": 50, "pause_ms": 50}


class Contender:
    """One process with several clients, and its history as far as it is written."""

    def __init__(self, cell, path, host="client", endpoints=None, **options):
        command = [*cell.network.enter(host), str(binary("tests/cluster/contender")),
                   "--endpoints", endpoints or cell.endpoints, "--seconds", "900"]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        with open(path, "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=sys.stderr)
        self.operations = []
        self._file = open(path, "rb")
        self._torn = b""

    def read(self):
        """All operations so far."""
        *lines, self._torn = (self._torn + self._file.read()).split(b"\n")
        self.operations += [o for o in map(json.loads, lines) if "op" in o]
        return self.operations

    def done(self, kind, since=0):
        """What succeeded and was answered after this moment."""
        return [o for o in history.done(self.read(), kind) if int(o["end"]) > since]

    def holds(self):
        """Whether its only client holds a lock, as far as it has written."""
        ends = [o for o in self.read() if o["op"] in ("acquire", "release", "lost")]
        return bool(ends) and ends[-1]["op"] == "acquire" and ends[-1]["ok"] is True

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._file.close()


class Load:
    def __init__(self, cell, processes=3, clients=3, locks=2, ttl_ms=2000, **options):
        self.cell = cell
        self.defaults = {"locks": locks, "ttl_ms": ttl_ms}
        self.contenders = []
        try:
            for _ in range(processes):
                self.add(clients=clients, **options)
        except BaseException:
            self.close()
            raise

    def add(self, **options):
        """One more process; it fights for the others' locks unless it is given a prefix."""
        path = self.cell.directory / f"history-{len(self.contenders)}.jsonl"
        self.contenders.append(Contender(self.cell, path, seed=len(self.contenders),
                                         **{**self.defaults, **options}))
        return self.contenders[-1]

    def add_keeper(self, host="client"):
        """Returns the keeper, on that host, and its heir."""
        return self.add(host=host, **KEEPER), self.add(**HEIR)

    def grants(self, since):
        return sum(len(each.done("acquire", since)) for each in self.contenders)

    def wait_grants(self, count, since=None, timeout=30):
        """Waits until so many were granted after this moment, by default now: the cell works."""
        since = true_ns() if since is None else since
        wait_for(lambda: self.grants(since) >= count,
                 lambda: f"{self.grants(since)} grants of {count}", timeout, interval=0.05)

    def finish(self, broken=()):
        """Ends the load and checks all of its histories together. Returns the holds. Only the nodes
        named may have complained."""
        for each in self.contenders:
            each.process.terminate()
        statuses = [each.process.wait(60) for each in self.contenders]
        assert set(statuses) == {0}, "a contender met an error that no fault explains"
        for node in self.cell.nodes.values():
            assert node.id in broken or not node.errors(), f"node {node.id}: {node.errors()}"
        return history.check([o for each in self.contenders for o in each.read()])

    def close(self):
        for each in self.contenders:
            each.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
