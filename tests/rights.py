"""The modes of files bind whoever runs the tests: root, who may read and write everything, is bound as an owner is."""

import contextlib
import ctypes
from collections.abc import Iterator

_VERSION_3 = 0x20080522
_PAST_MODES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, capabilities(7)


class _Head(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Half(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


_LIBC = ctypes.CDLL(None, use_errno=True)


def _call(function: str, halves: ctypes.Array[_Half]) -> None:
    if getattr(_LIBC, function)(ctypes.byref(_Head(_VERSION_3, 0)), halves) != 0:
        raise OSError(ctypes.get_errno(), function)


@contextlib.contextmanager
def bound_by_modes() -> Iterator[None]:
    """This thread, and those that it begins meanwhile."""
    halves = (_Half * 2)()
    _call("capget", halves)
    before = halves[0].effective
    halves[0].effective = before & ~_PAST_MODES
    _call("capset", halves)
    try:
        yield
    finally:
        halves[0].effective = before
        _call("capset", halves)
