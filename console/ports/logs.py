"""Lines of logs: evidence of what was, and no state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backends.command_line import command
from backends.models import LogEntry
from console.ports.derive import merged_lines
from console.ports.entry import Entry
from console.ports.record import Adapters, Desk, Noun, Place, Port, Reading, Then

if TYPE_CHECKING:
    from backends.ports import Logs

INTERVAL_S = 10.0
PAST_LIMIT = 1500  # of each source before a time, and as many after it


async def _fetch(desk: Desk, name: str) -> tuple[LogEntry, ...]:
    return tuple(await desk.read_logs(desk.adapters.of(LOGS, name)))


async def _past(adapters: Adapters, name: str, then: Then) -> tuple[LogEntry, ...]:
    """The last before the time, and the first after it: without a hole, as far as the limit reaches."""
    from backends.logs.around import around
    from backends.logs.merging import note
    from backends.ports import LogQuery

    query = LogQuery(since=then.since, until=then.until)
    found = await around(adapters.of(LOGS, name), query, then.at, before=PAST_LIMIT, after=PAST_LIMIT)
    if sum(entry.at is not None and entry.at >= then.at for entry in found) >= PAST_LIMIT:
        found.append(note(name, f"the first {PAST_LIMIT:,} lines after this time: there are more"))
    return tuple(found)


async def _ask(adapters: Adapters, entry: Entry) -> list[Any]:
    from backends.ports import LogQuery

    await adapters.of(LOGS, entry.name).query(LogQuery(limit=1))
    return []


def _command(entry: LogEntry, context: str) -> str:
    """Nothing shows a line without a time again."""
    return command("log", entry.source, context=context, around=entry.at.isoformat()) if entry.at is not None else ""


LOGS: Port[Logs, LogEntry] = Port(
    name="logs",
    about="where log lines come from.",
    protocol="backends.ports:Logs",
    ask=_ask,
    reading=Reading(
        item=LogEntry,
        fetch=_fetch,
        interval_s=INTERVAL_S,
        kept=False,
        checked="",
        standing=merged_lines,
        title=lambda entry: entry.source,
        says=lambda entry: entry.message,
        at=lambda entry: entry.at,
        past=_past,
    ),
    noun=Noun(name="log", help="Log lines, merged in time order.", command="console.cli.log:log"),
    documents={"log": LogEntry},
    command_of=_command,
    place=Place(kind="", title="Logs", key="5", row="last"),
)
