"""What was wrong, as the timeline tells it: where it began, and where it was well again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from actions.journal.episodes import KEPT, TURNED, Book, Episode
from backends.models import Health, TimelineEvent
from backends.text import clean, counted
from console import moment
from panels.kinds.timeline_ends import over_at

_HEALTH: dict[str, Health] = {"critical": "critical", "warning": "warning", "unknown": "unknown"}
SEEN_WITHIN = timedelta(seconds=15)
"""Between two looks: what ended within it ended at the second one."""
_OVER = {"alert": "stopped firing", "source": "answers again"}


def of_episodes(book: Book, since: datetime, until: datetime) -> list[TimelineEvent]:
    """Where each began, and where it ended; what is so in several ways ends once. What was forgotten is said. Of before
    `since` only what was wrong then without a break: T0 may be there."""
    turned = [_turned(one) for one in book.episodes if one.state == TURNED]
    book = replace(book, episodes=[one for one in book.episodes if one.state != TURNED])
    begun = [_begun(several) for several in _folded(book.episodes) if several[0].since <= until]
    found = [event for event in begun if since <= event.at] + _reaching(begun, since)
    found += [_ended(stretch) for stretch in _stretches(book.episodes) if _ends_within(stretch, since, until)]
    whole_from = max(filter(None, (book.whole_from, moment.utc_now() - KEPT)))
    if since < whole_from:
        words = "what was wrong before is not known any more: a month is kept, and the newest 5,000"
        found.append(TimelineEvent(at=since, kind="unwatched", ref="episodes", text=words, until=whole_from))
    found += [event for event in turned if since <= event.at <= until]
    return found + _elsewhere(book.elsewhere, since)


def _turned(episode: Episode) -> TimelineEvent:
    return TimelineEvent(
        at=_end(episode), kind=episode.kind, ref=episode.ref, text=clean(episode.text, 500), seen_at=episode.seen_at
    )


def _elsewhere(episodes: Sequence[Episode], since: datetime) -> list[TimelineEvent]:
    """That more was kept, which may be another backend's: it is not told as this one's, and not passed over."""
    if not episodes:
        return []
    sources = ", ".join(sorted({episode.source for episode in episodes}))
    words = f"not told: {counted(len(episodes), 'trouble')} of {sources}, kept by a config that reads it elsewhere"
    at, until = max(since, min(each.since for each in episodes)), max(map(_end, episodes))
    return [TimelineEvent(at=at, kind="unwatched", ref="elsewhere", text=clean(words, 500), until=until)]


def _reaching(begun: Iterable[TimelineEvent], since: datetime) -> list[TimelineEvent]:
    """Of what began before `since`, what was wrong up to then without a moment at which all was well."""
    found: list[TimelineEvent] = []
    over = since
    for event in begun:
        if event.at >= since or event.health not in ("critical", "unknown"):
            continue
        until = over_at(event)
        if found and event.at <= over:
            found.append(event)
            over = max(over, until)
        else:
            found, over = [event], until
    return found if over >= since else []


def _begun(several: Sequence[Episode]) -> TimelineEvent:
    first = several[0]
    until = None if any(each.until is None for each in several) else max(each.until for each in several if each.until)
    return TimelineEvent(
        at=first.since, kind=first.kind, ref=first.ref, health=_HEALTH.get(first.state, "ok"), subject=first.subject,
        text=clean(first.text + (f" (×{len(several)})" if len(several) > 1 else ""), 500),
        until=until, going_on=until is None,
        seen_at=None if until is None else _last_sure(several, until),
    )  # fmt: skip


def _ended(stretch: Sequence[Episode]) -> TimelineEvent:
    last = max(stretch, key=_end)
    words = f"{last.subject} {_OVER.get(last.kind, 'is well again')}"
    return TimelineEvent(
        at=_end(last), kind=last.kind, ref=last.ref, text=clean(words, 500), subject=last.subject, over=True,
        since=stretch[0].since, seen_at=_last_sure(stretch, _end(last)),
    )  # fmt: skip


def _last_sure(stretch: Sequence[Episode], end: datetime) -> datetime | None:
    """Up to when it was seen without a break that it is not well; None where that is up to its end."""
    sure = stretch[0].since
    for each in stretch:
        if each.since > sure + SEEN_WITHIN:
            break
        sure = max(sure, each.seen_at)
    return sure if end > sure + SEEN_WITHIN else None


def _end(episode: Episode) -> datetime:
    return episode.until or episode.seen_at


def _ends_within(stretch: Sequence[Episode], since: datetime, until: datetime) -> bool:
    return all(each.until is not None for each in stretch) and since <= max(map(_end, stretch)) <= until


def _folded(episodes: Iterable[Episode]) -> list[list[Episode]]:
    """Alerts of one subject and state that overlap, as the panel folds them; all others by themselves."""
    return _together(episodes, lambda each: (each.kind, each.subject, each.state, "" if each.kind == "alert" else each))


def _stretches(episodes: Iterable[Episode]) -> list[list[Episode]]:
    """What is wrong with one subject without a break: in other words, of other sources, run after run."""
    return _together(episodes, lambda each: (each.kind, each.subject))


def _together(episodes: Iterable[Episode], by: Callable[[Episode], Hashable]) -> list[list[Episode]]:
    """Those that are the same `by` something and touch in time."""
    found: list[list[Episode]] = []
    newest: dict[Hashable, list[Episode]] = {}
    for episode in sorted(episodes, key=lambda each: each.since):
        together = newest.get(by(episode))
        if together is not None and _touches(together, episode):
            together.append(episode)
        else:
            newest[by(episode)] = [episode]
            found.append(newest[by(episode)])
    return found


def _touches(together: Sequence[Episode], episode: Episode) -> bool:
    return any(each.until is None or each.until >= episode.since for each in together)
