"""Fenced, TTL-bound locks from a Holdfast cell.

    import holdfast

    cell = holdfast.connect()                     # $HOLDFAST_ENDPOINTS, then the defaults
    with cell.session(ttl=10.0) as session:       # a lease, renewed in the background
        with session.lock("billing/ledger", timeout=5) as grant:
            storage.put(key, value, token=grant.token)

A grant is held for certain until its `deadline`, a reading of CLOCK_BOOTTIME, and past it the
library says that it is lost, with or without a network. Nothing closes the gap between checking and
acting: hand the token to what you write to. Durations are seconds. All objects may be used from
several threads; none may be used in a process forked from the one that made it.
"""

import sys

try:
    from holdfast import _holdfast
except ImportError as error:
    raise ImportError(f"{sys.executable} can't load holdfast's extension module, which is built "
                      f"for Debian's /usr/bin/python3: {error}") from error

from holdfast._cell import Cell, connect
from holdfast._election import Election
from holdfast._errors import (
    AlreadyHeld,
    Cancelled,
    Compacted,
    Conflict,
    CycleStep,
    Deadlock,
    Error,
    Fenced,
    Forked,
    InvalidArgument,
    LeaseLost,
    LockDelay,
    LockError,
    LockLost,
    LockTimeout,
    NotHeld,
    PermissionDenied,
    ResourceExhausted,
    Timeout,
    Unavailable,
)
from holdfast._fence import Fence, SqliteFence
from holdfast._keys import Drain, KeyValue, TxnResult
from holdfast._lock import Grant, Lock
from holdfast._session import Session
from holdfast._values import (
    Blocker,
    CellStatus,
    Event,
    Hold,
    Holder,
    Leader,
    LeaseInfo,
    LockInfo,
    NodeStatus,
    Owner,
    Waiter,
    Why,
)
from holdfast._watch import Observer, Watch

__version__ = _holdfast.version

__all__ = [
    "AlreadyHeld", "Blocker", "Cancelled", "Cell", "CellStatus", "Compacted", "Conflict",
    "CycleStep", "Deadlock", "Drain", "Election", "Error", "Event", "Fence", "Fenced", "Forked",
    "Grant", "Hold", "Holder", "InvalidArgument", "KeyValue", "Leader", "LeaseInfo", "LeaseLost",
    "Lock", "LockDelay", "LockError", "LockInfo", "LockLost", "LockTimeout", "NodeStatus",
    "NotHeld", "Observer", "Owner", "PermissionDenied", "ResourceExhausted", "Session",
    "SqliteFence", "Timeout", "TxnResult", "Unavailable", "Waiter", "Watch", "Why", "connect",
]

# People see holdfast.Lock, in messages and in help, not where it happens to be written.
for _name in __all__:
    globals()[_name].__module__ = __name__
del _name
