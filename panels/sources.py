"""Where a panel's data comes from, how old it is, and what to say when it stops coming. Never imports Textual."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from backends.models import Health
from panels.columns import Cell, Line
from panels.words import Symbols, ago


class Source(Struct, frozen=True, kw_only=True):
    """One backend of a panel. `trust`: ok, warning (stale) or unknown (too old, never read); `error`: why it failed,
    or why a part of its answer is missing (`partial`)."""

    name: str
    type: str = ""
    fetched_at: datetime | None = None
    trust: Health = "ok"
    error: str = ""
    fix: str = ""
    interval_s: float = 15.0
    partial: bool = False

    @property
    def lost(self) -> bool:
        """True where it no longer says anything new: what was well when it was last seen is not known to be so."""
        failed = bool(self.error) and not self.partial
        return failed or (self.trust != "ok" and self.fetched_at is not None)

    @property
    def incomplete(self) -> bool:
        """True where not all can be known of what it should tell."""
        return self.lost or self.partial

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
    if any(source.partial for source in sources):
        return Cell(f"{words}, a part is missing", "unknown")
    return Cell(f"{words}, reading {unread}" if (unread := unread_names(sources)) else words, "muted")


def losses(sources: Sequence[Source], now: datetime, symbols: Symbols) -> list[Line]:
    """One line for each source that is lost: which, since when, why, what to do."""
    lines = []
    for source in sources:
        if not source.incomplete:
            continue
        when = (
            "a part is missing" if not source.lost else f"stale {source.age(now)}" if source.fetched_at else "no data"
        )
        why = f": {source.error}" if source.error else ": no newer answer"
        line = [Cell(f"{symbols.unknown} {source.name} {when}{why}", "unknown")]
        lines.append([*line, Cell(f"  {symbols.arrow} {source.fix}", "muted")] if source.fix else line)
    return lines


def empty_words(words: str, sources: Sequence[Source], now: datetime, none: str = "none") -> str:
    """What an empty panel says, with who was asked and when: `No alerts firing (2 sources, 3s ago)`. Where a source is
    lost, that nobody knows: `Unknown: last seen 14s ago, none firing then`, of which `none` is the end."""
    if not sources:
        return f"{words}: no source configured"
    read = [source for source in sources if source.fetched_at is not None]
    if unread := unread_names(sources):
        return f"Reading {unread}: nothing is known of it yet"
    if not read:
        return "Nothing is known"
    if lost := [source for source in sources if source.lost]:
        return f"Unknown: {_last_seen(lost, len(sources), now, none)}"
    if any(source.partial for source in sources):
        return f"Unknown: a part is missing; {none} in the rest"
    asked = f"{len(sources)} sources, " if len(sources) > 1 else ""
    oldest = min(source.fetched_at for source in read if source.fetched_at is not None)
    return f"{words} ({asked}{ago((now - oldest).total_seconds())} ago)"


def _last_seen(lost: Sequence[Source], all_sources: int, now: datetime, none: str) -> str:
    """Of each source that is lost what it said last, and of the others what they say."""
    seen = [
        f"{f'{source.name} ' if all_sources > 1 else ''}last seen {source.age(now)} ago, {none} then"
        if source.fetched_at is not None
        else f"{source.name} was never read"
        for source in lost
    ]
    others = [f"{none} in the other sources"] if len(lost) < all_sources else []
    return "; ".join([*seen, *others])
