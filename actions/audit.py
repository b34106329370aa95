"""The audit: one append-only chain of records, each hashed with the hash before it.

A record is kept as the canonical JSON text that was hashed (`sha256(prev_hash + text)`), and nothing else is: there is
no second copy to disagree with. A record is written in the transaction that writes what it tells of.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from actions.ids import canonical
from actions.models import Actor

AuditKind = Literal[
    "command", "refused", "override", "intent", "observed", "verdict", "result", "lock", "takeover", "note"
]


class AuditEntry(Struct, frozen=True, kw_only=True):
    """What is told of one command or one effect, never with a secret. `before` and `after` are what was observed.

    `late`: it was done while the journal could not be written, at `happened_at`, and came into the chain afterwards.
    """

    kind: AuditKind
    action: str = ""
    order: str = ""
    context: str = ""
    target: str = ""
    step: str = ""
    attempt: int = 0
    fence: int = 0
    actor: Actor | None = None
    reason: str = ""
    plan_hash: str = ""
    overrides: tuple[str, ...] = ()
    before: dict[str, Any] = field(default_factory=dict)
    requested: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    result: str = ""
    detail: str = ""
    undo: str = ""
    late: bool = False
    happened_at: str = ""


class AuditRecord(AuditEntry, frozen=True, kw_only=True):
    """An entry with its place in the chain."""

    seq: int
    at: str
    prev_hash: str = ""
    hash: str = ""


class AuditVerdict(Struct, frozen=True, kw_only=True):
    """What a walk of the chain found; `broken_at` is the first record that does not fit."""

    intact: bool
    records: int
    broken_at: int | None = None
    detail: str = ""


class Link(Struct, frozen=True):
    """One row of the chain as it is stored."""

    seq: int
    prev_hash: str
    hash: str
    text: str


def link(seq: int, prev_hash: str, at: str, entry: AuditEntry) -> Link:
    """`entry` as the next link after `prev_hash`."""
    told = {key: value for key, value in msgspec.to_builtins(entry).items() if value not in ("", None, 0, {}, [], ())}
    text = canonical({"seq": seq, "at": at, **told})
    return Link(seq, prev_hash, hash_of(prev_hash, text), text)


def hash_of(prev_hash: str, text: str) -> str:
    """What chains a record to the one before it."""
    return hashlib.sha256((prev_hash + text).encode()).hexdigest()


def record(found: Link) -> AuditRecord:
    """A stored link as a record; one that can not be read any more says so."""
    try:
        data = msgspec.json.decode(found.text)
        return msgspec.convert({**data, "prev_hash": found.prev_hash, "hash": found.hash}, AuditRecord)
    except (msgspec.DecodeError, TypeError):
        return AuditRecord(kind="note", seq=found.seq, at="", result="unreadable", detail=found.text[:200])


def export_line(found: Link) -> str:
    """One line of JSON. `text` is what was hashed, byte for byte: any other program can walk the chain with it."""
    return canonical({"seq": found.seq, "prev_hash": found.prev_hash, "hash": found.hash, "text": found.text})


def verify(links: Iterable[Link], head: tuple[int, str]) -> AuditVerdict:
    """Walks the chain in order. `head` is the sequence and hash that the newest record must have."""
    prev_hash, count = "", 0
    for found in links:
        count += 1
        problem = _problem(found, count, prev_hash)
        if problem:
            return AuditVerdict(intact=False, records=count, broken_at=found.seq, detail=problem)
        prev_hash = found.hash
    if (count, prev_hash) != head:
        detail = f"it ends at record {count}, and {head[0]} were written"
        return AuditVerdict(intact=False, records=count, broken_at=count + 1, detail=detail)
    return AuditVerdict(intact=True, records=count)


def _problem(found: Link, place: int, prev_hash: str) -> str:
    if found.seq != place:
        return f"record {place} is missing"
    if found.prev_hash != prev_hash:
        return "it does not follow the record before it"
    if hash_of(prev_hash, found.text) != found.hash:
        return "its text is not what was hashed"
    try:
        seq = msgspec.json.decode(found.text).get("seq")
    except (msgspec.DecodeError, AttributeError):
        return "its text is no record"
    return "" if seq == found.seq else "it was moved from another place"
