"""Checks histories of what clients saw: history.py FILE... says what is wrong and exits with 1.

It knows nothing of Holdfast's code, only the lines of INTERFACES 9, and demands:

- Tokens only grow. A grant that was asked for after another one had been answered has the greater
  token; none comes twice.
- Holders never overlap in true time. A client counted on its lock from the end of its acquire to
  the start of its release, or to the last moment at which its library vouched for the hold: no
  conflicting holder may count on it then, nor afterwards with an older token.
- Reads are of the present: a lock that is shown has no holder that had released it before, and all
  that counted on it meanwhile.
- No early end. A lease that its client lost was past its deadline, and a hold that wasn't there any
  more when it was to be released had been lost with its lease.
"""

import bisect
import collections
import dataclasses
import heapq
import json
import sys


@dataclasses.dataclass(frozen=True)
class Hold:
    client: str
    lock: str
    mode: str
    token: int
    asked: int   # ns of the one true clock: the acquire's start
    begins: int  # its end: from here on the client counts on the lock
    ends: int    # the last moment at which it surely did; before `begins` if it never did

    @property
    def counted_on(self):
        return self.begins <= self.ends


class Violation(AssertionError):
    pass


def read(lines):
    """The operations of a history, without its first line. A last line that was torn off when its
    writer was killed is no operation."""
    operations = []
    for line in lines:
        if not line.strip() or (not line.endswith("\n") and not line.rstrip().endswith("}")):
            continue
        operations.append(json.loads(line))
    return [operation for operation in operations if "op" in operation]


def done(operations, kind):
    return [o for o in operations if o["op"] == kind and o.get("ok") is True]


def holds(operations):
    """Every grant that a client was told of. One whose end isn't in the history was counted on for
    an instant at least."""
    ends = {
        (operation["client"], operation["token"]): int(operation["start"])
        for operation in operations
        if operation["op"] in ("release", "lost")
    }
    return [
        Hold(o["client"], o["lock"], o["mode"], int(o["token"]), int(o["start"]), int(o["end"]),
             ends.get((o["client"], o["token"]), int(o["end"])))
        for o in done(operations, "acquire")
    ]


def conflict(a, b):
    return a.mode != "shared" or b.mode != "shared"


def check_tokens(found):
    """Unique, and in the order of time wherever time says anything about the order."""
    owner = {}
    for hold in found:
        if hold.token in owner:
            raise Violation(f"one token, two grants: {owner[hold.token]} and {hold}")
        owner[hold.token] = hold
    answered = sorted(found, key=lambda hold: hold.begins)
    greatest, upto = None, 0  # of those answered before the present one was asked for
    for hold in sorted(found, key=lambda hold: hold.asked):
        while answered[upto].begins < hold.asked:
            if greatest is None or answered[upto].token > greatest.token:
                greatest = answered[upto]
            upto += 1
        if greatest is not None and greatest.token > hold.token:
            raise Violation(f"an older token came later: {greatest}, and only then {hold}")


def check_overlap(of_lock):
    """No two conflicting holders at once, and of two in a row the later has the greater token."""
    last = {}    # mode -> the hold whose end is latest so far
    newest = {}  # mode -> the hold with the greatest token so far
    for hold in sorted((h for h in of_lock if h.counted_on), key=lambda h: (h.begins, h.ends)):
        for other in last.values():
            if conflict(hold, other) and other.ends > hold.begins:
                raise Violation(f"two holders at once: {other} and {hold}")
        for other in newest.values():
            if conflict(hold, other) and other.token > hold.token:
                raise Violation(f"an older token was counted on later: {hold}, after {other}")
        if hold.mode not in last or last[hold.mode].ends < hold.ends:
            last[hold.mode] = hold
        if hold.mode not in newest or newest[hold.mode].token < hold.token:
            newest[hold.mode] = hold


def check_shows(of_lock, shows, released):
    """What a linearizable read may not leave out, and what it may not show any more."""
    coming = sorted((h for h in of_lock if h.counted_on), key=lambda h: h.begins)
    begins = [hold.begins for hold in coming]
    current, upto = [], 0  # (ends, index) of those that began before the present show
    for show in sorted(shows, key=lambda o: int(o["start"])):
        start, end = int(show["start"]), int(show["end"])
        listed = {int(holder["token"]) for holder in show["holders"]}
        exclusive = [h for h in show["holders"] if h["mode"] != "shared"]
        if exclusive and len(show["holders"]) > 1:
            raise Violation(f"conflicting holders are shown: {show}")
        before, upto = upto, bisect.bisect_right(begins, start)
        for index in range(before, upto):
            heapq.heappush(current, (coming[index].ends, index))
        while current and current[0][0] < start:
            heapq.heappop(current)
        for ends, index in current:
            if ends >= end and coming[index].token not in listed:
                raise Violation(f"a holder isn't shown: {coming[index]} in {show}")
        for token in listed:
            if released.get(token, end) < start:
                raise Violation(f"a hold that was released before is shown: {token} in {show}")


def check_leases(operations):
    lost = [o for o in operations if o["op"] == "leaseLost"]
    for operation in lost:
        if int(operation["end"]) < int(operation["deadline"]):
            raise Violation(f"a lease ended before its deadline: {operation}")
    ended = {operation["lease"] for operation in lost}
    for operation in operations:
        if (operation["op"] == "release" and operation.get("error") == "notHeld" and
                operation["lease"] not in ended):
            raise Violation(f"a hold was gone although its lease lived: {operation}")


def check(operations):
    """Raises Violation. Returns the holds that there were, in the order of their answers."""
    found = holds(operations)
    check_leases(operations)
    check_tokens(found)
    of_lock, shows = collections.defaultdict(list), collections.defaultdict(list)
    for hold in found:
        of_lock[hold.lock].append(hold)
    for show in done(operations, "show"):
        shows[show["lock"]].append(show)
    released = {int(o["token"]): int(o["end"]) for o in done(operations, "release")}
    for lock in of_lock.keys() | shows.keys():
        check_overlap(of_lock[lock])
        check_shows(of_lock[lock], shows[lock], released)
    return sorted(found, key=lambda hold: hold.begins)


def main(paths):
    operations = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            operations += read(file)
    try:
        found = check(operations)
    except Violation as violation:
        print(violation)
        return 1
    print(f"{len(operations)} operations, {len(found)} grants: nothing is wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
