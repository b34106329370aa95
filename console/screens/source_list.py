"""The sources, and how they answer."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from msgspec import Struct

from backends.models import severity_rank
from console.ports.store import Snapshot
from console.screens.lists import ListScreen
from panels.columns import Cell, Column, Kind, Moment
from panels.words import ago, amount

if TYPE_CHECKING:
    from console.screens.host import Host


class SourceRow(Struct, frozen=True):
    """A source and how it answers; one that answers no more is unknown, as in its panel."""

    CALLED: ClassVar[str] = "a source"
    snapshot: Snapshot
    now: datetime

    @property
    def health(self) -> str:
        """Unknown where it was never read or answers no more."""
        if self.snapshot.error is not None:
            return "unknown"
        return self.snapshot.trust(self.now) if self.snapshot.fetched_at is not None else "running"


def _says(row: SourceRow, _: Moment) -> Cell:
    error = row.snapshot.error
    if error is not None:
        return Cell("no answer", "unknown")
    return Cell("ok" if row.snapshot.fetched_at is not None else "not read yet", "muted")


def _source_tone(row: SourceRow, moment: Moment) -> Cell:
    health = row.health
    return Cell(
        moment.symbols.of(health), "unknown" if health == "unknown" else "warning" if health == "warning" else ""
    )


SOURCES: Kind[SourceRow] = Kind(
    name="sources",
    columns=(
        Column(title="", cell=_source_tone, max_width=1),
        Column(title="PANEL", cell=lambda row, _: Cell(row.snapshot.key.panel), max_width=12),
        Column(title="SOURCE", cell=lambda row, _: Cell(row.snapshot.key.name, "strong"), min_width=8, max_width=24),
        Column(title="TYPE", cell=lambda row, _: Cell(row.snapshot.type, "muted"), max_width=16, priority=2),
        Column(title="SAYS", cell=_says, min_width=12, max_width=120, flex=True),
        Column(
            title="ITEMS",
            cell=lambda row, _: Cell(str(len(row.snapshot.items)), "muted"),
            max_width=6,
            align="right",
            priority=3,
        ),
        Column(
            title="TOOK",
            cell=lambda row, _: Cell(amount(row.snapshot.latency_ms, "ms"), "muted"),
            min_width=7,
            max_width=8,
            align="right",
            priority=1,
        ),
        Column(
            title="AGE",
            cell=lambda row, moment: Cell(ago(moment.since(row.snapshot.fetched_at))),
            min_width=4,
            max_width=5,
            align="right",
        ),
    ),
    key=lambda row: f"{row.snapshot.key.panel}/{row.snapshot.key.name}",
    health=lambda row: row.health,
    sort_key=lambda row: (severity_rank(row.health), row.snapshot.key),
    reason=lambda row: (
        ": ".join(filter(None, (row.snapshot.error.message, row.snapshot.error.fix))) if row.snapshot.error else ""
    ),
    text=lambda row: f"{row.snapshot.key.panel} {row.snapshot.key.name} {row.snapshot.type}",
    fields=lambda row: {"panel": row.snapshot.key.panel, "state": row.health},
    empty="No sources are configured; `teal config init` writes an example",
)


def sources_screen(app: Host) -> ListScreen:
    """Every source, the worst first; Enter opens one."""

    def read() -> list[SourceRow]:
        return [SourceRow(snapshot, app.now()) for snapshot in app.session.sources()]

    def opened(row: SourceRow) -> None:
        from console.screens.source_detail import SourceDetail

        app.push_screen(SourceDetail(app.session, row.snapshot))

    return ListScreen("Sources", SOURCES, read, opened=opened)
