"""Clients that fight for a few locks through the Python package, and write down what they saw, as
contender does in C++. Ends on SIGTERM; with a traceback if it met an error that no fault explains.

usage: python_client.py ENDPOINTS GUARDED [--clients N] [--locks N] [--ttl S] [--seed N]
"""

import argparse
import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import Future

import guarded
from recorder import Recorder, true_ns

import holdfast

HOLD_S = 0.03   # at most
PAUSE_S = 0.03  # between two acquires
FAULTS = (holdfast.Unavailable, holdfast.Timeout, holdfast.LeaseLost, holdfast.LockLost)

_stopping = threading.Event()


class Client:
    def __init__(self, options, cell, index):
        self.options = options
        self.cell = cell
        self.draw = random.Random(options.seed * 1000 + index)
        self.recorder = Recorder(f"python-{os.getpid()}-{index}")
        self.guarded = guarded.Client(options.guarded)

    def run(self):
        while not _stopping.is_set():
            session = self.open()
            if session is None:
                continue
            while session.alive and not _stopping.is_set():
                self.contend(session)
                _stopping.wait(self.draw.uniform(0, PAUSE_S))
            self.close(session)

    def open(self):
        start, lost = true_ns(), Future()
        try:
            session = self.cell.session(ttl=self.options.ttl, on_lost=lost.set_result)
        except FAULTS as fault:
            self.recorder.unknown("open", start, fault.code)
            return None
        self.recorder.over("open", start, True, lease=session.lease,
                           ttl=int(self.options.ttl * 1e9))
        lost.add_done_callback(lambda lost: self.lose_lease(session, lost.result()))
        return session

    def lose_lease(self, session, why):
        """By the deadline that it was known to have: the very last, as it is over."""
        now = true_ns()
        deadline = now + int((session.deadline - time.clock_gettime(time.CLOCK_BOOTTIME)) * 1e9)
        self.recorder.line({"client": self.recorder.client, "op": "leaseLost",
                            "lease": session.lease, "start": str(now), "end": str(now),
                            "deadline": str(deadline), "error": why.code, "why": str(why)})

    def close(self, session):
        if not session.alive:
            return
        start, lease = true_ns(), session.lease
        try:
            session.close()
            self.recorder.over("close", start, True, lease=lease)
        except FAULTS as fault:
            self.recorder.unknown("close", start, fault.code, lease=lease)

    def contend(self, session):
        name = f"contend/{self.draw.randrange(self.options.locks)}"
        mode = "shared" if self.draw.random() < 0.25 else "exclusive"
        grant = self.acquire(session, name, mode)
        if grant:
            self.hold(session, name, mode, grant)
        if self.draw.random() < 0.5:
            self.show(name)

    def acquire(self, session, name, mode):
        trying = self.draw.random() < 0.2
        timeout = 0 if trying else self.draw.uniform(0.5, 3.5)
        start = true_ns()
        what = {"lock": name, "mode": mode, "permits": 1, "lease": session.lease, "try": trying,
                "timeout": int(timeout * 1e9)}
        try:
            grant = session.lock(name, mode).acquire(timeout=timeout)
        except FAULTS as fault:
            self.recorder.unknown("acquire", start, fault.code, **what)
            return None
        if grant:
            self.recorder.over("acquire", start, True, token=grant.token, **what)
        else:
            self.recorder.over("acquire", start, False, "wouldBlock" if trying else "timeout",
                               **what)
        return grant

    def hold(self, session, name, mode, grant):
        """Counts on the lock only while grant.held says so, and says when it stopped."""
        what = {"lock": name, "lease": session.lease, "token": grant.token}
        self.write(grant, mode, what)
        until = true_ns() + int(self.draw.uniform(0, HOLD_S) * 1e9)
        last_held = 0
        while True:
            moment = true_ns()  # taken first: as contender does, and for its reason
            if not grant.held:
                self.recorder.over("lost", last_held, None, **what)
                # As one does that doesn't look any more, when somebody may have come after it.
                time.sleep(self.draw.uniform(0, self.options.ttl))
                self.write(grant, mode, what)
                return
            last_held = moment
            if moment >= until:
                break
            time.sleep(0.002)
        self.write(grant, mode, what)
        try:
            grant.release()
            self.recorder.over("release", last_held, True, **what)
        except FAULTS as fault:
            self.recorder.unknown("release", last_held, fault.code, **what)

    def write(self, grant, mode, what):
        start = true_ns()
        ok = self.guarded.write(what["lock"], mode, what["token"], self.recorder.client)
        self.recorder.over("write", start, ok, None if ok else "fenced", mode=mode,
                           held=grant.held, **what)

    def show(self, name):
        start = true_ns()
        try:
            info = self.cell.describe(name)
        except FAULTS as fault:
            self.recorder.unknown("show", start, fault.code, lock=name)
            return
        self.recorder.over(
            "show", start, True, lock=name,
            holders=[{"lease": h.lease, "mode": h.mode, "permits": h.permits,
                      "token": str(h.token)} for h in info.holders],
            waiters=[{"lease": w.lease, "mode": w.mode, "permits": w.permits, "convert": False}
                     for w in info.waiters])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("endpoints")
    parser.add_argument("guarded")
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--locks", type=int, default=2)
    parser.add_argument("--ttl", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: _stopping.set())
    failures = []
    threading.excepthook = lambda args: (failures.append(args), sys.__excepthook__(*args[:3]))
    with holdfast.connect(options.endpoints) as cell:
        threads = [threading.Thread(target=Client(options, cell, i).run)
                   for i in range(options.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
