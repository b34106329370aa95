"""Who was hit by what went back: the shares of the traffic that the side had, for how long, and what it took."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from actions.ids import now, time_of
from actions.journal.rows import StoredEvent
from actions.judging.stages import moves
from actions.tally import OwnOf, no_own
from backends.settings import Duration
from backends.text import counted

COUNTED = "requests"


def impact_words(history: Sequence[StoredEvent], color: str, counts: Mapping[str, int], own: OwnOf = no_own) -> str:
    """`GREEN had 10 % of the traffic for 60s, 25 % for 41s: 1204 requests`; empty where it had none. `counts` are the
    requests that each side has taken by now, held against what `history` says it had when its traffic began, and
    without those of the action itself."""
    spans = _spans(history, color)
    if not spans:
        return ""
    had: list[str] = []
    for share, seconds in spans:
        of = "" if had else " of the traffic"
        lasted = Duration(max(1, round(seconds)))
        had.append(f"{share} %{of} for {lasted}" if share < 100 else f"all traffic for {lasted}")
    before = _counted(history, color)
    taken = 0
    if before is not None and color in counts:
        at, had_then = before
        taken = counts[color] - had_then - own(color, at, now()).taken
    requests = f": {counted(taken, 'request')}" if taken > 0 else ""
    return f"{color.upper()} had {', '.join(had)}{requests}"


def _spans(history: Sequence[StoredEvent], color: str) -> list[tuple[int, float]]:
    """Each share that it had, in percent, and for how many seconds."""
    moved: list[tuple[int, datetime]] = []
    for line in history:
        event, at = line.event, time_of(line.at)
        if event.kind == "observed" and moves(event.step) and event.data.get("result") == "applied" and at is not None:
            moved.append((event.data["after"]["weights"].get(color, 0), at))
    ends = [at for _, at in moved[1:]] + [now()]
    return [(share, (end - at).total_seconds()) for (share, at), end in zip(moved, ends, strict=False) if share]


def _counted(history: Sequence[StoredEvent], color: str) -> tuple[datetime, int] | None:
    """What it had taken when its traffic began, and when that was."""
    found = ((time_of(line.at) or now(), line.event.data[COUNTED]) for line in history if COUNTED in line.event.data)
    return next(((at, counts[color]) for at, counts in found if color in counts), None)
