"""Real daemons on loopback, for tests: start, kill, stop, continue, wipe, and who leads.

    with Cell(nodes=3) as cell:
        leader = cell.wait_leader()
        cell.kill(leader)
        cell.wait_leader(other_than=leader)

Addresses are 127.x.y.z made from this process's id, so that test runs don't meet; network.py has
namespaces instead. The binaries are those of $HOLDFAST_BUILD (set by Meson), else of the newest
build/ directory of this tree.
"""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIRST_PORT = 7441  # 7420 to 7423 belong to people's own cells
_cells = itertools.count()


def binary(path):
    """The built program at `path` below the build directory, such as "daemon/holdfastd"."""
    if "HOLDFAST_BUILD" in os.environ:
        return pathlib.Path(os.environ["HOLDFAST_BUILD"]) / path
    built = [p for p in ROOT.glob("build/*/" + path) if p.is_file()]
    if not built:
        raise FileNotFoundError(f"{path} isn't built: run ./dev test, or set HOLDFAST_BUILD")
    return max(built, key=lambda p: p.stat().st_mtime)


def wait_for(condition, what, timeout=10.0, interval=0.01):
    """Waits until condition() is true, and returns what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"waited {timeout} s in vain: {said}")
        time.sleep(interval)


def own_address():
    """An address of loopback that no other live test process uses."""
    pid = os.getpid()
    return f"127.{64 + (pid >> 16) % 128}.{(pid >> 8) & 255}.{pid & 255}"


class Loopback:
    """Where everybody runs on one address, and nothing stands between them."""

    def address(self, _who):
        return own_address()

    def enter(self, _who):
        """What precedes a command that is to run there."""
        return []


class Node:
    """One daemon: its process, its directory, its log."""

    def __init__(self, node_id, address, directory, enter=()):
        self.id = node_id
        self.address = address
        self.enter = list(enter)
        self.data_dir = directory / str(node_id)
        self.log_path = directory / f"{node_id}.log"
        self.env = {}  # besides the cell's
        self.joins = None  # endpoints of the cell that it joins; None: it is one of the founders
        self.process = None
        self.earlier_errors = []  # those of a log that was cleared

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        """All log lines so far, as objects; a line that isn't JSON (a crash's) as {"message"}."""
        if not self.log_path.exists():
            return []
        lines = []
        for line in self.log_path.read_text(errors="replace").splitlines():
            try:
                lines.append(json.loads(line))
            except json.JSONDecodeError:
                lines.append({"message": line, "level": "raw"})
        return lines

    def clear_log(self):
        """Forgets what was logged so far, so that only what comes now is found."""
        self.earlier_errors = self.errors()
        with contextlib.suppress(FileNotFoundError):
            os.truncate(self.log_path, 0)

    def errors(self):
        """All that no fault but a broken disk may bring about: errors, and the words of a crash."""
        return self.earlier_errors + [line for line in self.log()
                                      if line["level"] in ("error", "raw")]

    def logged(self, words):
        """The log lines that hold these words somewhere."""
        return [line for line in self.log() if words in " ".join(str(v) for v in line.values())]


class Cell:
    def __init__(self, nodes=3, args=(), env=None, directory=None, start=True, network=None):
        self._own_directory = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="holdfast-cell-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.network = network or Loopback()
        port = self.first_port = FIRST_PORT + 10 * next(_cells)
        self.nodes = {
            i: Node(i, f"{self.network.address(i)}:{port + i}", self.directory,
                    self.network.enter(i))
            for i in range(1, nodes + 1)
        }
        self.args = list(args)
        self.log_format = "json"
        self.env = {**os.environ, **(env or {})}
        if start:
            try:
                self.start()
            except BaseException:
                self.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        if failed:
            for node in self.nodes.values():
                print(f"--- log of node {node.id}")
                for line in node.log()[-40:]:
                    print(" ".join(f"{k}={v}" for k, v in line.items()))
        self.close()

    def close(self):
        for node in self.nodes.values():
            if node.running:
                node.process.kill()
                node.process.wait()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    # -- addresses ---------------------------------------------------------------------------------

    @property
    def founders(self):
        return ",".join(f"{n.id}={n.address}" for n in self.nodes.values() if n.joins is None)

    @property
    def endpoints(self):
        return ",".join(n.address for n in self.nodes.values())

    # -- processes ---------------------------------------------------------------------------------

    def start(self, *ids, args=()):
        """Starts these nodes, or all that don't run."""
        for node in [self.nodes[i] for i in ids] or self.nodes.values():
            if node.running:
                continue
            belongs = (["--cluster", self.founders] if node.joins is None else
                       ["--join", node.joins, "--listen", node.address])
            command = [*node.enter, str(binary("daemon/holdfastd")), "--id", str(node.id),
                       *belongs, "--data-dir", str(node.data_dir),
                       "--log-format", self.log_format, *self.args, *args]
            with open(node.log_path, "ab") as log:
                node.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                                stderr=log, env={**self.env, **node.env})

    def join(self, i):
        """Starts another node, which asks the cell to take it in."""
        address = f"{self.network.address(i)}:{self.first_port + i}"
        node = self.nodes[i] = Node(i, address, self.directory, self.network.enter(i))
        node.joins = ",".join(n.address for n in self.nodes.values() if n.running)
        self.start(i)

    def kill(self, i):
        """SIGKILL: nothing is finished."""
        self.nodes[i].process.kill()
        self.nodes[i].process.wait()

    def stop(self, i, timeout=10):
        """SIGTERM: returns the exit status."""
        self.nodes[i].process.terminate()
        return self.nodes[i].process.wait(timeout)

    def pause(self, i):
        self.nodes[i].process.send_signal(signal.SIGSTOP)

    def resume(self, i):
        self.nodes[i].process.send_signal(signal.SIGCONT)

    def wipe(self, i):
        """Empties the data directory of a node that doesn't run."""
        assert not self.nodes[i].running
        shutil.rmtree(self.nodes[i].data_dir)

    def wait_exit(self, i, timeout=10):
        return self.nodes[i].process.wait(timeout)

    # -- what is going on --------------------------------------------------------------------------

    def wait_logged(self, i, words, timeout=10):
        node = self.nodes[i]
        return wait_for(lambda: node.logged(words),
                        lambda: f"node {i} never said '{words}' but {node.log()[-10:]}", timeout)

    def lockctl(self, *args, input=None, timeout=30, endpoints=None):
        """Runs lockctl against this cell; returns the finished process, with text output."""
        return subprocess.run(
            [*self.network.enter("client"), str(binary("bindings/cli/lockctl")),
             "--endpoints", endpoints or self.endpoints, *map(str, args)],
            input=input, capture_output=True, text=True, timeout=timeout, check=False)

    def status(self, i=None):
        """`lockctl status` of node i, or of the cell; None if it can't be had."""
        endpoints = self.nodes[i].address if i else None
        with contextlib.suppress(subprocess.TimeoutExpired, json.JSONDecodeError):
            done = self.lockctl("-o", "json", "--timeout", "1s", "status", endpoints=endpoints)
            return json.loads(done.stdout) if done.returncode == 0 else None

    def node_status(self, i):
        """What the cell's status says of node i, if it can be had and i answers; else nothing."""
        nodes = (self.status() or {"nodes": []})["nodes"]
        return next((n for n in nodes if int(n["id"]) == i and n["role"] != "unreachable"), {})

    def members(self):
        """`lockctl members` by id; None if it can't be had."""
        with contextlib.suppress(subprocess.TimeoutExpired, json.JSONDecodeError):
            done = self.lockctl("-o", "json", "--timeout", "1s", "members")
            if done.returncode == 0:
                return {m["id"]: m for m in json.loads(done.stdout)["members"]}
        return None

    def leader(self, other_than=None):
        """The node that leads by its own log, or None. The newest of several that think so."""
        found = None
        for node in self.nodes.values():
            turns = [line for line in node.log()
                     if line["message"] in ("leading", "no longer leading", "starting")]
            if not node.running or not turns or turns[-1]["message"] != "leading":
                continue
            if node.id != other_than and (found is None or turns[-1]["time"] > found[0]):
                found = (turns[-1]["time"], node.id)
        return found[1] if found else None

    def wait_leader(self, other_than=None, timeout=15):
        return wait_for(lambda: self.leader(other_than),
                        lambda: f"nobody leads: {[n.log()[-5:] for n in self.nodes.values()]}",
                        timeout)

    def wait_caught_up(self, timeout=20):
        """Waits until all nodes answer and have applied the same: for when all is quiet."""
        def same():
            nodes = (self.status() or {"nodes": []})["nodes"]
            applied = [n.get("applied") for n in nodes if n["role"] != "unreachable"]
            return len(applied) == len(self.nodes) and len(set(applied)) == 1
        wait_for(same, lambda: f"they differ: {self.status()}", timeout)
