"""Where a panel's data comes from, how old it is, and what to say when it stops coming. Never imports Textual."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from backends.models import Health
from panels.columns import Cell, Line
from panels.words import Symbols, ago


class Source(Struct, frozen=True, kw_only=True):
    """One backend of a panel. `trust`: ok, warning (stale) or unknown (too old, never read); `error`: why it failed."""

    name: str
    type: str = ""
    fetched_at: datetime | None = None
    trust: Health = "ok"
    error: str = ""
    fix: str = ""
    interval_s: float = 15.0

    @property
    def lost(self) -> bool:
        """True where it no longer says anything new."""
        return bool(self.error) or (self.trust != "ok" and self.fetched_at is not None)

    def age(self, now: datetime) -> str:
        """How old its data is: `4s`, or `never`."""
        return "never read" if self.fetched_at is None else ago((now - self.fetched_at).total_seconds())


def unread_names(sources: Sequence[Source]) -> str:
    """Those that are configured and have not answered yet, nor failed; empty where all have."""
    return ", ".join(source.name for source in sources if source.fetched_at is None and not source.lost)


def age(sources: Sequence[Source], now: datetime) -> Cell:
    """The age of a panel's data: that of its oldest source, loud where one is lost."""
    if not sources:
        return Cell("not configured", "muted")
    lost = [source for source in sources if source.lost]
    if lost:
        oldest = min(lost, key=lambda source: source.fetched_at.timestamp() if source.fetched_at else 0.0)
        tone: Health = "unknown" if any(source.trust == "unknown" for source in lost) else "warning"
        return Cell(f"stale {oldest.age(now)}" if oldest.fetched_at else "no data", tone)
    read = [source.fetched_at for source in sources if source.fetched_at is not None]
    if not read:
        return Cell("reading", "muted")
    words = ago((now - min(read)).total_seconds())
    return Cell(f"{words}, reading {unread}" if (unread := unread_names(sources)) else words, "muted")


def losses(sources: Sequence[Source], now: datetime, symbols: Symbols) -> list[Line]:
    """One line for each source that is lost: which, since when, why, what to do."""
    lines = []
    for source in sources:
        if not source.lost:
            continue
        when = f"stale {source.age(now)}" if source.fetched_at else "no data"
        why = f": {source.error}" if source.error else ": no answer"
        line = [Cell(f"{symbols.unknown} {source.name} {when}{why}", "unknown")]
        lines.append([*line, Cell(f"  {symbols.arrow} {source.fix}", "muted")] if source.fix else line)
    return lines


def empty_words(words: str, sources: Sequence[Source], now: datetime) -> str:
    """What an empty panel says, with who was asked and when: `No alerts firing (1 source, 3s ago)`."""
    if not sources:
        return f"{words}: no source configured"
    read = [source for source in sources if source.fetched_at is not None]
    if unread := unread_names(sources):
        return f"Reading {unread}: nothing is known of it yet"
    if not read:
        return "Nothing is known"
    noun = "source" if len(sources) == 1 else "sources"
    oldest = min(source.fetched_at for source in read if source.fetched_at is not None)
    return f"{words} ({len(sources)} {noun}, {ago((now - oldest).total_seconds())} ago)"
