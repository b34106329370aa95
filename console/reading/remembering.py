"""Keeps what began and what ended: in the journal where this program may write there, else beside the user's snapshots.

It hears of each snapshot, and looks at all that are new at once, in a thread. Nothing waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from actions.journal.episodes import KEPT, Book, Episode, merged, remembered
from backends.errors import BackendError
from backends.missing import missing
from console import moment
from console.ports.entry import Entry
from console.ports.store import Snapshot, SourceKey, Store
from console.ports.table import reading_of
from console.reading.turning import Turning

if TYPE_CHECKING:
    from console.reading.episode_file import EpisodeFile

SETTLE_S = 1.0
"""What follows from a snapshot for other sources has followed by then."""
WRITE_S = 5.0
KNOWN_FOR = timedelta(minutes=1)
"""So often is asked what others saw begin: who looks all the time is who sees it end."""
PENDING = 1000
AT_ONCE = 50

Write = Callable[[Sequence[Episode]], Awaitable[bool]]
Ask = Callable[[datetime, datetime], Awaitable[Book]]
Edited = Callable[[], Awaitable[Callable[[SourceKey], bool]]]


class Remembering:
    """The memory of one session, of the sources in `entries`. `write` keeps in the journal, and says whether it did;
    without it nothing is written there. `ask` reads the journal; without it that is not looked into."""

    def __init__(
        self,
        store: Store,
        entries: Mapping[str, Sequence[Entry]],
        file: Callable[[], EpisodeFile],
        *,
        ask: Ask | None = None,
        write: Write | None = None,
        edited: Edited | None = None,
    ) -> None:
        """`edited` says of which sources the config tells otherwise since it was read: what is wrong by that is
        nobody's news any more, and what is well by it neither."""
        self._edited = edited
        self._store, self._entries, self._file, self._ask, self._write = store, entries, file, ask, write
        self._began = moment.utc_now()
        self._turning = Turning(self._began)
        self._heard: set[SourceKey] = set()
        self._stir = asyncio.Event()
        self._own: list[Episode] = []
        self._pending: list[Episode] = []
        self._known_at: datetime | None = None
        self.changed: Callable[[], None] = lambda: None
        store.listen(self._hear)

    async def run(self) -> None:
        """Keep until cancelled."""
        if self._edited is not None:
            await self._edited()  # as it is now is as it was read
        while True:
            await self._stir.wait()
            await asyncio.sleep(SETTLE_S)
            try:
                if await self.look():
                    self.changed()
            except Exception as defect:  # what comes next may be kept well
                self._store.defects.happened(defect)

    async def look(self) -> bool:
        """Look at what is new; whether anything began or ended."""
        self._stir.clear()
        heard, self._heard = self._heard, set()
        if self._edited is not None:
            is_edited = await self._edited()
            heard = {key for key in heard if not is_edited(key)}
        now = moment.utc_now()
        if self._known_at is None or now - self._known_at >= KNOWN_FOR:
            self._known_at = now
            self._turning.know((await self._books(now - KEPT, now)).episodes)
        news = await asyncio.to_thread(self._news, [self._store.get(key) for key in sorted(heard)])
        if news:
            self._own = remembered(self._own, news)[-PENDING:]
            await self._keep(news)
        return bool(news)

    async def episodes(self, since: datetime, until: datetime) -> Book:
        """What was wrong at some time between the two, oldest first; what no source of this config tells of is over
        with its last sign."""
        book = await self._books(since, until)
        known = [one if one.until or self._is_read(one) else replace(one, until=one.seen_at) for one in book.episodes]
        both = merged(known, self._own)
        return replace(book, episodes=_within(both, since, until), elsewhere=_within(book.elsewhere, since, until))

    def _hear(self, snapshot: Snapshot) -> None:
        if reading_of(snapshot.key.panel) is not None:
            self._heard.add(snapshot.key)
            self._stir.set()

    def _news(self, snapshots: Sequence[Snapshot | None]) -> list[Episode]:
        now = moment.utc_now()
        return [
            episode
            for snapshot in snapshots
            if snapshot is not None
            for episode in self._turning.look(snapshot, now, sure=self._sure(snapshot))
        ]

    def _sure(self, snapshot: Snapshot) -> bool:
        """Whether all is known without which its items can not be judged."""
        reading = reading_of(snapshot.key.panel)
        beside = reading.beside if reading is not None else ()
        return all(self._is_heard(SourceKey(name, entry.name)) for name in beside for entry in self._entries[name])

    def _is_heard(self, key: SourceKey) -> bool:
        found = self._store.get(key)
        return (
            found is not None and found.error is None and found.fetched_at is not None
            and found.fetched_at >= self._began
        )  # fmt: skip

    def _is_read(self, episode: Episode) -> bool:
        panel, _, name = episode.source.partition(".")
        return any(entry.name == name for entry in self._entries.get(panel, ()))

    async def _books(self, since: datetime, until: datetime) -> Book:
        kept = await asyncio.to_thread(lambda: self._file().read())
        try:
            book = await self._ask(since, until) if self._ask is not None else Book()
        except BackendError as error:
            missing(error)
            book = Book()
        return replace(book, episodes=merged(kept.episodes, book.episodes), elsewhere=kept.elsewhere)

    async def _keep(self, news: Sequence[Episode]) -> None:
        self._pending = remembered(self._pending, news)[-PENDING:]
        with contextlib.suppress(BackendError, TimeoutError):  # then beside the snapshots
            async with asyncio.timeout(WRITE_S):
                if await self._written():
                    return
        await asyncio.to_thread(lambda: self._file().keep(news, moment.utc_now()))

    async def _written(self) -> bool:
        """Whether all is in the journal: a few at a time, so that an order comes in between. Raises BackendError."""
        while self._pending and self._write is not None:
            if not await self._write(self._pending[:AT_ONCE]):
                return False
            self._pending = self._pending[AT_ONCE:]
        return not self._pending


def _within(episodes: Sequence[Episode], since: datetime, until: datetime) -> list[Episode]:
    return [one for one in episodes if one.since <= until and (one.until is None or one.until >= since)]
