"""The audit: one append-only chain of records, each hashed with the hash before it.

A record is kept as the canonical JSON text that was hashed (`sha256(prev_hash + text)`), and nothing else is: there is
no second copy to disagree with. A record is written in the transaction that writes what it tells of.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from actions.ids import canonical
from actions.models import Actor
from backends.json_text import decode_text
from backends.times import parse_time

AuditKind = Literal[
    "command", "refused", "override", "intent", "observed", "verdict", "result", "lock", "takeover", "note"
]


NOT_BELIEVED = "not-believed"
"""The result of the note about an action that has ended, and whose edited row stands in nobody's way any more."""
SHORT_HASH = 16
"""Digits of a hash that a notice shows: 64 bits, which nobody finds a second text for."""


class AuditEntry(Struct, frozen=True, kw_only=True):
    """What is told of one command or one effect, never with a secret. `before` and `after` are what was observed.

    `plan_digest`, of the command that began an action: that of the plan that was agreed to.
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
    plan_digest: str = ""
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

    @property
    def done_at(self) -> datetime | None:
        """When that was done which it tells of; `at` is when it came into the chain. None where neither can be read."""
        return parse_time(self.happened_at) or parse_time(self.at)


class AuditVerdict(Struct, frozen=True, kw_only=True):
    """What a walk of the chain found; `broken_at` is the first record that does not fit. `head` is the newest record as
    `SEQ:HASH`; `anchored`: the chain was held against a head from outside of the journal. Without one nobody can tell
    that its end was cut off, or that it was written anew."""

    intact: bool
    records: int
    broken_at: int | None = None
    detail: str = ""
    head: str = ""
    anchored: bool = False


class Head(Struct, frozen=True):
    """A record that the chain had once: its place, and its hash or the beginning of it."""

    seq: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> "Head":
        """`SEQ:HASH`, as notices, reports and `teal audit verify` say it. Raises ValueError."""
        seq, _, found = text.strip().removeprefix("audit ").partition(":")
        if not seq.isdecimal() or len(found) < SHORT_HASH or set(found.lower()) - set("0123456789abcdef"):
            raise ValueError(f'"{text}" is no head: write SEQ:HASH, at least {SHORT_HASH} digits of the hash')
        return cls(int(seq), found.lower())

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @property
    def short(self) -> str:
        """`SEQ:HASH` with a hash that is short enough to be copied by hand."""
        return f"{self.seq}:{self.hash[:SHORT_HASH]}"


EMPTY = "there is no record: nothing was ever ordered here, or the journal was emptied or replaced"


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


def not_text(stored: object) -> str:
    """What stands for a cell that holds anything but text: it is in no chain, since it is no record."""
    return f"not text: {stored!r}"


def hash_of(prev_hash: str, text: str) -> str:
    """What chains a record to the one before it."""
    return hashlib.sha256((prev_hash + text).encode()).hexdigest()


def record(found: Link) -> AuditRecord:
    """A stored link as a record; one that can not be read any more says so."""
    try:
        data = decode_text(found.text, dict[str, Any])
        return msgspec.convert({**data, "prev_hash": found.prev_hash, "hash": found.hash}, AuditRecord)
    except (msgspec.DecodeError, TypeError):
        return AuditRecord(kind="note", seq=found.seq, at="", result="unreadable", detail=found.text[:200])


def export_line(found: Link) -> str:
    """One line of JSON. `text` is what was hashed, byte for byte: any other program can walk the chain with it."""
    return canonical({"seq": found.seq, "prev_hash": found.prev_hash, "hash": found.hash, "text": found.text})


def verify(links: Iterable[Link], head: tuple[int, str], known: Head | None = None) -> AuditVerdict:
    """Walks the chain in order. `head` is the sequence and hash that the newest record must have, `known` a record that
    somebody kept elsewhere. A chain without any record proves nothing, so it is not intact."""
    prev_hash, count = "", 0
    for found in links:
        count += 1
        problem = _problem(found, count, prev_hash) or _not_known(found, known)
        if problem:
            return AuditVerdict(intact=False, records=count, broken_at=found.seq, detail=problem)
        prev_hash = found.hash
    if (count, prev_hash) != head:
        detail = f"it ends at record {count}, and {head[0]} were written"
        return AuditVerdict(intact=False, records=count, broken_at=count + 1, detail=detail)
    end = str(Head(count, prev_hash))
    if known is not None and known.seq > count:
        detail = (
            f"record {known.seq} was written once, and is not there: the end was cut off, or this is another journal"
        )
        return AuditVerdict(intact=False, records=count, broken_at=count + 1, detail=detail, head=end)
    if count == 0:
        return AuditVerdict(intact=False, records=0, detail=EMPTY)
    return AuditVerdict(intact=True, records=count, head=end, anchored=known is not None)


def _not_known(found: Link, known: Head | None) -> str:
    if known is None or known.seq != found.seq or found.hash.startswith(known.hash):
        return ""
    return "its hash is not the one that was kept: the chain was written anew, or this is another journal"


def _problem(found: Link, place: int, prev_hash: str) -> str:
    if found.seq != place:
        return f"record {place} is missing"
    if found.prev_hash != prev_hash:
        return "it does not follow the record before it"
    if hash_of(prev_hash, found.text) != found.hash:
        return "its text is not what was hashed"
    try:
        seq = decode_text(found.text, dict[str, Any]).get("seq")
    except msgspec.DecodeError:
        return "its text is no record"
    return "" if seq == found.seq else "it was moved from another place"
