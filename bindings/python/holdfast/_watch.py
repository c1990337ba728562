"""Watch: events as they happen. Observer: leaders as they come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast import _holdfast
from holdfast._durations import wait_ns
from holdfast._errors import failures_about
from holdfast._process import ProcessBound
from holdfast._values import Event, Leader, event, leader

if TYPE_CHECKING:
    from types import TracebackType

    from holdfast._cell import Cell


class Watch(ProcessBound):
    """Made by Cell.watch(). An iterator over events: each once and in order, over reconnections and
    changes of leaders, until it is closed, which another thread may do.
    """

    def __init__(self, cell: Cell, native: _holdfast.Watch) -> None:
        super().__init__()
        self._cell = cell  # kept open as long as somebody watches
        self._native = native

    @property
    def revision(self) -> int:
        """Everything through this revision has been told: go on after it with another watch."""
        self._check_process()
        return self._native.revision

    def next(self, timeout: float | None = None) -> Event | None:
        """The next event; None: none came in time, or the watch is closed.

        Compacted: this reader fell so far behind that the history doesn't reach back to it.
        """
        self._check_process()
        with failures_about():
            row = self._native.next(wait_ns(timeout))
        return None if row is None else event(row)

    def close(self) -> None:
        """Ends it; who waits for the next event gets none. Twice is fine."""
        self._check_process()
        self._native.close()

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> Event:
        found = self.next()
        if found is None:
            raise StopIteration
        return found

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()


class Observer(ProcessBound):
    """Made by Election.observe(). An iterator over leaders, the present one first; None is a
    vacancy. The same leader comes again when it proclaims another value.
    """

    def __init__(self, cell: Cell, native: _holdfast.Observer) -> None:
        super().__init__()
        self._cell = cell
        self._native = native

    def close(self) -> None:
        """Ends it, also from another thread. Twice is fine."""
        self._check_process()
        self._native.close()

    def __iter__(self) -> Observer:
        return self

    def __next__(self) -> Leader | None:
        self._check_process()
        with failures_about():
            term = self._native.next(None)
        if term is None:
            raise StopIteration
        return leader(term[0])

    def __enter__(self) -> Observer:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()
