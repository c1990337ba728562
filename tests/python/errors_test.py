"""The exceptions: who is whose base, what they carry, and that they can be pickled."""

import pickle

import pytest

import holdfast
from holdfast import _errors

BASES = {
    "LockError": (holdfast.Error,),
    "LockTimeout": (holdfast.LockError, TimeoutError),
    "NotHeld": (holdfast.LockError,),
    "LockLost": (holdfast.NotHeld,),
    "AlreadyHeld": (holdfast.LockError,),
    "Deadlock": (holdfast.LockError,),
    "Cancelled": (holdfast.LockError,),
    "LockDelay": (holdfast.LockError,),
    "LeaseLost": (holdfast.Error,),
    "Fenced": (holdfast.Error,),
    "Conflict": (holdfast.Error,),
    "Compacted": (holdfast.Error,),
    "Forked": (holdfast.Error,),
    "Unavailable": (holdfast.Error, ConnectionError),
    "Timeout": (holdfast.Error, TimeoutError),
    "PermissionDenied": (holdfast.Error, PermissionError),
    "InvalidArgument": (holdfast.Error, ValueError),
    "ResourceExhausted": (holdfast.Error,),
}


@pytest.mark.parametrize("kind", BASES)
def test_an_exception_has_its_bases(kind):
    cls = getattr(holdfast, kind)
    for base in BASES[kind]:
        assert issubclass(cls, base)
    assert cls.__module__ == "holdfast"
    if holdfast.LockError not in cls.__mro__:
        assert not issubclass(cls, holdfast.LockError)


@pytest.mark.parametrize("kind", ["Error", *BASES])
def test_an_exception_survives_pickling(kind):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        error = getattr(holdfast, kind)("what happened", lock="a/b", token=7)
        copy = pickle.loads(pickle.dumps(error, protocol))
        assert type(copy) is type(error)
        assert str(copy) == "what happened" and copy.args == error.args
        assert (copy.code, copy.lock, copy.token) == (error.code, "a/b", 7)


def test_what_is_special_to_an_exception_survives_too():
    detail = [("lock", "a"), ("lease", "1f"), ("token", "7"), ("owner", "cron, pid 3 on h"),
              ("lock", "b"), ("lease", "2e"), ("token", "8"), ("owner", "")]
    error = _errors.from_native(("Deadlock", "deadlock", "a cycle", detail))
    copy = pickle.loads(pickle.dumps(error))
    assert copy.cycle == (holdfast.CycleStep("a", "1f", 7, "cron, pid 3 on h"),
                          holdfast.CycleStep("b", "2e", 8, ""))
    assert copy.lock == "a"
    delay = holdfast.LockDelay("closed", lock="a")
    delay.remaining = 2.5
    assert pickle.loads(pickle.dumps(delay)).remaining == 2.5


def test_an_error_without_a_class_of_its_own_keeps_its_code():
    error = _errors.from_native(("Error", "unsupported", "too new", []))
    assert type(error) is holdfast.Error and error.code == "unsupported"
