"""Errors that services raise, in words: of a row, of a line. Never imports Textual."""

from collections.abc import Callable
from datetime import datetime

from backends.models import ErrorIssue, severity_rank
from panels.columns import Cell, Column, Kind, Moment, Tone
from panels.words import NOTHING, ago


def standing(item: ErrorIssue) -> str:
    """What is the matter with it, in a word: `new`, `regressed`, …; `new?` where nobody knows whether it is."""
    if item.is_open and item.is_new:
        return "new"
    if item.state == "unresolved":
        return "new?" if item.is_new is None and item.service else "open"
    return item.state


def says(item: ErrorIssue) -> str:
    """It in a line that needs no zone: `new in shop@2.4.1: KeyError: 'id' (app/db.py in load)`."""
    since = f" in {item.release}" if item.release else ""
    word = "new or not is unknown" if standing(item) == "new?" else standing(item)
    frame = f" ({item.frame})" if item.frame else ""
    return f"{word}{since}: {item.title}{frame}"


def facts(item: ErrorIssue, when: Callable[[datetime | None], str]) -> list[tuple[str, str]]:
    """All that is known of it, by name; `when` writes a time."""
    new = {True: f"yes, since {item.release}", False: "no", None: f"unknown: {item.reason}"}[item.is_new]
    found = [
        ("new", new),
        ("frame", item.frame),
        ("level", item.level),
        ("project", item.project),
        ("service", item.service),
        ("events", amount(item.count)),
        ("users", amount(item.users)),
        ("first seen", when(item.first_seen)),
        ("last seen", when(item.last_seen)),
        ("assigned", item.assigned or "to nobody"),
        ("source", item.backend),
        ("page", item.url or ""),
    ]
    return [(name, value) for name, value in found if value]


def amount(count: int | None) -> str:
    """With its thousands apart."""
    return NOTHING if count is None else f"{count:,}"


def _tone(item: ErrorIssue) -> Tone:
    return "" if item.health == "ok" else item.health


def _number(count: int | None) -> Cell:
    return Cell(amount(count))


def _seen(item: ErrorIssue, moment: Moment) -> Cell:
    return Cell(ago(moment.since(item.last_seen)), "muted")


ERRORS: Kind[ErrorIssue] = Kind(
    name="errors",
    columns=(
        Column(title="", cell=lambda item, moment: Cell(moment.symbols.of(item.health), _tone(item)), max_width=1),
        Column(title="STATE", cell=lambda item, _: Cell(standing(item), _tone(item)), min_width=4, max_width=10),
        Column(title="ERROR", cell=lambda item, _: Cell(item.title), min_width=12, max_width=80, flex=True),
        Column(title="EVENTS", cell=lambda item, _: _number(item.count), align="right", max_width=9),
        Column(title="USERS", cell=lambda item, _: _number(item.users), align="right", max_width=9, priority=2),
        Column(title="SEEN", cell=_seen, align="right", max_width=6),
        Column(title="RAISED IN", cell=lambda item, _: Cell(item.frame, "muted"), max_width=48, priority=4),
        Column(
            title="SERVICE", cell=lambda item, _: Cell(item.service or item.project, "muted"), max_width=20, priority=3
        ),
        Column(title="ASSIGNED", cell=lambda item, _: Cell(item.assigned, "muted"), max_width=16, priority=5),
    ),
    key=lambda item: item.ref,
    health=lambda item: item.health,
    sort_key=lambda item: (severity_rank(item.health), -(item.count or 0), item.ref),
    counted=lambda item: ((standing(item), _tone(item)),),
    count_order=("new", "regressed", "escalating", "unknown", "new?"),
    reason=lambda item: item.reason if item.health == "unknown" else "",
    text=lambda item: f"{item.title} {item.frame} {item.service} {item.project} {item.assigned}",
    fields=lambda item: {
        "state": standing(item), "service": item.service, "project": item.project, "level": item.level,
        "source": item.backend,
    },
    empty="No open errors",
)  # fmt: skip
