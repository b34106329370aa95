"""Records of an answer, of which one is not as documented: it does not take the others with it.

Two ways, by what is known of a record that is odd. `decode_records` leaves it out and says which it is: for what is
shown as unknown then. `decode_mended` mends it as far as it goes: a value of the wrong type is dropped (a number where
text belongs becomes its text), and a record without what every record needs gets it as `(no NAME)`, so that its state
is unknown, and it is named. Only what lies in a list of records is mended; an answer whose own shape is another stays
an error.
"""

import contextlib
import re
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from backends.errors import BackendError
from backends.http import MAX_LOOSE_BYTES, decode_json, without_nulls
from backends.json_text import decode_text

T = TypeVar("T")

MAX_MENDED = 500
_AT = re.compile(r" - at `\$([^`]*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_MISSING = re.compile(r"missing required field `(\w+)`")
_EXPECTED = re.compile(r"Expected `([^`]*)`")
_EMPTY: dict[str, Any] = {"object": {}, "array": [], "float": 0.0, "bool": False}


class Odd(Struct, frozen=True):
    """A record that is not what its system documents: which one it is, why, and as much as it is as plain data."""

    index: int
    error: BackendError
    plain: Any


def decode_records(body: bytes, shape: type[T], *, where: str) -> tuple[list[T], list[Odd]]:
    """The records of a JSON array, and those that cannot be read. Raises BackendError(malformed) for what is no array,
    and where no record can be read: then it is another system."""
    good, odd = each_record(body, shape, where=where)
    if odd and not good:
        raise odd[0].error
    return good, odd


def each_record(body: bytes, shape: type[T], *, where: str) -> tuple[list[T], list[Odd]]:
    """As `decode_records`, for one array of several: it may be odd as a whole."""
    if body == b"null":
        return [], []
    try:
        return decode_json(body, list[shape], where=where), []  # type: ignore[valid-type]  # it is made at run time
    except BackendError:
        raws = decode_json(body, list[Raw], where=where)
    good: list[T] = []
    odd: list[Odd] = []
    for index, raw in enumerate(raws):
        try:
            good.append(decode_json(bytes(raw), shape, where=f"{where}: record {index + 1} of {len(raws)}"))
        except BackendError as error:
            odd.append(Odd(index, error, decode_text(bytes(raw), object)))
    return good, odd


def text_at(plain: Any, *path: str) -> str:
    """The text that stands at `path` of an odd record; empty where there is none."""
    for key in path:
        plain = plain.get(key) if isinstance(plain, dict) else None
    return plain if isinstance(plain, str) else ""


def decode_mended(body: bytes, shape: type[T], *, where: str) -> T:
    """As `decode_json`, with odd records mended. Raises BackendError(malformed)."""
    try:
        return decode_json(body, shape, where=where)
    except BackendError as refused:
        if len(body) > MAX_LOOSE_BYTES:
            raise
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            return _mended(without_nulls(decode_text(body, object)), shape)
        raise refused from None


def _mended(value: Any, shape: type[T]) -> T:
    """Raises msgspec.ValidationError for what can not be mended."""
    for number in range(MAX_MENDED):
        try:
            return msgspec.convert(value, shape)
        except msgspec.ValidationError as error:
            if not _mend(value, str(error), number):
                raise
    raise msgspec.ValidationError("too much of it is odd")


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
