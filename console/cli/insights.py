"""`teal log --insights`: a query in the log system's own language, with its progress, stopped when it is left."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import cast

from msgspec.structs import replace

from backends.errors import BackendError
from backends.logs.merging import note
from backends.models import LogEntry
from backends.ports import SearchableLogs
from console.cli.options import Common
from console.cli.showing import Answer, show
from console.config.selection import Selection
from console.errors import EXIT_NOT_FOUND, EXIT_USAGE, CommandError, exit_code_of
from console.ports.logs import LOGS
from console.printing.output import document
from console.printing.tables import log_line
from console.reading.searching import FIX, NONE, progress
from console.session import Session, opened
from console.streams import say


async def insights(
    common: Common, selection: Selection, text: str, names: Sequence[str], since: datetime, until: datetime, count: int
) -> int:
    """Print what it finds, and say what it scanned; returns the exit code. Raises CommandError."""
    async with opened(Session(selection, panels=("logs",))) as session:
        sources = _sources(session, names)
        try:
            async with asyncio.timeout(common.timeout_s):
                found = await asyncio.gather(
                    *(_searched(common, name, logs, text, since, until, count) for name, logs in sources)
                )
        except TimeoutError:
            raise CommandError(exit_code_of("timeout"), "timeout", "the query was stopped: out of time") from None
        except BackendError as error:
            raise CommandError(exit_code_of(error.kind), error.kind, error.message, fix=error.fix) from None
        entries = [entry for of in found for entry in of]
        answer = document("log", entries, context=session.context.name)
        partial = any(entry.labels.get("teal_note") for entry in entries)
        zone = session.context.zone
        show(common, Answer(replace(answer, partial=partial), lambda: [log_line(entry, zone) for entry in entries]))
    return 0


def _sources(session: Session, names: Sequence[str]) -> list[tuple[str, SearchableLogs]]:
    known = [snapshot.key.name for snapshot in session.sources()]
    if missing := [name for name in names if name not in known]:
        fix = f"sources: {', '.join(known) or 'none'}"
        raise CommandError(EXIT_NOT_FOUND, "not_found", f'no log source "{missing[0]}"', fix=fix)
    found = []
    for name in names or known:
        try:
            logs = session.adapters.of(LOGS, name)
        except BackendError as error:
            raise CommandError(exit_code_of(error.kind), error.kind, error.message, fix=error.fix) from None
        if hasattr(logs, "search"):
            found.append((name, cast(SearchableLogs, logs)))
        elif names:
            raise CommandError(EXIT_USAGE, "usage", f"logs.{name} has no queries of its own: --insights", fix=FIX)
    if not found:
        raise CommandError(EXIT_USAGE, "usage", f"{NONE}: --insights", fix=FIX)
    return found


async def _searched(
    common: Common, name: str, logs: SearchableLogs, text: str, since: datetime, until: datetime, count: int
) -> list[LogEntry]:
    entries: tuple[LogEntry, ...] = ()
    words = said = ""
    search = logs.search(text, since=since, until=until, limit=count)
    try:
        async for state in search:
            entries, words = state.entries, state.note
            told = progress(state)
            if not common.quiet and told != said:
                say(f"teal: {name}: {told}")
            said = told
    finally:
        await search.aclose()  # stops it where it still runs
    return [*entries, note(name, words)] if words else list(entries)
