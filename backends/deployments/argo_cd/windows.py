"""When a sync window that denies now ends: its schedule is cron, its duration that of Go.

Source: https://argo-cd.readthedocs.io/en/stable/user-guide/sync_windows/
"""

from datetime import UTC, datetime, timedelta

from backends.deployments.argo_cd.wire import Window, Windows
from backends.models import Finding
from backends.redaction import quoted
from backends.settings import Duration
from backends.times import local_words

_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
LONGEST = timedelta(days=32)


def window_findings(windows: Windows | None, now: datetime) -> list[Finding]:
    """That a window denies a sync now, with its end; nothing where none does, or nobody could ask."""
    if windows is None or windows.can_sync:
        return []
    denying = [each for each in windows.active_windows or () if each.kind == "deny"]
    fix = "wait until it has ended, or manualSync of the window"
    if denying:
        ends = [end for each in denying if (end := end_of(each, now)) is not None]
        until = f" until {local_words(max(ends), UTC)}" if ends else ""
        shown = ", ".join(f"{quoted(each.schedule, 64)} for {quoted(each.duration, 16)}" for each in denying)
        return [Finding.block("sync-window", f"a sync window denies it{until}: {shown}", fix)]
    listed = [each for each in windows.assigned_windows or () if each.kind == "allow"]
    shown = ", ".join(f"{quoted(each.schedule, 64)} for {quoted(each.duration, 16)}" for each in listed)
    return [Finding.block("sync-window", f"no sync window allows it now: {shown or 'none is told'}", fix)]


def end_of(window: Window, now: datetime) -> datetime | None:
    """When the window that holds `now` ends; None where its schedule or its duration can not be read."""
    try:
        lasts = timedelta(seconds=float(Duration.parse(window.duration)))
        fields = [_values(text, *limits) for text, limits in zip(window.schedule.split(), _FIELDS, strict=True)]
    except ValueError:
        return None
    at = now.replace(second=0, microsecond=0)
    while now - at < min(lasts, LONGEST):
        if _fires(fields, at):
            return at + lasts
        at -= timedelta(minutes=1)
    return None


def _fires(fields: list[frozenset[int]], at: datetime) -> bool:
    minute, hour, day, month, weekday = fields
    if at.minute not in minute or at.hour not in hour or at.month not in month:
        return False
    days, week = at.day in day, at.isoweekday() % 7 in {each % 7 for each in weekday}
    if len(day) < 31 and len(weekday) < 7:  # cron: where both are told, one of them is enough
        return days or week
    return days and week


def _values(text: str, low: int, high: int) -> frozenset[int]:
    """`*`, `1,2`, `1-5`, `*/15`. ValueError for anything else."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin, end = (low, high) if span == "*" else (int(first), int(last or first))
        if not low <= begin <= end <= high:
            raise ValueError(text)
        found |= set(range(begin, end + 1, int(step or 1)))
    return frozenset(found)
