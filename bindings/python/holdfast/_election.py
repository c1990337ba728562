"""Election: at most one leads at a time, and says something of itself."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from holdfast import _holdfast
from holdfast._durations import wait_ns
from holdfast._errors import NotHeld, failures_about
from holdfast._lock import Grant
from holdfast._process import ProcessBound
from holdfast._values import Leader, leader
from holdfast._watch import Observer

if TYPE_CHECKING:
    from holdfast._session import Session


class Election(ProcessBound):
    """Made by Session.election(): one candidate. The grant's token is the term."""

    def __init__(self, session: Session, name: str) -> None:
        super().__init__()
        self._session = session
        self._name = name
        self._mutex = threading.Lock()
        self._waiting: set[_holdfast.Lock] = set()
        self._grant: Grant | None = None

    @property
    def name(self) -> str:
        return self._name

    def campaign(self, value: bytes = b"", timeout: float | None = None) -> Grant | Literal[False]:
        """Waits to be the leader, at most `timeout` seconds; 0 tries. Leading already, proclaims.

        False: surely not elected, now or later.
        """
        self._check_process()
        limit = wait_ns(timeout)
        leading = self._leading()
        if leading is not None:
            self.proclaim(value)
            return leading
        lock = self._session._native_election(self._name, value)
        with self._mutex:
            self._waiting.add(lock)
        try:
            with failures_about(self._name):
                native = lock.acquire(limit)
        finally:
            with self._mutex:
                self._waiting.discard(lock)
        if native is None:
            return False
        grant = Grant(self._session, native, self._name)
        self._session._holds[grant._token] = native
        self._grant = grant
        return grant

    def cancel(self) -> None:
        """Ends the campaigns that wait in other threads: they raise Cancelled."""
        self._check_process()
        with self._mutex:
            waiting = list(self._waiting)
        for lock in waiting:
            lock.cancel()

    def proclaim(self, value: bytes) -> None:
        """Says something else of the leader, this one. NotHeld: it doesn't lead."""
        self._check_process()
        grant = self._must_lead()
        with failures_about(self._name, grant._token):
            grant._native.set_value(value)

    def resign(self) -> None:
        """Leads no more. NotHeld: it doesn't lead. LockLost: it was lost meanwhile."""
        self._check_process()
        self._must_lead().release()

    def leader(self) -> Leader | None:
        """Who leads, by the cell's word; None: nobody."""
        self._check_process()
        with failures_about(self._name):
            return leader(self._session._cell._native.leader(self._name))

    def observe(self) -> Observer:
        """The leaders from now on, the present one first."""
        self._check_process()
        with failures_about(self._name):
            native = self._session._cell._native.observe(self._name)
        return Observer(self._session._cell, native)

    @property
    def leading(self) -> bool:
        """This candidate leads, for certain, by the local deadline."""
        return self._leading() is not None

    def _leading(self) -> Grant | None:
        grant = self._grant
        return grant if grant is not None and grant.held else None

    def _must_lead(self) -> Grant:
        grant = self._grant
        if grant is None or grant._count == 0:
            raise NotHeld(f"this candidate doesn't lead {self._name!r}", lock=self._name)
        return grant

    def __repr__(self) -> str:
        state = "leading" if self.leading else "not leading"
        return f"<holdfast.Election {self._name!r}, {state}>"
