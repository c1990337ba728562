"""Fences: what a resource puts in front of its writes, so that a former holder's come too late."""

from __future__ import annotations

import os
import sqlite3
import threading

from holdfast import _holdfast
from holdfast._errors import Fenced, InvalidArgument
from holdfast._lock import Mode, check_mode

_MAX_TOKEN = 2 ** 63 - 1  # what SQLite keeps as an integer


def checked_token(token: int) -> int:
    if not 0 < token <= _MAX_TOKEN:
        raise InvalidArgument(f"{token} is no token: it is the number that came with the grant")
    return token


def _check(lock: str, token: int, mode: str, seen: dict[str, int]) -> None:
    """`seen`: of this lock, by mode, the greatest token that was admitted."""
    for other, greatest in seen.items():
        if greatest > token and not _holdfast.go_together(mode, other):
            raise Fenced(f"token {token} of {lock!r} comes after {greatest}: a newer holder was "
                         "here", lock=lock, token=token)


class Fence:
    """Remembers, of each lock and mode, the greatest token that it has admitted.

    In memory: it forgets when the process ends. A resource that outlives its process keeps its
    marks beside its data, as SqliteFence does. Shared holders pass in any order; an exclusive one
    fences all before it. Usable from several threads.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._admitted: dict[str, dict[str, int]] = {}

    def admit(self, lock: str, token: int, mode: Mode = "exclusive") -> None:
        """Fenced: a newer holder, whose mode doesn't go together with this one, was seen."""
        checked_token(token)
        check_mode(mode)
        with self._mutex:
            seen = self._admitted.setdefault(lock, {})
            _check(lock, token, mode, seen)
            seen[mode] = max(token, seen.get(mode, 0))


class SqliteFence:
    """The same, in a table of an SQLite database.

    With a connection, admit() is a part of the transaction that the caller has open or begins: the
    mark and the write that it guards become durable together, or neither does. With a path, it has
    a connection of its own and commits each mark before admit() returns.
    """

    def __init__(self, database: str | os.PathLike[str] | sqlite3.Connection) -> None:
        self._own = not isinstance(database, sqlite3.Connection)
        if isinstance(database, sqlite3.Connection):
            self._connection = database
        else:
            # Its transactions are begun by hand.
            self._connection = sqlite3.connect(database, isolation_level=None,
                                               check_same_thread=False)
            self._connection.execute("PRAGMA synchronous=FULL")
        self._mutex = threading.Lock()
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS holdfast_fence (lock TEXT NOT NULL, mode TEXT NOT NULL, "
            "token INTEGER NOT NULL, PRIMARY KEY (lock, mode)) WITHOUT ROWID")

    def admit(self, lock: str, token: int, mode: Mode = "exclusive") -> None:
        """Fenced: a newer holder, whose mode doesn't go together with this one, was seen."""
        checked_token(token)
        check_mode(mode)
        with self._mutex:
            if not self._connection.in_transaction:
                # Two writers must not both look before either marks.
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._mark(lock, token, mode)
            except BaseException:
                if self._own:
                    self._connection.execute("ROLLBACK")
                raise
            if self._own:
                self._connection.execute("COMMIT")

    def close(self) -> None:
        """Closes its own connection; a caller's stays open."""
        if self._own:
            self._connection.close()

    def _mark(self, lock: str, token: int, mode: str) -> None:
        seen = dict(self._connection.execute(
            "SELECT mode, token FROM holdfast_fence WHERE lock = ?", (lock,)))
        _check(lock, token, mode, seen)
        if token > seen.get(mode, 0):
            self._connection.execute("INSERT OR REPLACE INTO holdfast_fence VALUES (?, ?, ?)",
                                     (lock, mode, token))
