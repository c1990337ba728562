"""One client that takes its locks with `lockctl run`, again and again, and writes down what it saw.

The command under the lock is this file again: it lives for a moment, writes to what the lock
protects, and leaves the time of its last sign of life in a file, which is read after its death. Its
life is the hold: `lockctl run` promises that no process of it outlives the lock. Ends on SIGTERM,
after the present command; fails with status 1 if lockctl ended in a way that faults don't explain.

usage: run_client.py ENDPOINTS GUARDED DIRECTORY LOCKCTL [--locks N] [--ttl S] [--seed N]
"""

import argparse
import mmap
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import threading

from recorder import Recorder, true_ns

LIFE = struct.Struct("qqqq")  # began, last sign of life (ns); token; lease
NO, UNREACHABLE, NO_ANSWER, LOST = 3, 69, 75, 76
LIFE_S = (0.2, 0.2, 0.2, 0.2, 0.2, 5)  # at most: some outlive a TTL

_stopping = threading.Event()


def under_lock(life_path, guarded_path, client, mode, seconds):
    """What runs under the lock."""
    import guarded  # not needed by the other half
    began = true_ns()
    lock, token = os.environ["HOLDFAST_LOCK"], int(os.environ["HOLDFAST_TOKEN"])
    lease = int(os.environ["HOLDFAST_LEASE"], 16)
    with open(life_path, "w+b") as file:
        file.truncate(LIFE.size)
        page = mmap.mmap(file.fileno(), LIFE.size)
    LIFE.pack_into(page, 0, began, began, token, lease - (1 << 63))
    resource = guarded.Client(guarded_path)
    until, wait = began + int(float(seconds) * 1e9), threading.Event()
    for number in range(1 << 30):
        if number % 16 == 0:
            resource.write(lock, mode, token, client)
        now = true_ns()
        struct.pack_into("q", page, 8, now)
        if now >= until:
            return
        wait.wait(0.002)


class Client:
    def __init__(self, options):
        self.options = options
        self.draw = random.Random(options.seed)
        self.recorder = Recorder(f"run-{os.getpid()}")
        self.life = pathlib.Path(options.directory) / f"life-{os.getpid()}"

    def run(self):
        while not _stopping.is_set():
            self.contend()

    def contend(self):
        lock = f"contend/{self.draw.randrange(self.options.locks)}"
        mode = "shared" if self.draw.random() < 0.25 else "exclusive"
        wait = f"{self.draw.uniform(0.5, 3):.3f}"
        self.life.unlink(missing_ok=True)
        start = true_ns()
        with subprocess.Popen(
                [self.options.lockctl, "--endpoints", self.options.endpoints, "run",
                 *(["-s"] if mode == "shared" else []), "-w", wait, "-E", str(NO),
                 "--ttl", f"{self.options.ttl}s", lock, "--", "/usr/bin/python3", "-S", "-E", "-B",
                 __file__, "--under-lock", str(self.life), self.options.guarded,
                 self.recorder.client, mode, str(self.draw.uniform(0, self.draw.choice(LIFE_S)))],
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as lockctl:
            said = lockctl.communicate()[1]
        self.judge(lock, mode, start, lockctl.returncode, said)

    def judge(self, lock, mode, start, status, said):
        end = true_ns()
        what = {"lock": lock, "mode": mode}
        life = self.life.read_bytes() if self.life.exists() else b""
        began, last, token, lease = LIFE.unpack(life.ljust(LIFE.size, b"\0"))
        if began == 0:
            # The command never came to be. Only a plain no is surely one.
            if status == NO:
                self.recorder.over("acquire", start, False, "timeout", **what)
            else:
                self.recorder.unknown("acquire", start, f"status {status}", **what)
        else:
            what |= {"lease": f"{lease + (1 << 63):x}", "token": str(token)}
            self.line("acquire", start, began, True, what)
            if status == 0 and said == "":
                self.line("release", last, end, True, what)
            elif status == 0:  # it says so when the cell couldn't be told
                self.line("release", last, None, None, what)
            else:
                self.line("lost", last, end, None, what)
        if status not in (0, NO, UNREACHABLE, NO_ANSWER, LOST, -signal.SIGKILL) or (
                began and status == NO):
            sys.exit(f"{self.recorder.client}: lockctl ended with {status}: {said}")

    def line(self, op, start, end, ok, what):
        self.recorder.line({"client": self.recorder.client, "op": op, **what, "start": str(start),
                            "end": None if end is None else str(end), "ok": ok, "error": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name in ("endpoints", "guarded", "directory", "lockctl"):
        parser.add_argument(name)
    parser.add_argument("--locks", type=int, default=2)
    parser.add_argument("--ttl", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: _stopping.set())
    Client(options).run()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--under-lock"]:
        under_lock(*sys.argv[2:])
    else:
        main()
