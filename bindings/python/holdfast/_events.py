"""The thread that tells Python of jeopardy and loss.

The cell's own thread never touches Python: a program that keeps the GIL for long must not hold up
renewals, nor may a callback. It leaves its news in a queue of C++, and this thread fetches it.
"""

from __future__ import annotations

import itertools
import logging
import threading
import weakref
from collections.abc import MutableMapping
from concurrent.futures import Future
from typing import Protocol

from holdfast import _holdfast
from holdfast._errors import Error, from_native

_log = logging.getLogger("holdfast")


def settle_loss(loss: Future[Error], reason: Error | None) -> None:
    """The end of a future that tells of a loss: with its reason, or cancelled where there was none.

    Called once for each; its owner may have cancelled it.
    """
    if reason is None:
        loss.cancel()
    elif loss.set_running_or_notify_cancel():
        loss.set_result(reason)


def settled_loss(reason: Error | None) -> Future[Error]:
    loss: Future[Error] = Future()
    settle_loss(loss, reason)
    return loss


class Listener(Protocol):
    """A session. Both are called on this thread."""

    def _on_jeopardy(self, seconds_left: float) -> None: ...

    def _on_lost(self, reason: Error) -> None: ...


class Events:
    """Of one cell: one slow callback holds up the others of its cell only."""

    def __init__(self) -> None:
        self.queue = _holdfast.Events()
        # Weak: callbacks alone keep no session alive.
        self._listeners: MutableMapping[int, Listener] = weakref.WeakValueDictionary()
        self._keys = itertools.count(1)
        self._mutex = threading.Lock()
        self._started = False

    def register(self, listener: Listener) -> int:
        """The key under which the queue's events are this listener's."""
        key = next(self._keys)
        self._listeners[key] = listener
        return key

    def start(self) -> None:
        """From now on listeners are told, also of what has happened already."""
        with self._mutex:
            if self._started:
                return
            self._started = True
        # A daemon: whoever forgets to close a session can still exit.
        threading.Thread(target=_tell, args=(self.queue, self._listeners), name="holdfast-events",
                         daemon=True).start()

    def close(self) -> None:
        self.queue.close()


def _tell(queue: _holdfast.Events, listeners: MutableMapping[int, Listener]) -> None:
    while (event := queue.next()) is not None:
        key, seconds_left, reason = event
        listener = listeners.get(key)
        if listener is None:
            continue
        try:
            if reason is not None:
                listener._on_lost(from_native(reason))
            elif seconds_left is not None:
                listener._on_jeopardy(seconds_left)
        except Exception:
            _log.exception("a callback of a session raised")
        del listener  # or it would live until the next event
