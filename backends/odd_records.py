"""JSON of which one record is not as documented: that record is mended as far as it goes, and the others are read.

A value of the wrong type is dropped (a number where text belongs becomes its text), and a record without what every
record needs gets it as `(no NAME)`: so its state is unknown, and it is named. Only what lies in a list of records is
mended; an answer whose own shape is another stays an error.
"""

import contextlib
import re
from typing import Any, TypeVar

import msgspec

from backends.errors import BackendError
from backends.http import MAX_LOOSE_BYTES, decode_json, without_nulls

T = TypeVar("T")

MAX_MENDED = 500
_AT = re.compile(r" - at `\$([^`]*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_MISSING = re.compile(r"missing required field `(\w+)`")
_EXPECTED = re.compile(r"Expected `([^`]*)`")
_EMPTY: dict[str, Any] = {"object": {}, "array": [], "float": 0.0, "bool": False}


def decode_records(body: bytes, shape: type[T], *, where: str) -> T:
    """As `decode_json`, with odd records mended. Raises BackendError(malformed)."""
    try:
        return decode_json(body, shape, where=where)
    except BackendError as refused:
        if len(body) > MAX_LOOSE_BYTES:
            raise
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found, is_whole = _mended(without_nulls(msgspec.json.decode(body)), shape)
            if is_whole:
                return found  # type: ignore[no-any-return]
        raise refused from None


def _mended(value: Any, shape: type[T]) -> tuple[Any, bool]:
    for number in range(MAX_MENDED):
        try:
            return msgspec.convert(value, shape), True
        except msgspec.ValidationError as error:
            if not _mend(value, str(error), number):
                break
    return None, False


def _mend(value: Any, words: str, number: int) -> bool:
    """One odd place of `value` made fit; False for one that lies in no record of a list."""
    found = _AT.search(words)
    steps = [name or int(index) for name, index in _STEP.findall(found[1])] if found else []
    if not any(isinstance(step, int) for step in steps) or (found and "[...]" in found[1]):
        return False
    above: Any = None
    at = value
    for step in steps:
        above, at = at, at[step]
    expected = _EXPECTED.search(words)
    kinds = expected[1].split(" | ") if expected else []
    if missing := _MISSING.search(words):
        at[missing[1]] = f"(no {missing[1]})"
    elif isinstance(steps[-1], int):  # a record, or one of a list of words, that is something else
        above[steps[-1]] = {} if "object" in kinds else str(at) if "str" in kinds else _empty(kinds, number)
    elif isinstance(at, str) and at.startswith("(no "):
        above[steps[-1]] = _empty(kinds, number)
    elif "str" in kinds and isinstance(at, int | float):
        above[steps[-1]] = str(at)
    else:
        del above[steps[-1]]
    return True


def _empty(kinds: list[str], number: int) -> Any:
    """A value of the first kind that has one; of a number, one that no system gives, another each time."""
    return next((-1 - number if kind == "int" else _EMPTY[kind] for kind in kinds if kind in {*_EMPTY, "int"}), None)
