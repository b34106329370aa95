"""Who was hit by what went back: the shares of the traffic that the side had, for how long, and what it took."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from actions.ids import now, time_of
from actions.journal.rows import StoredEvent
from actions.judging.stages import moves
from actions.tally import OwnOf, no_own
from backends.settings import Duration
from backends.text import counted

COUNTED, FAILED, REFUSED = "requests", "failures", "refused"


def impact_words(
    history: Sequence[StoredEvent],
    color: str,
    counts: Mapping[str, int],
    own: OwnOf = no_own,
    failures: Mapping[str, int] | None = None,
    refused: int | None = None,
    *,
    uncounted: bool = False,
) -> str:
    """`GREEN had 10 % of the traffic for 60s, 25 % for 41s: 1204 requests, 31 of them failed`; empty where it
    had none. `counts` are the requests that each side has taken by now, `failures` those of them that failed, held
    against what `history` says it had before its traffic began; one that is smaller now has begun anew. `refused`: the
    errors by now that the load balancer answered itself: of the side's users where that had all traffic, else of
    nobody knows whose, and said so; where they are `uncounted` and there were any, that is said. Whether a side counts
    those of the action itself nobody knows: how many they are is said."""
    spans = _spans(history, color)
    if not spans:
        return ""
    had: list[str] = []
    for share, seconds in spans:
        of = "" if had else " of the traffic"
        lasted = Duration(max(1, round(seconds)))
        had.append(f"{share} %{of} for {lasted}" if share < 100 else f"all traffic for {lasted}")
    had_words = f"{color.upper()} had {', '.join(had)}"
    begun = _begun(history, color)
    if begun is None or color not in counts:
        return had_words
    at, before = begun
    anew = counts[color] < before[COUNTED][color]
    taken = _since(before[COUNTED].get(color), counts.get(color), anew=anew) or 0
    failed = _since(before.get(FAILED, {}).get(color), (failures or {}).get(color), anew=anew)
    itself = _since(before.get(REFUSED), refused, anew=False)
    if itself and all(share == 100 for share, _ in spans):
        taken, failed, itself = taken + itself, (failed or 0) + itself, 0
    mine = own(color, at, now())
    besides = ""
    if itself:
        besides = f"; the load balancer answered {counted(itself, 'more request')} itself, with an error"
    elif uncounted and mine.unnamed:
        besides = "; nobody counts those that the load balancer answered itself, with an error"
    if taken <= 0:
        return f"{had_words}{besides}"
    words = f"{had_words}: {counted(taken, 'request')}" + (" since its count began anew" if anew else "")
    if failed is not None:
        words += f", {min(taken, max(0, failed))} of them failed"
    among = f"; its own test requests may be among them: {mine.taken}" if 0 < mine.taken <= taken else ""
    return f"{words}{besides}{among}"


def _spans(history: Sequence[StoredEvent], color: str) -> list[tuple[int, float]]:
    """Each share that it had, in percent, and for how many seconds."""
    moved: list[tuple[int, datetime]] = []
    for line in history:
        event, at = line.event, time_of(line.at)
        if event.kind == "observed" and moves(event.step) and event.data.get("result") == "applied" and at is not None:
            moved.append((event.data["after"]["weights"].get(color, 0), at))
    ends = [at for _, at in moved[1:]] + [now()]
    return [(share, (end - at).total_seconds()) for (share, at), end in zip(moved, ends, strict=False) if share]


def _begun(history: Sequence[StoredEvent], color: str) -> tuple[datetime, dict[str, Any]] | None:
    """When its traffic began, and what was counted then; None where nobody counted it."""
    counting = (line for line in history if color in line.event.data.get(COUNTED, {}))
    return next(((time_of(line.at) or now(), line.event.data) for line in counting), None)


def _since(before: int | None, by_now: int | None, *, anew: bool) -> int | None:
    """How many came since; all there are where the count began `anew`. None where it was not known then, or is not
    now."""
    if before is None or by_now is None:
        return None
    return by_now if anew or by_now < before else by_now - before
