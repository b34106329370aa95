"""What began to be wrong and what ended, seen by one look after the other at the same sources. No I/O."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from actions.journal.episodes import TURNED, Episode
from backends.models import severity_rank
from console.ports.record import Problem
from console.ports.store import Snapshot, SourceKey
from console.ports.table import reading_of

AT_ONCE = 200
"""So many problems of one source are kept one by one; the rest is counted."""
REMEMBERED = 2000
JUST_BEFORE = timedelta(microseconds=1)
"""What began anew was well before that: two that touch would be one."""
BLIND_S, BLIND_INTERVALS = 30.0, 2.5
"""Nobody looked where there is more between two looks than the greater of both."""


class Turning:
    """Compares each snapshot with what was wrong before it. What lies on disk from an earlier start says nothing: only
    what is read from `began` on counts."""

    def __init__(self, began: datetime) -> None:
        self._began = began
        self._open: dict[tuple[str, str, str], Episode] = {}
        self._over: dict[tuple[str, str, str, datetime | None], None] = {}
        self._failing: dict[SourceKey, datetime] = {}
        self._looked: dict[str, tuple[Sequence[Any], bool]] = {}
        self._before: dict[tuple[str, str], tuple[Any, datetime]] = {}
        """Of each item what the next read of it is held against, and when that was read."""
        self._blind: dict[tuple[str, str, str], datetime] = {}
        """Of what is open, when it was last seen before the first time in which nobody looked."""

    def know(self, episodes: Iterable[Episode]) -> None:
        """What is open by the books, so that its end is seen here, whoever saw it begin."""
        for episode in episodes:
            if episode.until is None and episode.key not in self._over and episode.thing not in self._open:
                self._open[episode.thing] = episode
                self._looked.pop(episode.source, None)  # it is news to the next look, whose items may be no news

    def look(self, snapshot: Snapshot, now: datetime, *, sure: bool) -> list[Episode]:
        """What began (no end) and what ended. `sure`: all is known by which its items are judged; an end is not seen
        else."""
        source = f"{snapshot.key.panel}.{snapshot.key.name}"
        read_at = snapshot.fetched_at
        blind = timedelta(seconds=max(BLIND_S, BLIND_INTERVALS * snapshot.interval_s))
        if snapshot.error is not None:
            self._looked.pop(source, None)
            return self._compare(source, self._lost(source, snapshot, now, blind), now, lambda _: None, timedelta.max)
        if read_at is None or read_at < self._began:
            return []
        self._failing.pop(snapshot.key, None)
        return [*self._turned(source, snapshot, read_at), *self._told(source, snapshot, read_at, blind, sure=sure)]

    def _turned(self, source: str, snapshot: Snapshot, read_at: datetime) -> list[Episode]:
        """What nobody told of, and is otherwise than at the read before."""
        reading, found = reading_of(snapshot.key.panel), list[Episode]()
        if reading is None or reading.turned is None:
            return found
        for item in snapshot.items:
            before, at = self._before.get((source, item.ref), (item, read_at))
            kept, words = reading.turned(before, item)
            self._before[source, item.ref] = kept, read_at if kept is item else at
            if words:
                found.append(
                    Episode(
                        source=source, kind=reading.single, ref=f"{item.ref}/{TURNED}", state=TURNED,
                        subject=reading.title(item), text=words, since=at, seen_at=at, until=read_at,
                    )
                )  # fmt: skip
        return found

    def _told(
        self, source: str, snapshot: Snapshot, read_at: datetime, blind: timedelta, *, sure: bool
    ) -> list[Episode]:
        """What its items say is not well, beside what was so."""
        whole = sure and not snapshot.missing
        if self._looked.get(source) == (snapshot.items, whole):
            return self._still(source, read_at, blind)
        if all(read_at >= each.seen_at for thing, each in self._open.items() if thing[0] == source):
            self._looked[source] = snapshot.items, whole
        reading = reading_of(snapshot.key.panel)
        found = _some(source, reading.problems(snapshot.items)) if reading is not None else []

        def over(episode: Episode) -> datetime | None:
            if episode.kind == "source":
                return read_at
            return reading.over(snapshot.items, episode, read_at) if whole and reading is not None else None

        return self._compare(source, found, read_at, over, blind)

    def _still(self, source: str, at: datetime, blind: timedelta) -> list[Episode]:
        """Nothing is new: what was so is so."""
        for thing, episode in self._open.items():
            if thing[0] == source:
                self._seen(episode, at, blind)
        return []

    def _seen(self, episode: Episode, at: datetime, blind: timedelta, since: datetime | None = None) -> None:
        """It is so still; in between it may have been well, where nobody looked and its source tells no `since`."""
        if at - episode.seen_at > blind and since is None:
            self._blind.setdefault(episode.thing, episode.seen_at)
        self._open[episode.thing] = replace(episode, seen_at=at)

    def _lost(self, source: str, snapshot: Snapshot, now: datetime, blind: timedelta) -> list[Problem]:
        """A source that gives no answer is lost once what it said is stale. One that was lost before, by whoever
        looked, is so still: `since` is only since when this reader has no answer."""
        since = self._failing.setdefault(snapshot.key, now)
        if snapshot.trust(now) == "ok" or snapshot.error is None:
            return []
        name = f"{snapshot.key.panel} {snapshot.key.name}"
        words = f"{name} gives no answer: {snapshot.error.message}"
        before = self._open.get((source, str(snapshot.key.name), "unknown"))
        if before is not None and since > before.seen_at:
            self._failing[snapshot.key] = since = before.since
            self._seen(before, now, blind)
        return [
            Problem(kind="source", ref=str(snapshot.key.name), state="unknown", subject=name, text=words, since=since)
        ]

    def _compare(
        self,
        source: str,
        problems: list[Problem],
        at: datetime,
        over: Callable[[Episode], datetime | None],
        blind: timedelta,
    ) -> list[Episode]:
        news: list[Episode] = []
        seen = set()
        for problem in problems:
            thing = (source, problem.ref, problem.state)
            seen.add(thing)
            before = self._open.get(thing)
            if problem.until is not None:
                news += self._past(source, problem, before, problem.until)
                continue
            if before is not None and (problem.since is None or problem.since <= before.seen_at):
                self._seen(before, at, blind, problem.since)
                continue
            if before is not None and problem.since is not None:  # it was well in between, and nobody looked
                news.append(self._end(before, problem.since - JUST_BEFORE))
            news.append(self._begin(source, problem, at))
        for thing, episode in list(self._open.items()):
            if thing[0] != source or thing in seen or at < episode.seen_at:  # what was read before it says nothing
                continue
            if (until := over(episode)) is not None:
                news.append(self._end(episode, until, told=until != at))
        return news

    def _past(self, source: str, problem: Problem, before: Episode | None, until: datetime) -> list[Episode]:
        """What is over already when it is told."""
        if before is None and (source, problem.ref, problem.state, problem.since) in self._over:
            return []
        return [self._end(before or self._begin(source, problem, until), until, told=True)]

    def _begin(self, source: str, problem: Problem, at: datetime) -> Episode:
        episode = Episode(
            source=source, kind=problem.kind, ref=problem.ref, state=problem.state, subject=problem.subject,
            text=problem.text, since=min(problem.since or at, at), seen_at=at,
        )  # fmt: skip
        if episode.key in self._over:  # it began anew, and its source says since when it was so at first
            episode = replace(episode, since=at)
        self._open[episode.thing] = episode
        return episode

    def _end(self, episode: Episode, until: datetime, *, told: bool = False) -> Episode:
        """`told`: its source says that it lasted up to then; else it ended after the last look that is sure of it."""
        del self._open[episode.thing]
        sure = self._blind.pop(episode.thing, episode.seen_at)
        self._over[episode.key] = None
        while len(self._over) > REMEMBERED:
            del self._over[next(iter(self._over))]
        return replace(episode, until=max(until, episode.since), seen_at=until if told else min(sure, until))


def _some(source: str, problems: Iterable[Problem]) -> list[Problem]:
    """The worst; of how many others there are only the number."""
    found = sorted(problems, key=lambda problem: severity_rank(problem.state))
    if len(found) <= AT_ONCE:
        return found
    rest = found[AT_ONCE:]
    more = Problem(
        kind=rest[0].kind, ref=f"{source}/more", state=rest[0].state, subject=f"more of {source}",
        text=f"{len(rest):,} more of {source}",
    )  # fmt: skip
    return [*found[:AT_ONCE], more]
