"""The clients of a torture run: processes of four kinds, each with its history file. Keepers hold
locks of their own for long, through faults, and so might count on them for too long.

Each can be killed and is then replaced by another one. What is killed of a client that uses
`lockctl run` is lockctl, for the client only writes down what becomes of it.
"""

import contextlib
import itertools
import os
import signal
import subprocess

import history
from cell import ROOT, binary
from recorder import Recorder, true_ns

HERE = ROOT / "tests" / "cluster"


class Client:
    def __init__(self, name, command, directory, env):
        self.name = name
        self._command = command
        self._directory = directory
        self._env = env
        self._generations = itertools.count()
        self.files = []
        self.process = None
        self.start_again()

    def start_again(self):
        number = next(self._generations)
        path = self._directory / f"history-{self.name}-{number}.jsonl"
        self.files.append(path)
        errors = self._directory / f"{self.name}-{number}.log"
        with open(path, "wb") as out, open(errors, "wb") as err:
            self.process = subprocess.Popen([*self._command, "--seed", str(number)], stdout=out,
                                            stderr=err, stdin=subprocess.DEVNULL, env=self._env)

    def victims(self):
        return [self.process.pid]

    def kill(self, faults):
        """SIGKILL. What it had asked for and not yet heard of is nowhere: the history says so."""
        self.process.kill()
        self.process.wait()
        now = str(true_ns())
        with open(self.files[-1], encoding="utf-8") as file:
            names = {operation["client"] for operation in history.read(file)}
        for client in sorted(names):
            faults.line({"op": "fault", "kind": "kill", "client": client, "start": now,
                         "end": now})

    def end(self, timeout):
        """SIGTERM. Returns its exit status and its last words."""
        self.process.terminate()
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = f"nothing for {timeout} s after SIGTERM"
        number = len(self.files) - 1
        errors = self._directory / f"{self.name}-{number}.log"
        return status, errors.read_text(encoding="utf-8", errors="replace")[-2000:]


class RunClient(Client):
    """What is stopped and killed is the lockctl that it has started."""

    def victims(self):
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
        return []

    def kill(self, faults):
        for pid in self.victims():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def start_again(self):
        if self.process is None:
            super().start_again()


class Clients:
    def __init__(self, cell, guarded, directory, counts, locks, ttl_s):
        self._cell, self._guarded, self._directory = cell, guarded, directory
        self._locks, self._ttl_s = locks, ttl_s
        self.all = []
        makers = {"cpp": self._cpp, "keeper": self._keeper, "python": self._python,
                  "run": self._run}
        try:
            for kind, count in counts.items():
                for number in range(count):
                    # Every other one on the host that is cut off more often.
                    host = ("client", "far")[number % 2]
                    self.all.append(makers[kind](f"{kind}-{number}", host))
        except BaseException:
            self.close()
            raise

    def _cpp(self, name, host):
        return self._contender(name, host, "--clients", "3", "--locks", str(self._locks),
                               "--hold-ms", "20", "--pause-ms", "10", "--show", "0.5")

    def _keeper(self, name, host):
        return self._contender(name, host, "--clients", "2", "--locks", "2", "--prefix", "keep",
                               "--hold-ms", "5000")

    def _contender(self, name, host, *more):
        return Client(name, [
            *self._cell.network.enter(host), str(binary("tests/cluster/contender")),
            "--endpoints", self._cell.endpoints, "--guarded", self._guarded.path,
            "--ttl-ms", str(int(self._ttl_s * 1000)), "--seconds", "86400", *more],
            self._directory, None)

    def _python(self, name, host):
        package = binary("bindings/python/holdfast/__init__.py").parents[1]
        return Client(name, [
            *self._cell.network.enter(host), "/usr/bin/python3", "-B",
            str(HERE / "python_client.py"), self._cell.endpoints, self._guarded.path,
            "--locks", str(self._locks), "--ttl", str(self._ttl_s)], self._directory,
            {**os.environ, "PYTHONPATH": str(package)})

    def _run(self, name, host):
        return RunClient(name, [
            *self._cell.network.enter(host), "/usr/bin/python3", "-B", str(HERE / "run_client.py"),
            self._cell.endpoints, self._guarded.path, str(self._directory),
            str(binary("bindings/cli/lockctl")), "--locks", str(self._locks),
            "--ttl", str(self._ttl_s)], self._directory, None)

    def check_running(self):
        """A client may only end when it is told to."""
        for client in self.all:
            if client.process.poll() is not None and client.process.returncode != -signal.SIGKILL:
                raise AssertionError(f"{client.name} ended with {client.end(0)}")

    def choose(self, draw):
        return draw.choice(self.all)

    def operations(self):
        """All that they have written so far."""
        found = []
        for client in self.all:
            for path in client.files:
                with open(path, encoding="utf-8") as file:
                    found += history.read(file)
        return found

    def finish(self, timeout=30):
        """Ends all but cleanly. Returns the complaints of those that met what no fault explains."""
        ended = [(client.name, *client.end(timeout)) for client in self.all]
        return [f"{name} ended with {status}: {said}" for name, status, said in ended if status]

    def close(self):
        for client in self.all:
            for pid in (*client.victims(), client.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                    os.kill(pid, signal.SIGKILL)
            client.process.wait()
