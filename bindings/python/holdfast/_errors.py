"""The exceptions. Every one can be pickled: what it says lies in args and in plain attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast import _holdfast


class Error(Exception):
    """Whatever Holdfast raises. `code` is the error's name in RPC, C++ and JSON."""

    code: str = "internal"
    lock: str | None
    token: int | None

    def __init__(self, message: str = "", *, code: str | None = None, lock: str | None = None,
                 token: int | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.lock = lock
        self.token = token


class LockError(Error):
    """About one lock: `lock` is its name, `token` the grant's where there was one."""


class LockTimeout(LockError, TimeoutError):
    """The lock was not acquired in time, and will not be later."""

    code = "timeout"


class NotHeld(LockError):
    """The lock is not held through this object."""

    code = "notHeld"


class LockLost(NotHeld):
    """The hold ended before it was released: its lease did, or somebody ended it."""


class AlreadyHeld(LockError):
    """This thread holds the lock through this very object, which is not reentrant."""

    code = "alreadyHeld"


@dataclass(frozen=True)
class CycleStep:
    """A wait: for `lock`, which `lease` holds with `token`, or waits for ahead (token 0)."""

    lock: str
    lease: str
    token: int
    owner: str = ""  # the process behind the lease, in words


class Deadlock(LockError):
    """The wait could never have ended. `cycle`: who would have waited for whom."""

    code = "deadlock"
    cycle: tuple[CycleStep, ...] = ()


class Cancelled(LockError):
    """The wait was ended by cancel()."""

    code = "cancelled"


class LockDelay(LockError):
    """The lock stays closed for `remaining` seconds after its last holder was lost."""

    code = "lockDelay"
    remaining: float = 0.0


class LeaseLost(Error):
    """The session is over: its lease ended, its local deadline passed, or it was closed."""

    code = "leaseNotFound"


class Fenced(Error):
    """A write came with a token that is older than one seen before."""

    code = "fenced"


class Conflict(Error):
    """A guard did not hold."""

    code = "conflict"


class Compacted(Error):
    """That far back, history is gone."""

    code = "compacted"


class Forked(Error):
    """The object belongs to the parent process."""

    code = "forked"


class Unavailable(Error, ConnectionError):
    """No majority or no leader answered in time. What became of a change is unknown."""

    code = "unavailable"


class Timeout(Error, TimeoutError):
    """A leader was reached, but it did not answer in time."""

    code = "timeout"


class PermissionDenied(Error, PermissionError):
    """The caller may not do this, or did not say who it is."""

    code = "permissionDenied"


class InvalidArgument(Error, ValueError):
    """A name or a value is out of range."""

    code = "invalidArgument"


class ResourceExhausted(Error):
    """A limit was reached; the message names it and its value."""

    code = "resourceExhausted"


def _cycle(detail: Sequence[tuple[str, str]]) -> tuple[CycleStep, ...]:
    """Four entries a step, in this order."""
    columns = ([value for name, value in detail if name == wanted]
               for wanted in ("lock", "lease", "token", "owner"))
    return tuple(CycleStep(lock, lease, int(token), owner)
                 for lock, lease, token, owner in zip(*columns))


def from_native(failure: _holdfast.FailureArgs, lock: str | None = None,
                token: int | None = None) -> Error:
    """The exception for what the extension module tells of a failure."""
    kind, code, message, detail = failure
    if lock is None:
        lock = next((value for name, value in detail if name == "lock"), None)
    if kind == "Cancelled" and lock is None:
        kind = "Unavailable"  # a request under which the connection was closed
    error: Error = globals()[kind](message, code=code, lock=lock, token=token)
    if isinstance(error, Deadlock):
        error.cycle = _cycle(detail)
    return error


class failures_about:
    """Turns the extension module's failures in its body into exceptions about this lock."""

    __slots__ = ("_lock", "_token")

    def __init__(self, lock: str | None = None, token: int | None = None) -> None:
        self._lock = lock
        self._token = token

    def __enter__(self) -> None:
        pass

    def __exit__(self, exc_type: object, exc: BaseException | None, traceback: object) -> None:
        if isinstance(exc, _holdfast.Failure):
            raise from_native(exc.args, self._lock, self._token) from None
