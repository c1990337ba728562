"""Session: a lease that is renewed in the background, and the locks held under it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from holdfast import _holdfast
from holdfast._durations import wait_ns
from holdfast._election import Election
from holdfast._errors import Error, InvalidArgument, LeaseLost, failures_about
from holdfast._events import settle_loss, settled_loss
from holdfast._lock import Grant, Lock, Mode, check_mode
from holdfast._process import ProcessBound

if TYPE_CHECKING:
    from types import TracebackType

    from holdfast._cell import Cell


class Session(ProcessBound):
    """Made by Cell.session(). Ends its lease when it is closed, or when nobody refers any more to
    it or to a lock or grant of it.
    """

    def __init__(self, cell: Cell, ttl_ms: int, lock_delay_ms: int, reason: str,
                 on_jeopardy: Callable[[float], object] | None,
                 on_lost: Callable[[Error], object] | None,
                 drop_on_disconnect: bool, lease: str, secret: str) -> None:
        super().__init__()
        self._cell = cell  # kept open as long as the session is there
        self._jeopardy_callback = on_jeopardy
        self._lost_callback = on_lost
        self._mutex = threading.Lock()
        self._lost_reason: Error | None = None
        self._over = False
        # By token: what grants' owners wait on to hear of a loss. Whoever takes one out settles it.
        self._losses: dict[int, Future[Error]] = {}
        # By token: the holds. They last until they are released or the session ends, also when
        # nobody refers to their grants any more: to lose a lock without a word is no one's wish.
        self._holds: dict[int, _holdfast.Grant] = {}
        key = cell._events.register(self)
        with failures_about():
            self._native = cell._native.open_session(ttl_ms, lock_delay_ms, reason,
                                                     drop_on_disconnect, lease, secret,
                                                     cell._events.queue, key)
        if on_jeopardy is not None or on_lost is not None:
            cell._events.start()

    @property
    def lease(self) -> str:
        """The id of the lease, as lockctl takes it."""
        self._check_process()
        return self._native.lease

    @property
    def secret(self) -> str:
        """What proves, beside the id, that the lease is one's own."""
        self._check_process()
        return self._native.secret

    @property
    def ttl(self) -> float:
        self._check_process()
        return self._native.ttl_ms / 1e3

    @property
    def alive(self) -> bool:
        """Certainly alive now, by the local deadline."""
        return self._native.alive

    @property
    def deadline(self) -> float:
        """Until when the lease is certainly alive: a reading of CLOCK_BOOTTIME."""
        self._check_process()
        return self._native.deadline

    def lock(self, name: str, mode: Mode = "exclusive", timeout: float | None = None,
             reentrant: bool = False, reason: str | None = None) -> Lock:
        """A lock object. Two of one name contend, also in one session.

        `timeout`: how long `with` and acquire() wait unless told otherwise. `reentrant`: the thread
        that holds it may acquire it again, and then releases it as often. `reason`: shown to others
        instead of the session's.
        """
        check_mode(mode)
        return self._make_lock(name, mode, timeout, reentrant, reason, capacity=0, permits=1)

    def _make_lock(self, name: str, mode: Mode, timeout: float | None, reentrant: bool,
                   reason: str | None, capacity: int, permits: int) -> Lock:
        self._check_process()
        if not self._native.alive:
            raise LeaseLost("the session is over")
        with failures_about(name):
            native = self._native.lock(name, mode, reason or "", capacity, permits)
        return Lock(self, native, name, mode, timeout, reentrant)

    def shared_lock(self, name: str, timeout: float | None = None, reentrant: bool = False,
                    reason: str | None = None) -> Lock:
        """Held by any number at once, but not together with an exclusive holder."""
        return self.lock(name, "shared", timeout, reentrant, reason)

    def semaphore(self, name: str, capacity: int, permits: int = 1, timeout: float | None = None,
                  reentrant: bool = False, reason: str | None = None) -> Lock:
        """`permits` of `capacity`, on which all who use the name at one time must agree.

        Served in order: a small request waits behind a large one.
        """
        for what, count in (("capacity", capacity), ("permits", permits)):
            if not 0 < count < 2 ** 32:
                raise InvalidArgument(f"{what} must be from 1 to {2 ** 32 - 1}, not {count}")
        return self._make_lock(name, "shared", timeout, reentrant, reason, capacity, permits)

    def election(self, name: str) -> Election:
        """A candidate in the election of that name; see Election."""
        self._check_process()
        return Election(self, name)

    def _native_election(self, name: str, value: bytes) -> _holdfast.Lock:
        if not self._native.alive:
            raise LeaseLost("the session is over")
        with failures_about(name):
            return self._native.election(name, value)

    def acquire_all(self, locks: Iterable[tuple[str, Mode] | str],
                    timeout: float | None = None) -> tuple[Grant, ...] | None:
        """All of these locks or none: names, or pairs of name and mode; up to 64.

        While it waits none is held. The grants come in the order of the locks. None: surely not
        acquired, now or later.
        """
        self._check_process()
        limit = wait_ns(timeout)
        wishes = [(wish, "exclusive") if isinstance(wish, str) else wish for wish in locks]
        for _, mode in wishes:
            check_mode(mode)
        with failures_about():
            natives = self._native.acquire_all([(name, mode, 0, 1) for name, mode in wishes], limit)
        if natives is None:
            return None
        # As in Lock: nothing is called from here on that a signal's handler could end.
        grants = tuple([Grant(self, native, wish[0]) for native, wish in zip(natives, wishes)])
        self._holds.update({grant._token: grant._native for grant in grants})
        return grants

    def renew(self) -> None:
        """Renews the lease now, as happens by itself at a third of its ttl."""
        self._check_process()
        with failures_about():
            self._native.renew()

    def close(self) -> None:
        """Ends the lease and with it every hold and wait. Twice is fine."""
        self._check_process()
        lost = not self._native.alive  # then the loss is told, if it isn't yet
        try:
            with failures_about():
                self._native.close()
        finally:
            if not lost:
                self._settle_all(None)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None,
                 traceback: TracebackType | None) -> None:
        try:
            self.close()
        except Error:
            if exc is None:  # else what the body raised matters more
                raise

    # -- losses ------------------------------------------------------------------------------------

    def _on_jeopardy(self, seconds_left: float) -> None:
        if self._jeopardy_callback is not None:
            self._jeopardy_callback(seconds_left)

    def _on_lost(self, reason: Error) -> None:
        self._settle_all(reason)
        if self._lost_callback is not None:
            self._lost_callback(reason)

    def _loss_of(self, token: int) -> Future[Error]:
        """A future that tells of the loss of the grant with this token."""
        with self._mutex:
            if self._over:
                return settled_loss(self._lost_reason)
            loss: Future[Error] = Future()
            self._losses[token] = loss
        self._cell._events.start()
        return loss

    def _move_hold(self, token: int, new_token: int) -> None:
        """An upgrade has changed the hold's token."""
        if token == new_token:
            return
        native = self._holds.pop(token, None)
        if native is not None:
            self._holds[new_token] = native
        with self._mutex:
            loss = self._losses.pop(token, None)
            if loss is not None:
                self._losses[new_token] = loss

    def _end_hold(self, token: int, lost_reason: Error | None) -> None:
        """The hold with this token was released, or found lost."""
        self._holds.pop(token, None)
        with self._mutex:
            loss = self._losses.pop(token, None)
        if loss is not None:
            settle_loss(loss, lost_reason)

    def _settle_all(self, lost_reason: Error | None) -> None:
        """The session is over: its grants were lost for this reason, or ended with it."""
        with self._mutex:
            if not self._over:
                self._over, self._lost_reason = True, lost_reason
            losses, self._losses = self._losses, {}
        for loss in losses.values():
            settle_loss(loss, lost_reason)
