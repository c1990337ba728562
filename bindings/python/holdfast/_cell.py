"""Cell: the connection to a cell, and what can be seen through it."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from holdfast import _holdfast
from holdfast._durations import milliseconds
from holdfast._errors import Error, InvalidArgument, failures_about
from holdfast._events import Events
from holdfast._fence import checked_token
from holdfast._keys import KeyCalls
from holdfast._session import Session
from holdfast._values import (
    CellStatus,
    Event,
    LeaseInfo,
    LockInfo,
    Why,
    cell_status,
    event,
    lease_info,
    lock_info,
    why,
)
from holdfast._watch import Watch

if TYPE_CHECKING:
    from types import TracebackType

_MAX_PROGRAM_BYTES = 256  # of an owner's field


def connect(endpoints: str | Iterable[str] | None = None, *, timeout: float = 5.0) -> Cell:
    """A connection to the cell at these endpoints: "host:7421,host:7422" or a list of such.

    None: $HOLDFAST_ENDPOINTS, then the user's socket, /run/holdfast/holdfast.sock and
    127.0.0.1:7420. Doesn't wait for the cell: the first request does, for `timeout` seconds at
    most, like every request but a waiting acquire.
    """
    if endpoints is None:
        return Cell([], timeout)
    if isinstance(endpoints, str):
        endpoints = endpoints.split(",")
    addresses = [address for each in endpoints if (address := each.strip())]
    if not addresses:
        raise InvalidArgument("no endpoint was given; for the defaults, give None")
    return Cell(addresses, timeout)


class Cell(KeyCalls):
    """Finds and follows the leader, reconnects, retries. Make one and share it among threads."""

    def __init__(self, endpoints: list[str], timeout: float) -> None:
        super().__init__()
        self._closed = True  # nothing to close yet
        timeout_ms = milliseconds("a timeout", timeout)
        with failures_about():
            self._native = _holdfast.Cell(endpoints, timeout_ms, _program())
        self._events = Events()
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self._closed = False
        _open_cells.add(self)

    def session(self, ttl: float = 10.0, lock_delay: float = 0.0, reason: str | None = None,
                on_jeopardy: Callable[[float], object] | None = None,
                on_lost: Callable[[Error], object] | None = None,
                drop_on_disconnect: bool = False, secret: str | None = None,
                lease: str | None = None) -> Session:
        """Opens a lease that is renewed in the background until the session is closed or lost.

        `on_jeopardy(seconds_left)`: the renewal is overdue. `on_lost(reason)`: the lease is lost,
        and every lock under it; called once. Both are called on a thread of the cell's.

        `drop_on_disconnect`: the lease ends 1.5 s after the connection, if the session hasn't come
        back by then; it is renewed twice a second for that.

        `lease` and `secret`, of a session of before: adopts that lease instead of opening one. It
        keeps its ttl, lock-delay and drop_on_disconnect, and what is held under it: to acquire such
        a lock, alone and in the mode held, takes up the hold, with a new token. Whoever had the
        lease loses it; this returns when that one can't believe in it any more, after what was left
        of the lease, at most its ttl. PermissionDenied: it has another secret.
        """
        self._check_process()
        session = Session(self, milliseconds("a ttl", ttl),
                          milliseconds("a lock-delay", lock_delay), reason or "", on_jeopardy,
                          on_lost, drop_on_disconnect, lease or "", secret or "")
        self._sessions.add(session)
        return session

    def locks(self, prefix: str = "") -> list[LockInfo]:
        """The locks whose names begin with `prefix` that are held or waited for."""
        self._check_process()
        with failures_about():
            return [lock_info(row) for row in self._native.locks(prefix)]

    def leases(self) -> list[LeaseInfo]:
        self._check_process()
        with failures_about():
            return [lease_info(row) for row in self._native.leases()]

    def describe(self, name: str) -> LockInfo:
        """One lock, also a free one."""
        self._check_process()
        with failures_about(name):
            return lock_info(self._native.describe(name))

    def verify(self, name: str, token: int) -> bool:
        """That token holds that lock now, by the cell's word."""
        self._check_process()
        with failures_about(name, token):
            return self._native.verify(name, checked_token(token))

    def force_release(self, name: str, token: int, reason: str) -> None:
        """An admin's act: ends the hold with that token, whosever it is; recorded with the reason.

        NotHeld: the token doesn't hold the lock (any more). Its holder doesn't hear of it, and may
        go on writing: what it writes to must refuse old tokens.
        """
        self._check_process()
        with failures_about(name, token):
            self._native.force_release(name, checked_token(token), reason)

    def watch(self, prefix: str = "", from_revision: int | None = None) -> Watch:
        """The events of locks and keys whose names begin with `prefix`, as they happen.

        From `from_revision` on, inclusive; None: from now on. "": of all, and of leases as well.
        """
        self._check_process()
        with failures_about():
            return Watch(self, self._native.watch(prefix, from_revision))

    def history(self, name: str | None = None,
                since: int | timedelta | None = None) -> list[Event]:
        """What happened, oldest first: to one lock or key, or to all.

        `since`: a revision, inclusive, or how long ago. Compacted: it lies before the beginning of
        what is kept.
        """
        self._check_process()
        after, max_age_ms = 0, 0
        if isinstance(since, timedelta):
            max_age_ms = milliseconds("an age", since.total_seconds())
        elif since is not None:
            after = max(since - 1, 0)
        with failures_about(name):
            return [event(row) for row in self._native.history(name or "", after, max_age_ms)]

    def why(self, name: str) -> Why:
        """Who is in the way of who would want this lock now, and who is in their way."""
        self._check_process()
        with failures_about(name):
            return why(self._native.why(name))

    def status(self) -> CellStatus:
        """Asks every node; the role of one that doesn't answer is "unreachable"."""
        self._check_process()
        with failures_about():
            return cell_status(self._native.status())

    def close(self) -> None:
        """Closes all sessions and the connection. Twice is fine."""
        self._check_process()
        self._closed = True
        alive = [session for session in self._sessions if session.alive]
        with failures_about():
            self._native.close()
        for session in alive:
            session._settle_all(None)
        self._events.close()

    def __enter__(self) -> Cell:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if exc is None or not self._foreign:
            self.close()

    def __del__(self) -> None:
        if not self._closed and not self._foreign:
            self.close()


def _program() -> str:
    """What listings shall show: the script's name; empty: the process's."""
    name = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""
    if name.startswith("-") or not name.isprintable():  # python3 -c, or a name that is no UTF-8
        return ""
    return name.encode()[:_MAX_PROGRAM_BYTES].decode(errors="ignore")


_open_cells: weakref.WeakSet[Cell] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Others can have the locks at once, and no thread of ours outlives the interpreter."""
    for cell in list(_open_cells):
        if not cell._foreign:
            cell.close()
