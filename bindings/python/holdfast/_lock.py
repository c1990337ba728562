"""Lock: a name to be acquired. Grant: one hold of it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Literal, get_args

from holdfast import _holdfast
from holdfast._durations import wait_ns
from holdfast._errors import (
    Error,
    InvalidArgument,
    LockLost,
    LockTimeout,
    NotHeld,
    failures_about,
)
from holdfast._events import settled_loss
from holdfast._process import ProcessBound
from holdfast._values import LockInfo, lock_info

if TYPE_CHECKING:
    from types import TracebackType

    from holdfast._session import Session

Mode = Literal["exclusive", "shared", "null", "concurrent-read", "concurrent-write",
               "protected-read", "protected-write"]


def check_mode(mode: str) -> None:
    if mode not in get_args(Mode):
        known = ", ".join(get_args(Mode))
        raise InvalidArgument(f"there is no mode {mode!r}: the modes are {known}")


class Grant(ProcessBound):
    """One hold. Always true. Lasts until it is released or lost, or its session ends."""

    def __init__(self, session: Session, native: _holdfast.Grant, lock: str) -> None:
        super().__init__()
        self._session = session
        self._native = native
        self._lock = lock
        self._token = native.token
        self._agent = _holdfast.this_agent()
        self._mutex = threading.Lock()
        self._count = 1  # how often it was acquired; 0: released
        self._loss: Future[Error] | None = None
        self._lost_reason: Error | None = None  # as the release told it

    @property
    def lock(self) -> str:
        """The lock's name."""
        self._check_process()
        return self._lock

    @property
    def token(self) -> int:
        """The fencing token: greater than that of any conflicting grant before."""
        self._check_process()
        return self._token

    @property
    def mode(self) -> str:
        self._check_process()
        return self._native.mode

    @property
    def held(self) -> bool:
        """Certainly held now, by the local deadline."""
        return self._count > 0 and self._native.held

    @property
    def deadline(self) -> float:
        """Until when it is certainly held, unless renewed: a reading of CLOCK_BOOTTIME."""
        self._check_process()
        return self._native.deadline

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; 0 if it isn't held."""
        self._check_process()
        return self._native.remaining if self._count > 0 else 0.0

    @property
    def lost(self) -> Future[Error]:
        """Completes with the reason, an exception object, on loss; is cancelled by a release."""
        self._check_process()
        with self._mutex:
            if self._loss is None and self._count > 0:
                self._loss = self._session._loss_of(self._token)
            elif self._loss is None:
                self._loss = settled_loss(self._lost_reason)
            return self._loss

    def guard(self) -> tuple[Literal["holds"], str, Literal["=="], int]:
        """A compare for Cell.txn() and Cell.put(): this hold is still the cell's word."""
        return "holds", self._lock, "==", self.token

    def release(self) -> None:
        """Gives the hold back. NotHeld: it was before. LockLost: it was lost meanwhile."""
        self._check_process()
        if self._leave():
            self._give_back()

    def convert(self, mode: Mode, timeout: float | None = None) -> bool:
        """Gives the hold another mode in place.

        To a weaker one at once, and the token stays. To any other as soon as nobody else's hold is
        in the way, ahead of all who wait, and with a new token. False: the time is up, and the hold
        is as it was. Deadlock, at once: another holder waits for an upgrade as well.
        """
        self._check_process()
        check_mode(mode)
        with failures_about(self._lock, self._token):
            converted = self._native.convert(mode, wait_ns(timeout))
        self._session._move_hold(self._token, self._native.token)
        self._token = self._native.token
        return converted

    def upgrade(self, timeout: float | None = None) -> bool:
        """To exclusive; see convert()."""
        return self.convert("exclusive", timeout)

    def downgrade(self) -> None:
        """To shared; see convert()."""
        self.convert("shared")

    def __enter__(self) -> Grant:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None,
                 traceback: TracebackType | None) -> None:
        _leave_body(self, exc)

    def __repr__(self) -> str:
        state = "held" if self.held else "over"
        return f"<holdfast.Grant of {self._lock!r} with token {self._token}, {state}>"

    # -- counting ----------------------------------------------------------------------------------

    def _enter_again(self) -> bool:
        """Counts one acquire more by the thread that holds it; False: it isn't held by this one."""
        if self._agent != _holdfast.this_agent():
            return False
        with self._mutex:
            if self._count == 0 or not self._native.held:
                return False
            self._count += 1
            return True

    def _leave(self) -> bool:
        """Counts one acquire less; True: it was the last, and the hold is to be given back."""
        with self._mutex:
            if self._count == 0:
                raise NotHeld(f"{self._lock!r} was released already", lock=self._lock,
                              token=self._token)
            self._count -= 1
            last = self._count == 0
        if not last and not self._native.held:
            raise LockLost(f"{self._lock!r} was lost", lock=self._lock, token=self._token)
        return last

    def _give_back(self) -> None:
        try:
            with failures_about(self._lock, self._token):
                self._native.release()
        except LockLost as lost:
            # Perhaps the hold alone was, of which nobody has told us; the session may live.
            self._lost_reason = lost
            raise
        finally:
            self._session._end_hold(self._token, self._lost_reason)


class Lock(ProcessBound):
    """Made by Session.lock(). Shared by threads, it admits them one at a time."""

    def __init__(self, session: Session, native: _holdfast.Lock, name: str, mode: Mode,
                 timeout: float | None, reentrant: bool) -> None:
        super().__init__()
        wait_ns(timeout)
        self._session = session
        self._native = native
        self._name = name
        self._mode: Mode = mode
        self._timeout = timeout
        self._reentrant = reentrant
        self._mutex = threading.Lock()
        self._grant: Grant | None = None  # the newest that came through this object
        # What `with` statements got, and which thread's they are.
        self._entered: list[tuple[int, Grant]] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def mode(self) -> Mode:
        return self._mode

    # -- acquiring ---------------------------------------------------------------------------------

    def acquire(self, blocking: bool = True,
                timeout: float | None = None) -> Grant | Literal[False]:
        """Waits for the lock: for ever, or `timeout` seconds, or as long as the object says.

        False: surely not acquired, now or later. A timeout of 0 tries, as blocking=False does:
        it never enters the queue.
        """
        self._check_process()
        if blocking:
            limit = wait_ns(self._timeout if timeout is None else timeout)
        elif timeout is None:
            limit = 0
        else:
            raise InvalidArgument("a timeout means waiting, which blocking=False excludes")
        return self._acquire(limit) or False

    def try_acquire(self) -> Grant | Literal[False]:
        return self.acquire(blocking=False)

    def cancel(self) -> None:
        """Ends the waits that are under way in other threads: they raise Cancelled."""
        self._check_process()
        with failures_about(self._name):
            self._native.cancel()

    def __enter__(self) -> Grant:
        self._check_process()
        grant = self._acquire(wait_ns(self._timeout))
        if grant is None:
            raise LockTimeout(f"{self._name!r} was not acquired within {self._timeout} s",
                              lock=self._name)
        self._entered.append((_holdfast.this_agent(), grant))
        return grant

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None,
                 traceback: TracebackType | None) -> None:
        # Not simply the newest grant: the body may have released its own, and another thread may
        # hold one by now.
        _leave_body(self._pop_entered(), exc)

    def _acquire(self, limit_ns: int | None) -> Grant | None:
        if self._reentrant:
            held = self._grant
            if held is not None and held._enter_again():
                return held
        with failures_about(self._name):
            native = self._native.acquire(limit_ns)
        if native is None:
            return None
        # An exception of a signal's handler drops the grant, and so releases it, until ...
        grant = Grant(self._session, native, self._name)
        # ... here: signals are looked for at calls, of which there is none in between.
        self._session._holds[grant._token] = native
        self._grant = grant
        return grant

    def _pop_entered(self) -> Grant:
        agent = _holdfast.this_agent()
        with self._mutex:
            mine = [i for i, (entered_by, _) in enumerate(self._entered) if entered_by == agent]
            # A generator's `with` may be left by another thread than entered it.
            return self._entered.pop(mine[-1] if mine else -1)[1]

    # -- holding -----------------------------------------------------------------------------------

    def release(self, missing_ok: bool = False) -> None:
        """Gives back this object's hold. NotHeld: there is none. LockLost: it was lost."""
        self._check_process()
        try:
            self._current().release()
        except NotHeld:
            if not missing_ok:
                raise

    def upgrade(self, timeout: float | None = None) -> bool:
        """Makes this object's shared hold exclusive, ahead of all who wait; its token changes.

        False: the time is up, and the shared hold is as it was. Deadlock, at once: another holder
        waits for an upgrade as well. NotHeld: there is no hold.
        """
        self._check_process()
        return self._current().upgrade(timeout)

    def downgrade(self) -> None:
        """Makes this object's hold shared, at once; its token stays. NotHeld: there is no hold."""
        self._check_process()
        self._current().downgrade()

    @property
    def held(self) -> bool:
        """This object has a grant that is certainly good now."""
        grant = self._grant
        return grant is not None and grant.held

    @property
    def token(self) -> int:
        """Of this object's grant. NotHeld: it has none."""
        self._check_process()
        return self._current().token

    @property
    def deadline(self) -> float:
        """Of this object's grant: a reading of CLOCK_BOOTTIME. NotHeld: it has none."""
        self._check_process()
        return self._current().deadline

    def locked(self) -> bool:
        """Somebody holds it, by the cell's word."""
        return bool(self.info().holders)

    def info(self) -> LockInfo:
        """Holders and waiters, by the cell's word."""
        self._check_process()
        with failures_about(self._name):
            return lock_info(self._native.info())

    def __repr__(self) -> str:
        state = "held" if self.held else "not held"
        return f"<holdfast.Lock {self._name!r}, {self._mode}, {state}>"

    def _current(self) -> Grant:
        grant = self._grant
        if grant is None or grant._count == 0:
            raise NotHeld(f"{self._name!r} is not held through this object", lock=self._name)
        return grant


def _leave_body(grant: Grant, raised: BaseException | None) -> None:
    """Releases a grant at the end of a `with` body that ended with `raised`."""
    try:
        grant.release()
    except LockLost:
        if raised is None:  # else what the body raised matters more
            raise
    except NotHeld:
        pass  # the body released it, or closed the session
    except Error:
        if raised is None:
            raise
