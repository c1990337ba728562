"""A cell of three daemons under measurement: started, loaded, hurt, and ended."""

import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))
from cell import Cell, binary, wait_for  # noqa: E402

FILL = 100_000
BACKGROUND_CLIENTS = 16  # who load the cell while its leader goes
CAUGHT_UP_SLOTS = 100


class HoldfastService:
    title = "Holdfast"

    def __init__(self, directory, seconds):
        self.directory = directory / "holdfast"
        self.seconds = seconds
        self.cell = None
        self.filled = False
        self.load = None
        self.last_bench = {}  # of the last `lockctl bench`: its latencies

    def start(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.cell = Cell(nodes=3, directory=self.directory)
        self.filled = False
        self.cell.wait_leader()

    def stop(self):
        self.stop_load()
        if self.cell is not None:
            self.cell.close()
            self.cell = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def measure(self, row):
        """The samples of a row that one round takes."""
        if row.method:
            return getattr(self, row.method)(row.samples)
        done = self.cell.lockctl("-o", "json", "bench", "--duration", f"{self.seconds}s", *row.load,
                                 timeout=self.seconds + 60)
        if done.returncode != 0:
            raise RuntimeError(f"lockctl bench failed: {done.stderr.strip()}")
        self.last_bench = json.loads(done.stdout)
        if self.last_bench["errors"]:
            raise RuntimeError(f"lockctl bench had {self.last_bench['errors']} errors")
        return [self.last_bench["opsPerSecond"]]

    # -- when the leader goes ----------------------------------------------------------------------

    def failover_kill(self, samples):
        def revive(leader):
            self.cell.nodes[leader].process.wait()
            self.cell.start(leader)

        return self.fail_over(samples, signal.SIGKILL, revive)

    def failover_stop(self, samples):
        return self.fail_over(samples, signal.SIGSTOP, self.cell.resume)

    def fail_over(self, samples, sign, revive):
        self.start_load()
        taken = []
        for _ in range(samples):
            self.wait_settled()
            leader = self.cell.wait_leader()
            pid = self.cell.nodes[leader].process.pid
            try:
                taken.append(float(self.run("tests/bench/failover_probe", self.cell.endpoints,
                                            pid, int(sign))))
            finally:
                revive(leader)
        self.stop_load()
        return taken

    def start_load(self):
        command = [binary("bindings/cli/lockctl"), "--endpoints", self.cell.endpoints, "-q",
                   "bench", "--clients", BACKGROUND_CLIENTS, "--duration", "1h"]
        self.load = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop_load(self):
        if self.load is not None:
            self.load.kill()
            self.load.wait()
            self.load = None

    def wait_settled(self):
        """Until one leads and the others follow closely: the next quorum is up to date."""
        def settled():
            status = self.cell.status()
            nodes = status["nodes"] if status else []
            return (sorted(n["role"] for n in nodes) == ["follower", "follower", "leader"] and
                    all(int(n["lag"]) < CAUGHT_UP_SLOTS for n in nodes))

        wait_for(settled, "a leader and two followers that keep up", timeout=30, interval=0.1)

    # -- with many leases --------------------------------------------------------------------------

    def memory(self, _):
        self.fill()
        return [resident_mb(self.cell.nodes[self.cell.wait_leader()].process.pid)]

    def restart(self, _):
        self.fill()
        for node in self.cell.nodes:
            self.cell.kill(node)
        for node in self.cell.nodes.values():
            node.clear_log()
        began = time.monotonic()
        self.cell.start()
        self.run("bindings/cli/lockctl", "--endpoints", self.cell.endpoints, "--timeout", "60s",
                 "acquire", "-n", "bench/after-restart")
        took = time.monotonic() - began
        status = self.cell.status()
        if max(int(node.get("leases", 0)) for node in status["nodes"]) < FILL:
            raise RuntimeError(f"leases were lost in the restart: {status}")
        return [took]

    def fill(self):
        if self.filled:
            return
        self.stop()
        self.start()
        self.run("tests/bench/fill_leases", self.cell.endpoints, FILL)
        self.wait_settled()
        self.filled = True

    # -- programs ----------------------------------------------------------------------------------

    def run(self, program, *args):
        done = subprocess.run([str(binary(program)), *map(str, args)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=600)
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()}")
        return done.stdout


def resident_mb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1000
