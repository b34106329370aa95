"""Who was hit by what went back: the shares of the traffic that the side had, for how long, and what it took."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from actions.ids import now, time_of
from actions.journal.rows import StoredEvent
from actions.judging.stages import moves
from actions.tally import OwnOf, no_own
from backends.ports import RequestCounts
from backends.settings import Duration
from backends.text import counted

COUNTED, FAILED, REFUSED = "requests", "failures", "refused"


def counted_data(counts: RequestCounts) -> dict[str, Any]:
    """What was counted before traffic moves, as the journal keeps it; nothing where no side counts."""
    told = {COUNTED: counts.requests, FAILED: counts.failures or None, REFUSED: counts.refused}
    return {name: known for name, known in told.items() if known is not None} if counts.requests else {}


def impact_words(history: Sequence[StoredEvent], color: str, counts: RequestCounts, own: OwnOf = no_own) -> str:
    """`GREEN had 10 % of the traffic for 60s, 25 % for 41s: 1204 requests, 31 of them failed`; empty where it
    had none. `counts` are those of now, held against what `history` says before its traffic began; one that is smaller
    now has begun anew. What the load balancer answered itself is of the side's users where that had all traffic, else
    of nobody knows whose, and said so; where nobody counts that and there was any, that is said. Whether a side counts
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
    if begun is None or color not in counts.requests:
        return had_words
    at, before = begun
    anew = counts.requests[color] < before[COUNTED][color]
    taken = _since(before[COUNTED].get(color), counts.requests.get(color), anew=anew) or 0
    failed = _since(before.get(FAILED, {}).get(color), counts.failures.get(color), anew=anew)
    itself = _since(before.get(REFUSED), counts.refused, anew=False)
    if itself and all(share == 100 for share, _ in spans):
        taken, failed, itself = taken + itself, (failed or 0) + itself, 0
    mine = own(color, at, now())
    besides = ""
    if itself:
        besides = f"; the load balancer answered {counted(itself, 'more request')} itself, with an error"
    elif counts.refused is None and mine.unnamed:
        besides = "; nobody counts those that the load balancer answered itself, with an error"
    if taken <= 0:
        return f"{had_words}{besides}"
    words = f"{had_words}: {counted(taken, 'request')}" + (" since its count began anew" if anew else "")
    if failed is not None and failed > 0:
        words += f", {min(taken, failed)} of them failed"
    elif failed is not None:  # a request whose client gave up is no failure to a load balancer
        words += ", none was counted as failed"
        words += f"; no side answered {mine.unnamed} of our own test requests" if mine.unnamed else ""
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
