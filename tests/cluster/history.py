"""Checks a history of what clients saw: holders never overlap in true time, tokens only grow.

It knows nothing of Holdfast's code, only INTERFACES 9's lines. A holder counts on its lock from the
end of its acquire to the start of its release (or of the moment in which it saw the loss): in that
time no conflicting holder may count on the same lock, and of two conflicting grants the later one
has the greater token.
"""

import dataclasses
import json


@dataclasses.dataclass(frozen=True)
class Hold:
    client: str
    lock: str
    mode: str
    token: int
    begins: int  # ns of the one true clock
    ends: int


class Violation(AssertionError):
    pass


def read(lines):
    """The operations of a history, without its first line."""
    operations = [json.loads(line) for line in lines if line.strip()]
    return [operation for operation in operations if "op" in operation]


def holds(operations):
    """When each holder counted on its lock. A hold without an end lasted to the end of its client's
    own lines: a process that was killed believes nothing more."""
    last_seen = {}
    for operation in operations:
        client = operation["client"]
        last_seen[client] = max(last_seen.get(client, 0), int(operation["end"]))
    ends = {
        (operation["client"], operation["lock"], operation["token"]): int(operation["start"])
        for operation in operations
        if operation["op"] in ("release", "lost")
    }
    return [
        Hold(
            operation["client"], operation["lock"], operation["mode"], int(operation["token"]),
            int(operation["end"]),
            ends.get((operation["client"], operation["lock"], operation["token"]),
                     last_seen[operation["client"]]),
        )
        for operation in operations
        if operation["op"] == "acquire" and operation["ok"]
    ]


def check_lock(name, of_lock):
    """No overlap of conflicting holds, and tokens in the order of time; O(n log n)."""
    of_lock = sorted(of_lock, key=lambda hold: (hold.begins, hold.ends))
    seen = {}
    newest_exclusive = newest_shared = None  # the holds whose end is latest so far
    for hold in of_lock:
        if hold.token in seen:
            raise Violation(
                f"{name}: token {hold.token} was given twice: {seen[hold.token]}, {hold}")
        seen[hold.token] = hold
        against = [newest_exclusive] if hold.mode == "shared" else [newest_exclusive, newest_shared]
        for other in filter(None, against):
            if other.ends > hold.begins:
                raise Violation(f"{name}: two holders at once: {other} and {hold}")
            if other.token > hold.token:
                raise Violation(f"{name}: an older token came later: {other} before {hold}")
        if hold.mode == "shared":
            if newest_shared is None or hold.ends > newest_shared.ends:
                newest_shared = hold
        elif newest_exclusive is None or hold.ends > newest_exclusive.ends:
            newest_exclusive = hold


def check(operations):
    """Raises Violation. Returns how many holds there were, and the times at which they began."""
    found = holds(operations)
    by_lock = {}
    for hold in found:
        by_lock.setdefault(hold.lock, []).append(hold)
    for name, of_lock in by_lock.items():
        check_lock(name, of_lock)
    return sorted(hold.begins for hold in found)


def longest_gap_ms(times):
    """The longest time without a new grant."""
    return max((b - a for a, b in zip(times, times[1:])), default=0) / 1e6
