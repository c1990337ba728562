"""Seconds as users give them, in the library's units, or InvalidArgument."""

from __future__ import annotations

import math

from holdfast._errors import InvalidArgument

_MAX_NS = 2**62  # some 146 years: for ever
_MAX_SECONDS = 1e9


def wait_ns(timeout: float | None) -> int | None:
    """A timeout of waiting: None is for ever, 0 tries."""
    if timeout is None:
        return None
    if math.isnan(timeout) or timeout < 0:
        raise InvalidArgument(f"a timeout can't be {timeout}; it is a number of seconds, or None "
                              "for ever")
    if timeout * 1e9 >= _MAX_NS:
        return None
    # Rounded up: whoever waits for the least moment waits, and doesn't try.
    return math.ceil(timeout * 1e9)


def milliseconds(what: str, seconds: float) -> int:
    """Some other duration; what its range is, the cell knows."""
    if not abs(seconds) < _MAX_SECONDS:
        raise InvalidArgument(f"{what} can't be {seconds} seconds")
    return round(seconds * 1e3)
