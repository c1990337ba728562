"""A process group that shows for how long it lived: each of its three members writes the time down
again and again, into a file that is read after their death.

usage: witness.py FILE [stubborn]     (stubborn: SIGTERM is ignored)
"""

import mmap
import os
import signal
import struct
import sys
import time

MEMBERS = 3
ROW = struct.Struct("qq")  # CLOCK_MONOTONIC_RAW, CLOCK_REALTIME: ns


def last_sign_of_life(path):
    """(CLOCK_MONOTONIC_RAW, CLOCK_REALTIME) in ns, of whoever of the group lived longest."""
    with open(path, "rb") as file:
        return tuple(map(max, zip(*ROW.iter_unpack(file.read()))))


def live(page, member):
    while True:
        ROW.pack_into(page, member * ROW.size, time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW),
                      time.time_ns())
        time.sleep(0.0005)


def main(path, *flags):
    if "stubborn" in flags:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(path, "w+b") as file:
        file.truncate(MEMBERS * ROW.size)
        page = mmap.mmap(file.fileno(), MEMBERS * ROW.size)
    member = 0
    while member < MEMBERS - 1 and os.fork() == 0:  # a child, a grandchild
        member += 1
    print(member, flush=True)
    live(page, member)


if __name__ == "__main__":
    main(*sys.argv[1:])
