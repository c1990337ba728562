"""Objects that belong to one process: unusable in its forked children, and not to be pickled."""

from __future__ import annotations

import os
from typing import NoReturn

from holdfast._errors import Forked

_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


class ProcessBound:
    """The base of what stands for something in the cell."""

    def __init__(self) -> None:
        self._forks = _forks

    @property
    def _foreign(self) -> bool:
        """This process is a fork of the one that made the object."""
        return self._forks != _forks

    def _check_process(self) -> None:
        if self._foreign:
            raise Forked(f"this {type(self).__name__} belongs to the parent process; "
                         "connect anew after a fork")

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a holdfast.{type(self).__name__} can't be pickled or copied: it is bound "
                        "to the process that made it; hand over a token, or connect there")
