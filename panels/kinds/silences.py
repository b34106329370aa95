"""Silences as rows: those that end soon first, then what else hides alerts, what hides nothing, what has ended."""

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from backends.models import Silence
from panels.columns import Cell, Column, Kind, Moment, Tone
from panels.words import NOTHING, ago, took

SOON = timedelta(minutes=15)
Standing = Literal["unknown", "ends soon", "active", "hides nothing", "pending", "ended"]

_ORDER: tuple[Standing, ...] = ("unknown", "ends soon", "active", "hides nothing", "pending", "ended")
_TONES: dict[Standing, Tone] = {"unknown": "unknown", "ends soon": "warning", "active": ""}
_SYMBOLS: dict[Standing, str] = {"unknown": "unknown", "ends soon": "warning", "active": "silenced"}


class SilenceRow(Struct, frozen=True, kw_only=True):
    """A silence, how it stands, and whether it is one of those that are to be ordered about together."""

    silence: Silence
    standing: Standing
    ticked: bool = False


def standing(silence: Silence, now: datetime) -> Standing:
    """What there is to be known of a silence at first sight."""
    ends = silence.ends_at
    if silence.state == "expired" or (ends is not None and ends <= now):
        return "ended"
    if silence.state == "unknown":
        return "unknown"
    if silence.state == "pending":
        return "pending"
    if not silence.matches:
        return "hides nothing"
    return "ends soon" if ends is not None and ends - now <= SOON else "active"


def matchers_of(silence: Silence) -> str:
    """What it matches, on one line."""
    return " ".join(str(matcher) for matcher in silence.matchers)


def hidden_words(silence: Silence) -> str:
    """`hides 3 alerts`, `hides nothing`."""
    if not silence.matches:
        return "hides nothing"
    return "hides 1 alert" if silence.matches == 1 else f"hides {silence.matches} alerts"


def when_words(silence: Silence, now: datetime) -> str:
    """`12m30s left`, `ended 5m ago`, `begins in 2h00m`; of one without an end, a dash."""
    if standing(silence, now) == "pending" and silence.starts_at is not None:
        return f"begins in {took(max(0.0, (silence.starts_at - now).total_seconds()))}"
    if silence.ends_at is None:
        return NOTHING
    left = (silence.ends_at - now).total_seconds()
    return f"{took(left)} left" if left > 0 else f"ended {ago(-left)} ago"


def _symbol(row: SilenceRow, moment: Moment) -> Cell:
    return Cell(moment.symbols.of(_SYMBOLS.get(row.standing, "skipped")), _tone(row))


def _tone(row: SilenceRow) -> Tone:
    return _TONES.get(row.standing, "muted")


def _tick(row: SilenceRow, _: Moment) -> Cell:
    return Cell("[x]" if row.ticked else "[ ]", "strong" if row.ticked else "muted")


def _matches(row: SilenceRow, _: Moment) -> Cell:
    return Cell(matchers_of(row.silence), "muted" if _tone(row) == "muted" else "")


def _by(row: SilenceRow, _: Moment) -> Cell:
    return Cell(row.silence.created_by or NOTHING, "muted")


def _kind(row: SilenceRow) -> str:
    return "ack" if row.silence.is_ack else "silence"


def _when(row: SilenceRow, moment: Moment) -> Cell:
    return Cell(when_words(row.silence, moment.now), _tone(row))


def _hides(row: SilenceRow, _: Moment) -> Cell:
    if row.standing in ("ended", "pending"):
        return Cell(NOTHING, "muted")
    return Cell(hidden_words(row.silence), "muted" if row.standing == "hides nothing" else "strong")


def _sort_key(row: SilenceRow) -> tuple[int, float, str]:
    ends = row.silence.ends_at.timestamp() if row.silence.ends_at else float("inf")
    return _ORDER.index(row.standing), -ends if row.standing == "ended" else ends, row.silence.ref


SILENCES: Kind[SilenceRow] = Kind(
    name="silences",
    columns=(
        Column(title="", cell=_symbol, max_width=1),
        Column(title="", cell=_tick, max_width=3, when=lambda rows: any(row.ticked for row in rows)),
        Column(title="MATCHES", cell=_matches, min_width=16, max_width=120, flex=True),
        Column(title="HIDES", cell=_hides, max_width=20),
        Column(title="ENDS", cell=_when, min_width=8, max_width=20, align="right"),
        Column(title="BY", cell=_by, max_width=24, priority=1),
        Column(title="KIND", cell=lambda row, _: Cell(_kind(row), "muted"), max_width=7, priority=2),
    ),
    key=lambda row: row.silence.ref,
    health=lambda row: {"unknown": "unknown", "ends soon": "warning"}.get(row.standing, "ok"),
    sort_key=_sort_key,
    reason=lambda row: row.silence.comment,
    counted=lambda row: ((row.standing, _tone(row)),),
    count_order=_ORDER,
    text=lambda row: f"{matchers_of(row.silence)} {row.silence.created_by} {row.silence.comment} {row.standing}",
    fields=lambda row: {
        "state": row.standing, "by": row.silence.created_by, "source": row.silence.backend,
        "kind": _kind(row),
    },
    item=lambda row: row.silence,
)  # fmt: skip
