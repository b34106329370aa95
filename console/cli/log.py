"""`teal log`: lines of all sources, merged in time order."""

import asyncio
import contextlib
import heapq
import re
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import click
import msgspec

from backends.models import LogEntry, LogLevel
from backends.ports import LogQuery
from console.cli.options import DURATION, Common, common_options
from console.cli.reading import chosen, read
from console.cli.showing import Answer
from console.errors import EXIT_NOT_FOUND, EXIT_USAGE, CommandError
from console.output import document, print_lines
from console.select import Selection
from console.session import Session, opened
from console.store import Snapshot
from console.tables import log_line

LEVELS = ("debug", "info", "warning", "error", "critical")
DEFAULT_LINES = 200


@click.command()
@common_options()
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until stopped.")
@click.option("--since", type=DURATION, help="Not older than, e.g. 1h.")
@click.option("--until", type=DURATION, help="Not newer than, as an age.")
@click.option("--grep", metavar="RE", help="Only lines that match.")
@click.option("--level", type=click.Choice(LEVELS), help="This level and worse.")
@click.option("-n", "--lines", type=click.IntRange(min=1), default=DEFAULT_LINES, show_default=True, help="The last N.")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
def log(
    common: Common,
    follow: bool,
    since: float | None,
    until: float | None,
    grep: str | None,
    level: LogLevel | None,
    lines: int,
    sources: tuple[str, ...],
) -> int:
    """Log lines of all sources, or of those named, oldest first."""
    now = datetime.now(UTC)
    query = LogQuery(
        since=now - timedelta(seconds=since) if since is not None else None,
        until=now - timedelta(seconds=until) if until is not None else None,
        grep=_checked(grep),
        level=level,
        limit=lines,
    )
    if follow:
        selection = chosen(common)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_follow(common, selection, query, sources))
        return 130

    async def answer(session: Session) -> Answer:
        entries = merged(session, sources)
        found = document(
            "log",
            entries,
            context=session.context.name,
            snapshots=_wanted(session, sources),
            limit=lines,
            from_end=True,
        )
        return Answer(found, lambda: [log_line(entry, session.context.zone) for entry in found.items])

    return read(common, ("logs",), answer, log_query=query)


def merged(session: Session, sources: tuple[str, ...]) -> list[LogEntry]:
    """The entries of the sources that were read, in time order; a line without a time stays where it stands."""
    streams = []
    for order, snapshot in enumerate(_wanted(session, sources)):
        last, keyed = datetime.min.replace(tzinfo=UTC), []
        for position, entry in enumerate(snapshot.items):
            last = max(last, entry.at) if entry.at else last
            keyed.append((last, order, position, entry))
        streams.append(keyed)
    return [entry for _, _, _, entry in heapq.merge(*streams, key=lambda item: item[:3])]


def _wanted(session: Session, names: tuple[str, ...]) -> list[Snapshot]:
    snapshots = session.sources()
    known = [snapshot.key.name for snapshot in snapshots]
    missing = [name for name in names if name not in known]
    if missing:
        fix = f"sources: {', '.join(known) or 'none'}"
        raise CommandError(EXIT_NOT_FOUND, "not_found", f'no log source "{missing[0]}"', fix=fix)
    return [snapshot for snapshot in snapshots if not names or snapshot.key.name in names]


def _checked(pattern: str | None) -> str | None:
    try:
        if pattern is not None:
            re.compile(pattern)
    except re.error as error:
        raise CommandError(EXIT_USAGE, "usage", f"--grep: {error}", fix="quote the special characters") from None
    return pattern


async def _follow(common: Common, selection: Selection, query: LogQuery, sources: tuple[str, ...]) -> None:
    async with opened(Session(selection, panels=("logs",), log_query=query)) as session:
        _wanted(session, sources)
        await session.read(deadline_s=common.timeout_s)
        for entry in merged(session, sources)[-query.limit :]:
            _print(common, session, entry)
        live = msgspec.structs.replace(query, since=None)
        names = [snapshot.key.name for snapshot in _wanted(session, sources)]
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(_pump(common, session, session.adapters.logs(name).follow(live)))


async def _pump(common: Common, session: Session, entries: AsyncIterator[LogEntry]) -> None:
    async for entry in entries:
        _print(common, session, entry)


def _print(common: Common, session: Session, entry: LogEntry) -> None:
    if common.output == "table":
        sys.stdout.write(log_line(entry, session.context.zone) + "\n")
        sys.stdout.flush()
    else:
        print_lines([entry])
