"""What was wrong, from when to when: kept so that a report after the recovery still has its incident.

Light: who only holds or merges them needs no database.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

MOST = 5000
"""So many are kept of a context: the oldest go first."""
KEPT = timedelta(days=31)
TURNED = "turned"
"""The state of what was no trouble and is told all the same: it came between `seen_at` and `until`."""
UNWATCHED = timedelta(minutes=10)
"""What is shorter is no time in which nobody looked."""


class Episode(Struct, frozen=True, kw_only=True):
    """`ref` of `source` (`alerts.am`) was in `state` from `since` to `until` (None: it is still, as far as is known).

    `state`: a health, or a word of the source for what asks for nobody. `kind`: what it is (`alert`, `run`, `quality`,
    `check`, `service`, `source`); `subject`: its name, `text`: how it began, in a line. `seen_at`: when it was last
    seen so: its end came between then and `until`.
    """

    source: str
    kind: str
    ref: str
    state: str
    subject: str
    text: str
    since: datetime
    seen_at: datetime
    until: datetime | None = None

    @property
    def thing(self) -> tuple[str, str, str]:
        """What can be open once at a time."""
        return self.source, self.ref, self.state

    @property
    def key(self) -> tuple[str, str, str, datetime]:
        """What no two rows of a context share."""
        return (*self.thing, self.since)


class Book(Struct, frozen=True, kw_only=True):
    """What is kept, oldest first; `whole_from`: what ended before then has been forgotten, where something has.
    `elsewhere`: what was kept of sources that this config reads at another place, or not at all."""

    episodes: Sequence[Episode] = ()
    whole_from: datetime | None = None
    elsewhere: Sequence[Episode] = ()


def remembered(known: Iterable[Episode], news: Iterable[Episode]) -> list[Episode]:
    """`known` with `news`, each as it is now, oldest first. Of one thing one is open at most, and none is told twice:
    an end is that of what is open; where nothing is, and none there overlaps it, it has come and gone unseen."""
    found = {episode.key: episode for episode in known}
    for new in sorted(news, key=lambda episode: (episode.until is None, episode.since)):
        mine = [old for old in found.values() if old.thing == new.thing]
        opened = [old for old in mine if old.until is None]
        if new.until is None:
            if not opened:
                found.setdefault(new.key, new)
            continue
        for old in opened:
            if old.since <= new.until:
                found[old.key] = replace(old, until=new.until, seen_at=max(old.seen_at, new.seen_at))
        if not opened and not any(old.until is None or old.until >= new.since for old in mine):
            found[new.key] = new
    return sorted(found.values(), key=lambda episode: (episode.since, episode.key))


def bounded(episodes: Sequence[Episode], now: datetime, most: int = MOST) -> list[Episode]:
    """The newest `most` of those of the last month; one that is open is no older than its last sign."""
    young = [episode for episode in episodes if (episode.until or episode.seen_at) >= now - KEPT]
    return young[-most:]


def merged(*books: Iterable[Episode]) -> list[Episode]:
    """Those of several books as one, oldest first: of one thing, those that overlap are the same."""
    found: list[Episode] = []
    newest: dict[tuple[str, str, str], int] = {}
    for episode in sorted((one for book in books for one in book), key=lambda one: (one.since, one.key)):
        place = newest.get(episode.thing)
        if place is not None and _overlap(found[place], episode):
            found[place] = _joined(found[place], episode)
        else:
            newest[episode.thing] = len(found)
            found.append(episode)
    return found


def _overlap(first: Episode, second: Episode) -> bool:
    return first.until is None or second.since <= first.until or first.key == second.key


def _joined(first: Episode, second: Episode) -> Episode:
    """Over at the first end that either book knows and that is no older than the last sign of the other: who looks once
    in a while knows it late, and would swallow what began since."""
    seen_at = max(first.seen_at, second.seen_at)
    ends = [each.until for each in (first, second) if each.until is not None and each.until >= seen_at]
    return replace(first, seen_at=seen_at, until=min(ends, default=None))
