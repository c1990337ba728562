"""What the cell tells, as values. Wall times are seconds since 1970, as time.time() gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast import _holdfast


@dataclass(frozen=True)
class Owner:
    """The process behind a lease, as it described itself."""

    host: str
    pid: int
    boot_id: str
    program: str
    user: str
    reason: str
    version: str  # of its client library
    started_at: float


@dataclass(frozen=True)
class Holder:
    lease: str
    holder: int  # tells the holds of one lease apart
    mode: str
    permits: int
    token: int
    acquired_at: float
    owner: Owner


@dataclass(frozen=True)
class Waiter:
    lease: str
    holder: int
    mode: str
    permits: int
    position: int  # from 1
    waiting_since: float
    owner: Owner


@dataclass(frozen=True)
class LockInfo:
    """A lock, also a free one."""

    name: str
    kind: str  # lock, semaphore, election
    mode: str  # of the holders; empty when free
    capacity: int
    holders: tuple[Holder, ...]  # in grant order
    waiters: tuple[Waiter, ...]  # in queue order, upgrades first
    delay_remaining: float  # how long a lock-delay keeps it closed
    value: bytes | None
    revision: int


@dataclass(frozen=True)
class Event:
    """One thing that happened."""

    revision: int
    type: str  # grant, release, expire, force, queue, cancel, convert, delay, value, put, ...
    name: str  # of the lock or key; empty for a lease
    value: bytes | None
    token: int | None
    lease: str
    owner: Owner
    cause: str
    at: float
    mode: str = ""  # of a hold or wait
    permits: int = 0
    waited: float = 0.0  # a grant, conversion or cancel: seconds in the queue
    held: float = 0.0  # a hold's end: how many seconds it lasted
    note: str = ""  # what for; why it was forced, and by whom


@dataclass(frozen=True)
class Leader:
    value: bytes
    token: int
    owner: Owner


@dataclass(frozen=True)
class Blocker:
    """One who keeps somebody waiting."""

    lock: str  # where it is in the way
    kind: str  # holder, waiter, delay, drain
    lease: str
    holder: int
    mode: str
    permits: int
    token: int  # of a holder
    position: int  # of a waiter, from 1
    age: float  # held, or waiting, for so many seconds
    remaining: float  # of a delay; of a holder: until its lease ends if it isn't renewed
    owner: Owner
    seen: bool  # what keeps it waiting is told elsewhere
    blockers: tuple[Blocker, ...]  # what keeps it waiting


@dataclass(frozen=True)
class Why:
    name: str
    text: str  # all of it in words
    blockers: tuple[Blocker, ...]


@dataclass(frozen=True)
class Hold:
    lock: str
    token: int


@dataclass(frozen=True)
class LeaseInfo:
    lease: str
    ttl: float
    remaining: float  # by the leader's clock
    opened_at: float
    owner: Owner
    holds: tuple[Hold, ...]
    waits: int


@dataclass(frozen=True)
class NodeStatus:
    id: int
    name: str
    address: str
    role: str  # leader, follower, candidate, probing, learner, founding, unreachable
    pid: int
    version: str
    ballot: str  # "round.node"
    chosen: int
    applied: int
    recorded: int
    lag: int
    waiting_for: str  # while founding: whom for
    leases: int
    locks: int
    holds: int
    waiters: int
    log_bytes: int
    state_bytes: int
    clock_ppm: int | None  # faster than the leader's by so many millionths; None: not known yet
    clock_error_ppm: int  # give or take so many
    clock_trouble: str  # whose clocks run otherwise than its own
    clock_stands_back: bool  # a majority's do, so it doesn't lead


@dataclass(frozen=True)
class CellStatus:
    cell: str
    leader: int | None  # a node's id
    revision: int
    nodes: tuple[NodeStatus, ...]


# -- from the extension module's tuples ------------------------------------------------------------


def _holder(row: _holdfast.ClaimRow) -> Holder:
    lease, holder, mode, permits, token, acquired_at, owner = row
    return Holder(lease, holder, mode, permits, token, acquired_at, Owner(*owner))


def _waiter(row: _holdfast.ClaimRow) -> Waiter:
    lease, holder, mode, permits, position, waiting_since, owner = row
    return Waiter(lease, holder, mode, permits, position, waiting_since, Owner(*owner))


def lock_info(row: _holdfast.LockRow) -> LockInfo:
    name, kind, mode, capacity, holders, waiters, delay_remaining, value, revision = row
    return LockInfo(name, kind, mode, capacity, tuple(map(_holder, holders)),
                    tuple(map(_waiter, waiters)), delay_remaining, value or None, revision)


def event(row: _holdfast.EventRow) -> Event:
    (revision, kind, name, value, token, lease, owner, cause, at, mode, permits, waited, held,
     note) = row
    told = value if value or kind in ("value", "put") else None
    return Event(revision, kind, name, told, token or None, lease, Owner(*owner), cause, at, mode,
                 permits, waited, held, note)


def leader(row: _holdfast.LeaderRow | None) -> Leader | None:
    if row is None:
        return None
    value, token, owner = row
    return Leader(value, token, Owner(*owner))


def _blocker(row: _holdfast.BlockerRow) -> Blocker:
    (lock, kind, lease, holder, mode, permits, token, position, age, remaining, owner, seen,
     blockers) = row
    return Blocker(lock, kind, lease, holder, mode, permits, token, position, age, remaining,
                   Owner(*owner), seen, tuple(map(_blocker, blockers)))


def why(row: _holdfast.WhyRow) -> Why:
    name, text, blockers = row
    return Why(name, text, tuple(map(_blocker, blockers)))


def lease_info(row: _holdfast.LeaseRow) -> LeaseInfo:
    lease, ttl, remaining, opened_at, owner, holds, waits = row
    return LeaseInfo(lease, ttl, remaining, opened_at, Owner(*owner),
                     tuple(Hold(lock, token) for lock, token in holds), waits)


def cell_status(row: _holdfast.StatusRow) -> CellStatus:
    cell, revision, rows = row
    nodes = tuple(NodeStatus(*node) for node in rows)
    leader = next((node.id for node in nodes if node.role == "leader"), None)
    return CellStatus(cell, leader, revision, nodes)
