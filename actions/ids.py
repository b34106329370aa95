"""Names and digests: ids, canonical JSON, hashes over it."""

import hashlib
import os
import time
from datetime import UTC, datetime
from typing import Any, overload

import msgspec

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def new_id() -> str:
    """A ULID: 48 bits of milliseconds, 80 random bits, 26 characters. It says when by the
    clock of its host, which may be wrong: what came before what only the journal says."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))


def made_at(id_: str) -> datetime | None:
    """When `new_id` made it, by the clock of its host; None for what is none of its."""
    if len(id_) != 26 or set(id_) - set(_CROCKFORD):
        return None
    milliseconds = 0
    for digit in id_[:10]:
        milliseconds = milliseconds << 5 | _CROCKFORD.index(digit)
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds < 1 << 48 else None


def canonical(value: Any) -> str:
    """The one JSON text of `value`: sorted keys, no spaces."""
    return msgspec.json.encode(value, order="sorted").decode()


def digest(value: Any, chars: int = 16) -> str:
    """The start of the SHA-256 of the canonical text of `value`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:chars]


def now() -> datetime:
    """Aware UTC."""
    return datetime.now(UTC)


def time_text(at: datetime) -> str:
    """UTC with microseconds and Z: texts of this form sort by time in every database."""
    return at.astimezone(UTC).strftime(_TIME_FORMAT)


@overload
def time_of(text: str) -> datetime: ...
@overload
def time_of(text: None) -> None: ...
@overload
def time_of(text: str | None) -> datetime | None: ...
def time_of(text: str | None) -> datetime | None:
    """The inverse of `time_text`; None stays None."""
    return None if text is None else datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=UTC)
