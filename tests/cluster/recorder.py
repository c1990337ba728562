"""What a client that is written in Python saw, as the JSON lines of HISTORY.md.

    recorder = Recorder("py-1")
    start = true_ns()
    recorder.over("acquire", start, True, lock="a", token=7)

Numbers become strings. A line is written at once and whole, so a process that is killed has written
all that it saw.
"""

import itertools
import json
import sys
import threading
import time


def true_ns():
    """The clock of all histories."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)


def first_line(seed, **more):
    """A history's first line."""
    return json.dumps({"holdfastHistory": 1, "seed": str(seed), "clock": "monotonic_raw",
                       "epsilon": 0.01, "renewals": False, "complete": False, **more})


class Recorder:
    """The operations of one client."""

    _mutex = threading.Lock()

    def __init__(self, client, out=None):
        self.client = client
        self._out = out or sys.stdout
        self._numbers = itertools.count(1)

    def over(self, op, start, ok, error=None, **more):
        """Done, or surely without effect."""
        self._write(op, start, true_ns(), ok, error, more)

    def unknown(self, op, start, error, **more):
        """Whether it had an effect isn't known."""
        self._write(op, start, None, None, error, more)

    def line(self, fields):
        with Recorder._mutex:
            self._out.write(json.dumps(fields) + "\n")
            self._out.flush()

    def _write(self, op, start, end, ok, error, more):
        fields = {"client": self.client, "op": op, "seq": str(next(self._numbers))}
        fields |= {name: str(value) if type(value) is int else value
                   for name, value in more.items()}
        self.line({**fields, "start": str(start), "end": None if end is None else str(end),
                   "ok": ok, "error": error})
