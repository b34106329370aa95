"""Who was hit by what went back: the shares of the traffic that the side had, for how long, and what it took."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from actions.ids import now, time_of
from actions.journal.rows import StoredEvent
from actions.judging.stages import moves
from actions.tally import OwnOf, no_own
from backends.settings import Duration
from backends.text import counted

COUNTED, FAILED = "requests", "failures"


def impact_words(
    history: Sequence[StoredEvent],
    color: str,
    counts: Mapping[str, int],
    own: OwnOf = no_own,
    failures: Mapping[str, int] | None = None,
) -> str:
    """`GREEN had 10 % of the traffic for 60s, 25 % for 41s: 1204 requests, 31 of them failed`; empty where it
    had none. `counts` are the requests that each side has taken by now, `failures` those of them that failed, held
    against what `history` says it had before its traffic began. Whether a side counts those of the action itself
    nobody knows: how many they are is said."""
    spans = _spans(history, color)
    if not spans:
        return ""
    had: list[str] = []
    for share, seconds in spans:
        of = "" if had else " of the traffic"
        lasted = Duration(max(1, round(seconds)))
        had.append(f"{share} %{of} for {lasted}" if share < 100 else f"all traffic for {lasted}")
    taken = _since(history, color, COUNTED, counts)
    failed = _since(history, color, FAILED, failures or {})
    if taken is not None:
        at, mine = taken[0], own(color, taken[0], now())
        if taken[1] > 0:
            words = f"{color.upper()} had {', '.join(had)}: {counted(taken[1], 'request')}"
            if failed is not None and failed[0] == at:
                words += f", {min(taken[1], max(0, failed[1]))} of them failed"
            among = f"; its own test requests may be among them: {mine.taken}"
            return words + among if 0 < mine.taken <= taken[1] else words
    return f"{color.upper()} had {', '.join(had)}"


def _spans(history: Sequence[StoredEvent], color: str) -> list[tuple[int, float]]:
    """Each share that it had, in percent, and for how many seconds."""
    moved: list[tuple[int, datetime]] = []
    for line in history:
        event, at = line.event, time_of(line.at)
        if event.kind == "observed" and moves(event.step) and event.data.get("result") == "applied" and at is not None:
            moved.append((event.data["after"]["weights"].get(color, 0), at))
    ends = [at for _, at in moved[1:]] + [now()]
    return [(share, (end - at).total_seconds()) for (share, at), end in zip(moved, ends, strict=False) if share]


def _since(
    history: Sequence[StoredEvent], color: str, what: str, counts: Mapping[str, int]
) -> tuple[datetime, int] | None:
    """When its traffic began, and how many came since; None where nobody counted then, or does now."""
    found = ((time_of(line.at) or now(), line.event.data[what]) for line in history if what in line.event.data)
    begun = next(((at, then[color]) for at, then in found if color in then), None)
    return None if begun is None or color not in counts else (begun[0], counts[color] - begun[1])
