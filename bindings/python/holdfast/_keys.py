"""Small keys, transactions over them, and what admins allow: Cell's calls for these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Union

from holdfast._errors import InvalidArgument, failures_about
from holdfast._process import ProcessBound

if TYPE_CHECKING:
    from holdfast import _holdfast
    from holdfast._lock import Grant
    from holdfast._session import Session

Bytes = Union[bytes, bytearray, memoryview, str]  # str: as UTF-8
Relation = Literal["==", "!=", "<", ">"]
# Of a key: its value, version, revision or create revision. ("holds", lock, "==", token) is what
# Grant.guard() gives.
Compare = Union[
    tuple[Literal["value"], str, Relation, Bytes],
    tuple[Literal["version", "revision", "create", "holds"], str, Relation, int],
]
Operation = Union[
    tuple[Literal["get", "delete"], str],
    tuple[Literal["put"], str, Bytes],
    tuple[Literal["put"], str, Bytes, "Session | str | None"],
]


@dataclass(frozen=True)
class KeyValue:
    key: str
    value: bytes
    create_revision: int  # when it came to be
    revision: int  # of its last change
    version: int  # changes since it came to be, that one included
    lease: str | None  # the key is deleted when it ends


@dataclass(frozen=True)
class TxnResult:
    """Of each operation: a put's KeyValue, a get's KeyValue or None, whether a delete deleted."""

    succeeded: bool  # the compares held: `then` was done, else `orelse`
    revision: int
    results: tuple[KeyValue | bool | None, ...]


@dataclass(frozen=True)
class Drain:
    prefix: str
    reason: str
    by: str
    since: float


class KeyCalls(ProcessBound):
    """What a Cell can do with keys."""

    _native: _holdfast.Cell

    def get(self, key: str, *, stale: bool = False, anywhere: bool = False) -> KeyValue | None:
        """The key, by the cell's word. `stale`: by whichever node's, also without a majority.
        `anywhere`: whichever node answers, but by the cell's word.
        """
        self._check_process()
        with failures_about():
            row = self._native.get(key, stale, anywhere)
        return None if row is None else _pair(row)

    def keys(self, prefix: str = "", *, stale: bool = False,
             anywhere: bool = False) -> list[KeyValue]:
        """The keys whose names begin with `prefix`, ascending."""
        self._check_process()
        with failures_about():
            return [_pair(row) for row in self._native.keys(prefix, stale, anywhere)]

    def put(self, key: str, value: Bytes, *, lease: Session | str | None = None,
            guard: Compare | Grant | None = None, sequential: bool = False) -> KeyValue:
        """Sets the key, and returns it as it is now.

        `lease`: a session, or a lease's id; the key is deleted when it ends. `guard`: it is put
        only if this compare holds, else Conflict; a grant, or its guard(), means "as long as I hold
        that lock". `sequential`: a ten-digit number is appended to the key, unique and growing
        under it.
        """
        self._check_process()
        guards = [] if guard is None else [_compare(guard)]
        operation = ("put", key, _bytes(value), _lease(lease), sequential)
        with failures_about():
            return _pair(self._native.put(guards, operation))

    def delete(self, key: str) -> bool:
        """False: there was no such key."""
        self._check_process()
        with failures_about():
            row = self._native.txn([], [("delete", key, b"", "", False)], [])
        return row[2][0] is True

    def txn(self, compare: Sequence[Compare | Grant] = (), then: Sequence[Operation] = (),
            orelse: Sequence[Operation] = ()) -> TxnResult:
        """If all compares hold, does `then`, else `orelse`, all at once.

        Compares: ("value"|"version"|"revision"|"create", key, "=="|"!="|"<"|">", operand), or a
        grant's guard(). A key that isn't there has version, revision and create 0, and no value:
        compares of its value don't hold. Operations: ("get", key), ("delete", key), ("put", key,
        value) and ("put", key, value, session), whose key goes with the session.
        """
        self._check_process()
        compares = [_compare(each) for each in compare]
        then_rows = [_operation(each) for each in then]
        orelse_rows = [_operation(each) for each in orelse]
        with failures_about():
            succeeded, revision, rows = self._native.txn(compares, then_rows, orelse_rows)
        return TxnResult(succeeded, revision, tuple(
            row if row is None or isinstance(row, bool) else _pair(row) for row in rows))

    def drain(self, prefix: str, reason: str) -> None:
        """An admin's act: no lock under the prefix is granted any more, until undrain().

        What is held stays held. Tries fail, waits and upgrades wait, those from before too. The
        reason is told to whoever asks.
        """
        self._check_process()
        with failures_about():
            self._native.drain(prefix, reason)

    def undrain(self, prefix: str) -> bool:
        """Ends a drain: those who wait are served, in their order. False: there was none."""
        self._check_process()
        with failures_about():
            return self._native.undrain(prefix)

    def drains(self) -> list[Drain]:
        self._check_process()
        with failures_about():
            return [Drain(*row) for row in self._native.drains()]


def _pair(row: _holdfast.KeyRow) -> KeyValue:
    key, value, create_revision, revision, version, lease = row
    return KeyValue(key, value, create_revision, revision, version, lease or None)


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise InvalidArgument(f"a value is bytes or str, not {type(value).__name__}")


def _lease(lease: object) -> str:
    if lease is None:
        return ""
    known = lease if isinstance(lease, str) else getattr(lease, "lease", None)
    if isinstance(known, str):
        return known
    raise InvalidArgument(f"a lease is a session or an id, not {type(lease).__name__}")


def _compare(compare: Compare | Grant) -> _holdfast.CompareRow:
    if not isinstance(compare, tuple):
        compare = compare.guard()
    try:
        target, key, relation, operand = compare
    except ValueError:
        raise InvalidArgument(f"a compare has four parts: {compare!r}") from None
    if target not in ("value", "version", "revision", "create", "holds"):
        raise InvalidArgument(f"nothing can be compared with {target!r}: that are value, version, "
                              "revision, create, and a grant's guard()")
    if relation not in ("==", "!=", "<", ">"):
        raise InvalidArgument(f"there is no relation {relation!r}: that are ==, !=, < and >")
    if target == "value":
        return target, key, relation, 0, _bytes(operand)
    if not isinstance(operand, int) or not 0 <= operand < 1 << 64:
        raise InvalidArgument(f"a {target} is compared with a whole number, not {operand!r}")
    return target, key, relation, operand, b""


def _operation(operation: Operation) -> _holdfast.OperationRow:
    parts: tuple[object, ...] = operation
    match parts:
        case ("get" | "delete" as kind, str(key)):
            return kind, key, b"", "", False
        case ("put", str(key), value):
            return "put", key, _bytes(value), "", False
        case ("put", str(key), value, lease):
            return "put", key, _bytes(value), _lease(lease), False
    raise InvalidArgument(f"{operation!r} is no operation: those are ('get', key), ('delete', key) "
                          "and ('put', key, value[, session])")
