"""What has one cause, as data, with the refs of all that is in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from backends.models import Health
from panels.kinds.cause import Cause


class SuspectReport(Struct, frozen=True, kw_only=True):
    """What may have caused it: a member, or a change before it, and why, in a short sentence."""

    ref: str
    text: str
    why: str
    at: datetime | None


class CauseReport(Struct, frozen=True, kw_only=True):
    """What has one cause: `refs` are those of all `count` that are not well, `suspects` the likeliest cause first."""

    ref: str
    health: Health
    about: str
    count: int
    first_seen: datetime | None
    suspects: Sequence[SuspectReport]
    refs: Sequence[str]


def cause_reports(causes: Sequence[Cause]) -> list[CauseReport]:
    """Each as data, in their order."""
    return [
        CauseReport(
            ref=cause.ref, health=cause.health, about=cause.about, count=len(cause.members),
            first_seen=cause.first_seen, refs=[member.ref for member in cause.members],
            suspects=[
                SuspectReport(ref=each.ref, text=each.text, why=each.why, at=each.at) for each in cause.suspects
            ],
        )
        for cause in causes
    ]  # fmt: skip
