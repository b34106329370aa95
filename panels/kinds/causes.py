"""Causes as rows: one for all that has one cause, or that and each of its members below it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from backends.models import Item
from backends.text import counted
from panels.columns import Cell, Column, Counted, Kind, Moment, Tone, tone_of
from panels.kinds.cause import Cause, Member, Suspect, worst_first
from panels.words import ago

_LOUD: tuple[Tone, ...] = ("critical", "unknown", "warning")


class CauseRow(Struct, frozen=True):
    """A cause, or one of what is told of it: a change before it, or a member, at its place among them from 1."""

    cause: Cause
    told: Member | Suspect | None = None
    place: int = 0

    @property
    def health(self) -> str:
        """Of a change that is nothing ill in itself it is ok."""
        if self.told is None:
            return self.cause.health
        return self.told.health if isinstance(self.told, Member) else "ok"


def fold(causes: Sequence[Cause]) -> list[CauseRow]:
    """One row for each."""
    return [CauseRow(cause) for cause in causes]


def apart(causes: Sequence[Cause]) -> list[CauseRow]:
    """Each with all that is told of it below it; one that is alone says so in its own row."""
    return [
        row for cause in causes for row in ([CauseRow(cause)] + (told_of([cause]) if len(cause.members) > 1 else []))
    ]


def told_of(causes: Sequence[Cause]) -> list[CauseRow]:
    """What was changed before, then every member."""
    found: list[CauseRow] = []
    for cause in causes:
        told: list[Member | Suspect] = [*cause.events, *cause.members]
        found += [CauseRow(cause, each, place) for place, each in enumerate(told, 1)]
    return found


def words_of(counts: dict[str, int]) -> str:
    """`12 alerts, 4 runs`."""
    return ", ".join(counted(number, kind) for kind, number in counts.items())


def _tone(row: CauseRow) -> Tone:
    return tone_of(row.health, _LOUD, "muted")


def _symbol(row: CauseRow, moment: Moment) -> Cell:
    if isinstance(row.told, Suspect):
        return Cell(moment.symbols.arrow[:1], "strong")
    item = row.told.item if row.told is not None else None
    word = "acknowledged" if getattr(item, "state", "") == "acknowledged" and row.health == "ok" else row.health
    return Cell(moment.symbols.of(word), _tone(row))


def _what(row: CauseRow, moment: Moment, indent: str) -> Cell:
    told = row.told or row.cause.likely
    text = told.text if moment.symbols.arrow == "→" else told.text.replace("→", moment.symbols.arrow)
    if row.told is None:
        return Cell(text, "strong" if row.health == "critical" else "")
    return Cell(indent + text, "" if row.health != "ok" or isinstance(told, Suspect) else "muted")


def _times(row: CauseRow, moment: Moment) -> Cell:
    if row.told is not None or len(row.cause.members) == 1:
        return Cell("")
    return Cell(f"{'x' if moment.symbols.arrow.isascii() else '×'}{len(row.cause.members):,}", "strong")


def _about(row: CauseRow, _: Moment) -> Cell:
    if isinstance(row.told, Suspect):
        return Cell("before", "muted")
    if row.told is not None:
        return Cell(row.told.kind, "muted")
    told_already = row.cause.likely.text.startswith(row.cause.about)
    return Cell("" if told_already else row.cause.about, "muted")


def _when(row: CauseRow, moment: Moment) -> Cell:
    told = row.told
    at = row.cause.first_seen if told is None else told.since if isinstance(told, Member) else told.at
    return Cell(ago(moment.since(at)) if at is not None else "", "muted")


def why(row: CauseRow) -> str:
    """Of a cause, why it is taken for one, and of what it is made; of what is told of it, only of the likeliest."""
    cause, told = row.cause, row.told
    if told is None:
        return (
            ""
            if len(cause.members) == 1 and not cause.likely.is_event
            else (f"{cause.likely.why}; {words_of(cause.counts)}")
        )
    suspect = next((each for each in cause.suspects[:3] if each.ref == told.ref), None)
    return "" if suspect is None or len(cause.members) == 1 else _ranked(suspect, cause)


def _ranked(suspect: Suspect, cause: Cause) -> str:
    return f"{'the likely cause' if suspect is cause.likely else 'possible'}: {suspect.why}"


def _counted(row: CauseRow) -> tuple[Counted, ...]:
    return ((row.health, _tone(row)),) if row.told is None else ()


def _item(row: CauseRow) -> Item | Any:
    return row.cause if row.told is None else row.told.item


def _kind(name: str, *, alone: bool) -> Kind[CauseRow]:
    """The rows of all causes, or, `alone`, what is told of one."""
    what = partial(_what, indent="" if alone else "  ")
    return Kind(
        name=name,
        columns=(
            Column(title="", cell=_symbol, max_width=1),
            Column(title="WHAT" if alone else "LIKELY CAUSE", cell=what, min_width=24, max_width=200, flex=True),
            Column(title="", cell=_times, max_width=7, align="right", when=_is_folded),
            Column(title="KIND" if alone else "ABOUT", cell=_about, min_width=6, max_width=20, priority=2),
            Column(title="FIRST", cell=_when, min_width=4, max_width=5, align="right"),
        ),
        key=lambda row: f"{row.cause.ref}\0{row.told.ref if row.told is not None else ''}",
        health=lambda row: row.health,
        sort_key=lambda row: (worst_first(row.cause), row.place),
        counted=_counted,
        count_order=("critical", "unknown", "warning"),
        reason=why,
        text=lambda row: _text(row, alone=alone),
        fields=lambda row: {
            "state": row.health, "about": row.cause.about, "kind": getattr(row.told, "kind", "cause"),
        },
        fold=told_of if alone else fold,
        apart=None if alone else apart,
        item=_item,
        amount=lambda row: len(row.cause.members) if row.told is None else 1,
        empty="Nothing is wrong",
        none="nothing wrong",
    )  # fmt: skip


def _is_folded(rows: Sequence[CauseRow]) -> bool:
    return any(row.told is None for row in rows)


def _text(row: CauseRow, *, alone: bool) -> str:
    """What a filter looks in: a folded row has all of its members."""
    if row.told is not None or alone:
        return row.told.text if row.told is not None else ""
    told = [row.cause.likely.text, *(member.text for member in row.cause.members), row.cause.about]
    return " ".join(told)


CAUSES = _kind("causes", alone=False)
MEMBERS = _kind("members", alone=True)
