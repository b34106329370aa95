"""Records of an answer read one by one, so that one that is odd does not take the others with it."""

from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from backends.errors import BackendError
from backends.http import decode_json

T = TypeVar("T")


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
        return decode_json(body, list[shape], where=where), []  # type: ignore[valid-type]
    except BackendError:
        raws = decode_json(body, list[Raw], where=where)
    good: list[T] = []
    odd: list[Odd] = []
    for index, raw in enumerate(raws):
        try:
            good.append(decode_json(bytes(raw), shape, where=f"{where}: record {index + 1} of {len(raws)}"))
        except BackendError as error:
            odd.append(Odd(index, error, msgspec.json.decode(raw)))
    return good, odd


def text_at(plain: Any, *path: str) -> str:
    """The text that stands at `path` of an odd record; empty where there is none."""
    for key in path:
        plain = plain.get(key) if isinstance(plain, dict) else None
    return plain if isinstance(plain, str) else ""
