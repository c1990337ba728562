"""Checks histories of what clients saw: history.py FILE... says what is wrong and exits with 1.

It knows nothing of Holdfast's code, only the lines that HISTORY.md describes, and demands:

- There is an order. What clients saw of each lock, taken together, is linearizable
  (linearizable.py); an outcome that a client doesn't know may have happened or not.
- Tokens only grow. A grant that was asked for after another one had been answered has the greater
  token; none comes twice.
- Holders never overlap in true time. A client counted on its lock from the end of its acquire to
  the start of its release, or to the last moment at which its library vouched for the hold: no
  conflicting holder may count on it then, nor afterwards with an older token.
- Reads are of the present: a lock that is shown has no holder that had released it before, and all
  that counted on it meanwhile.
- No early end. A lease that its client lost was past its deadline, and a hold that wasn't there any
  more when it was to be released had been lost with its lease.
- Nobody is overtaken. Of two that are shown in the queue, the first one gets its grant first.
- Fencing. What the locks protect admits no older token after a newer one in a conflicting mode, and
  never refuses a holder that is certain of its hold.

If a clock or a pause went beyond the drift bound (a fault with "beyondDrift"), leases may end early
and holders overlap. Then only the tokens' order and the fencing are demanded.
"""

import bisect
import collections
import dataclasses
import heapq
import json
import sys

import linearizable


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


class Later:
    """Of one lock: the grant with the smallest token among those asked for after some moment."""

    def __init__(self, of_lock):
        self._asked, self._least = [], []  # ascending in time; the least from there on
        for hold in sorted(of_lock, key=lambda hold: hold.asked, reverse=True):
            self._asked.append(hold.asked)
            self._least.append(min([hold, *self._least[-1:]], key=lambda one: one.token))
        self._asked.reverse()
        self._least.reverse()

    def least(self, moment):
        index = bisect.bisect_right(self._asked, moment)
        return self._least[index] if index < len(self._least) else None


def check_order(found, operations):
    """Who waits is granted in the order of the queue, and before whoever asks later for what can't
    be had at the same time, as far as shows tell of it."""
    asked = collections.defaultdict(list)  # (lease, lock) -> acquires that were granted
    for acquire in done(operations, "acquire"):
        asked[acquire.get("lease"), acquire["lock"]].append(acquire)
    anybody = {lock: Later(holds) for lock, holds in group(found)}
    writers = {lock: Later(holds) for lock, holds in
               group(hold for hold in found if hold.mode != "shared")}
    for show in done(operations, "show"):
        before, (start, end) = None, (int(show["start"]), int(show["end"]))
        for waiter in show.get("waiters", ()):
            # A client asks for one thing at a time: what it asked for all along is what waits.
            for one in asked[waiter["lease"], show["lock"]]:
                if int(one["start"]) > start or int(one["end"]) < end:
                    continue
                if before is not None and int(before["token"]) > int(one["token"]):
                    raise Violation(f"overtaken in the queue: {before}, by {one}, as in {show}")
                before = one
                rivals = writers if one["mode"] == "shared" else anybody
                later = rivals[show["lock"]].least(end) if show["lock"] in rivals else None
                if later is not None and later.token < int(one["token"]):
                    raise Violation(f"overtaken while it waited: {one}, by {later}; {show}")


def group(found):
    """(lock, its holds), of all locks."""
    of_lock = collections.defaultdict(list)
    for hold in found:
        of_lock[hold.lock].append(hold)
    return of_lock.items()


def check_writes(operations):
    """What the locks protect: by its own record, and by what it said to clients."""
    greatest = {}  # (lock, mode) -> token
    for write in (o for o in operations if o["op"] == "write"):
        token, mode = int(write["token"]), write["mode"]
        if "by" in write:
            if write["ok"] is not True:
                continue
            rivals = ("exclusive",) if mode == "shared" else ("exclusive", "shared")
            if any(greatest.get((write["lock"], rival), 0) > token for rival in rivals):
                raise Violation(f"an older token was admitted after a newer one: {write}")
            key = write["lock"], mode
            greatest[key] = max(token, greatest.get(key, 0))


def check_refusals(operations):
    for write in operations:
        if write["op"] == "write" and write["ok"] is False and write.get("held") is True:
            raise Violation(f"a holder that is certain of its hold was refused: {write}")


def ends_of(found, operations):
    """How the holds may have ended, for linearizable.py."""
    released, known = {}, {hold.token for hold in found}
    for o in operations:
        if o["op"] in ("release", "lost") and int(o["token"]) in known:
            returned = int(o["end"]) if o.get("ok") is True else linearizable.NEVER
            released[int(o["token"])] = linearizable.End(int(o["token"]), int(o["start"]), returned)
    return [released.get(hold.token, linearizable.End(hold.token, hold.begins)) for hold in found]


class Unheard:
    """Acquires that may have been granted without anybody having been told."""

    def __init__(self, operations):
        self._asked = collections.defaultdict(list)  # lock -> acquires that weren't answered yes
        self._opened = {o["lease"]: o["client"] for o in done(operations, "open")}
        self._killed = {o["client"]: int(o["start"]) for o in operations
                        if o["op"] == "fault" and "client" in o and o["kind"] == "kill"}
        for o in operations:
            if o["op"] == "acquire" and o["ok"] is not True:
                self._asked[o["lock"]].append(o)

    def may_hold(self, lock, lease, start, end):
        """Whether one under this lease may be there in that time; None: any lease."""
        if lease is not None:
            owner = self._opened.get(lease)
            if owner is None or owner in self._killed:
                return True  # a client of which not everything is known
        elif any(killed < end for killed in self._killed.values()):
            return True
        return any(int(o["start"]) < end and (o["ok"] is None or int(o["end"]) > start) and
                   (lease is None or o.get("lease") in (lease, None))
                   for o in self._asked[lock])


def reads_of(lock, found, operations, unheard):
    """Shows, and tries that failed, as predicates of the set of holders."""
    known = {hold.token for hold in found}
    exclusive = {hold.token for hold in found if hold.mode != "shared"}
    for o in operations:
        start, end = int(o["start"]), o["end"] and int(o["end"])
        if o["op"] == "show" and o["ok"] is True:
            for holder in o["holders"]:
                if int(holder["token"]) not in known and not unheard.may_hold(
                        lock, holder["lease"], start, end):
                    raise Violation(f"a holder that nobody asked to be is shown: {holder} in {o}")
            listed = frozenset(int(h["token"]) for h in o["holders"]) & known
            yield linearizable.Read(lambda holders, listed=listed: holders == listed, start, end, o)
        elif o["op"] == "verify" and o["ok"] is True and int(o["token"]) in known:
            yield linearizable.Read(
                lambda holders, token=int(o["token"]), valid=o["valid"]:
                (token in holders) == valid, start, end, o)
        elif o["op"] == "acquire" and o.get("try") is True and o["ok"] is False:
            # Others may have been ahead of it in the queue.
            others = any(hold.asked < end and hold.begins > start for hold in found)
            if not others and not unheard_besides(unheard, lock, o):
                rivals = exclusive if o["mode"] == "shared" else known
                yield linearizable.Read(
                    lambda holders, rivals=rivals: bool(holders & rivals), start, end, o)


def unheard_besides(unheard, lock, own):
    """Whether anybody but this failed try may have been in the way without being told."""
    others = [o for o in unheard._asked[lock] if o is not own]
    start, end = int(own["start"]), int(own["end"])
    return any(int(o["start"]) < end and (o["ok"] is None or int(o["end"]) > start)
               for o in others) or any(killed < end for killed in unheard._killed.values())


def check_linearizable(lock, found, operations, unheard):
    grants = [linearizable.Grant(h.token, "shared" if h.mode == "shared" else "exclusive", h.asked,
                                 h.begins) for h in found]
    reads = list(reads_of(lock, found, operations, unheard))
    wrong = linearizable.check(grants, ends_of(found, operations), reads)
    if wrong is not None:
        raise Violation(f"no order of events explains this: {getattr(wrong, 'what', wrong)}; "
                        f"lock {lock}")


def beyond_drift(operations):
    return any(o["op"] == "fault" and o.get("beyondDrift") for o in operations)


def by_lock(operations):
    of_lock = collections.defaultdict(list)
    for operation in operations:
        if "lock" in operation:
            of_lock[operation["lock"]].append(operation)
    return of_lock


def check(operations):
    """Raises Violation. Returns the holds that there were, in the order of their answers."""
    found = holds(operations)
    check_tokens(found)
    check_writes(operations)
    if not beyond_drift(operations):
        check_refusals(operations)
        check_leases(operations)
        check_order(found, operations)
        unheard = Unheard(operations)
        released = {int(o["token"]): int(o["end"]) for o in done(operations, "release")}
        for lock, of_lock in by_lock(operations).items():
            its_holds = holds(of_lock)
            check_overlap(its_holds)
            check_shows(its_holds, done(of_lock, "show"), released)
            check_linearizable(lock, its_holds, of_lock, unheard)
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
    only = ", by the tokens alone: a clock was beyond its bound" if beyond_drift(operations) else ""
    print(f"{len(operations)} operations, {len(found)} grants: nothing is wrong{only}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
