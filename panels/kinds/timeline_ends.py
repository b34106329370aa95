"""When it was well again: where nobody looked, by what its own source or the action that mended it says; else between
which two looks that was, and never how long it lasted."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo

from msgspec.structs import replace

from backends.models import Item, TimelineEvent
from panels.words import dated, took

CONSOLES = "consoles"
"""The ref of the times at which no console was open."""
NOT_OVER = datetime.max.replace(tzinfo=UTC)
PRESUMED = timedelta(minutes=15)
"""So long what was wrong is taken to have lasted on, where nobody saw it end."""
LOOKED_AGAIN = timedelta(seconds=30)
"""The first look of a console comes within it."""

Gap = tuple[datetime, datetime]


def gaps_of(items: Iterable[Item]) -> list[Gap]:
    """From when to when nobody looked."""
    told = (item for item in items if isinstance(item, TimelineEvent) and item.kind == "unwatched")
    return [(item.since or item.at, item.until) for item in told if item.ref == CONSOLES and item.until is not None]


def over_at(told: TimelineEvent, gaps: Iterable[Gap] = ()) -> datetime:
    """When what `told` tells of was well again, as far as is known. Where it ended while nobody looked, what went wrong
    hours later is not taken to be of the same incident."""
    if told.going_on:
        return NOT_OVER
    over = told.until or told.at + PRESUMED
    unseen = [begin for begin, end in gaps if told.at <= begin < over <= end + LOOKED_AGAIN]
    return over if told.seen_at is None else min([over, *(begin + PRESUMED for begin in unseen)])


def with_known_ends(items: Iterable[Item]) -> list[Item]:
    """`items`, each end that nobody saw at the time that is known of it from elsewhere."""
    everything = list(items)
    told = [item for item in everything if isinstance(item, TimelineEvent)]
    known = defaultdict[tuple[str, str], list[TimelineEvent]](list)
    for item in told:
        if item.mends:
            known["service", item.mends].append(item)
        elif item.measured and item.until is not None:
            known[item.kind, item.subject].append(item)
    moved: dict[tuple[str, str, datetime | None], datetime] = {}
    ends: dict[int, TimelineEvent] = {}
    for item in told:
        end = _end(item, known[item.kind, item.subject]) if item.over else None
        if end is not None:
            ends[id(item)] = end
            moved[item.kind, item.subject, item.at] = end.at
    if not ends:
        return everything
    return [_moved(ends.get(id(item), item), moved) for item in everything]


def _end(item: TimelineEvent, known: Iterable[TimelineEvent]) -> TimelineEvent | None:
    """`item` where the last spell that its source measured ended, or the first action that moved it was proven."""
    since = item.seen_at
    spells = [each for each in known if since is not None and since <= (each.until or each.at) <= item.at]
    if not spells:
        return None
    if spells[0].mends:
        return replace(item, at=min(each.at for each in spells), seen_at=None)
    last = max(spells, key=lambda each: each.until or each.at)
    same = item.seen_at is not None and last.at <= item.seen_at  # seen within it: its source said since when it fires
    began = min(item.since, last.at) if same and item.since is not None else last.at
    return replace(item, at=last.until or last.at, since=began, seen_at=None)


def _moved(item: Item, moved: dict[tuple[str, str, datetime | None], datetime]) -> Item:
    """What began, with the end that it has now."""
    if not isinstance(item, TimelineEvent) or item.over or item.measured:
        return item
    at = moved.get((item.kind, item.subject, item.until))
    return item if at is None else replace(item, until=max(at, item.at), seen_at=None)


def told_end(item: TimelineEvent, zone: tzinfo) -> str:
    """Its words with how long it lasted, or between which looks it ended or came; of anything else as they are."""
    if not item.over and (item.seen_at is None or item.going_on or item.until is not None):
        return item.text
    if item.seen_at is not None:
        return f"{item.text} between {dated(item.seen_at, zone, item.at)} and {dated(item.at, zone, item.at)}"
    return f"{item.text} after {took((item.at - item.since).total_seconds())}" if item.since is not None else item.text
