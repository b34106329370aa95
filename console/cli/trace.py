"""`teal trace`: traces of requests, searched when they are asked for."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import click
from msgspec.structs import replace

from backends.command_line import command
from backends.errors import BackendError
from backends.models import Health, Span, Trace, TraceTree, severity_rank, worst
from backends.ports import TraceQuery
from backends.text import counted
from console import moment
from console.cli.options import DURATION, TIME, Common, common_options
from console.cli.reading import DEFAULT_SINCE, READ_TIMEOUT_S, read
from console.cli.showing import Answer
from console.cli.whole_help import WholeHelp
from console.errors import EXIT_NOT_FOUND, EXIT_USAGE, CommandError
from console.ports.entry import Entry
from console.ports.store import Snapshot, SourceKey
from console.ports.traces import TRACES
from console.printing.output import Document, document
from console.printing.tables import View, item_table
from console.reading.feeds import Source, read_once
from console.reading.refs import not_there
from console.session import Session
from console.streams import say
from console.typed_times import TypedTime
from panels.words import zone_name

Ask = Callable[[str], Awaitable[tuple[Trace, ...]]]

USUAL, MOST = 20, 500
AROUND = timedelta(minutes=1)


@click.group(cls=WholeHelp)
def trace() -> None:
    """Traces of requests."""


@trace.command("list")
@common_options()
@click.option("--service", default="", metavar="S", help="Only those that went through this service.")
@click.option("--errors", is_flag=True, help="Only those with a span that failed.")
@click.option(
    "--min-duration", type=DURATION, default=0.0, metavar="D", help="Only those that took so long: 500ms, 2s."
)
@click.option("--since", type=TIME, metavar="T", help="Not older than: 1h (ago), 14:02, or ISO 8601.  [default: 1h]")
@click.option("--until", type=TIME, metavar="T", help="Not newer than.")
def list_(
    common: Common, service: str, errors: bool, min_duration: float, since: TypedTime | None, until: TypedTime | None
) -> int:
    """The newest traces, worst first, and of those the slowest."""
    limit = USUAL if common.limit is None else min(common.limit or MOST, MOST)

    async def answer(session: Session) -> Answer:
        zone = session.context.zone
        end = until.at(zone) if until is not None else moment.utc_now()
        begin = (since or DEFAULT_SINCE).at(zone, end)
        if begin >= end:
            raise CommandError(EXIT_USAGE, "usage", "--since is not before --until")
        query = TraceQuery(
            since=begin, until=end, service=service, errors=errors, min_duration_s=min_duration, limit=limit
        )

        async def search(name: str) -> tuple[Trace, ...]:
            return tuple(await session.adapters.of(TRACES, name).search(query))

        snapshots = await _asked(session, common, search)
        if not snapshots and not common.quiet:
            say("teal: no source of traces is configured (add one to the context: `traces`)")
        items = [item for snapshot in snapshots for item in snapshot.items]
        items.sort(key=lambda item: (severity_rank(item.state), -item.duration_s))
        found = _document(session, "trace.list", items, snapshots)
        full = any(len(snapshot.items) >= limit for snapshot in snapshots)
        more = f"{counted(len(items), 'trace')} shown; there may be more (--limit N: the newest N of each source)"
        return Answer(replace(found, truncated=full), lambda: _rows(Trace, items, session), more=more)

    return read(common, (), answer)


@trace.command()
@common_options()
@click.argument("id_", metavar="ID")
def show(common: Common, id_: str) -> int:
    """One trace as a tree: how long it waited for each span, what failed first. ID: also a ref, or a traceparent."""
    source, trace_id = _parts(id_)

    async def one(session: Session, name: str) -> tuple[Trace, ...]:
        try:
            return (await session.adapters.of(TRACES, name).trace(trace_id),)
        except BackendError as error:
            if error.kind != "not_found":
                raise
            return ()

    async def answer(session: Session) -> Answer:
        snapshots = await _asked(session, common, partial(one, session), source)
        items = [item for snapshot in snapshots for item in snapshot.items]
        if not items:
            fix = "`teal trace list` has the newest" if snapshots else "add a source of traces to the context: `traces`"
            raise not_there(id_, "trace", snapshots, fix=fix)
        found = _document(session, "trace.show", items[:1], snapshots)
        return Answer(found, lambda: _tree_lines(items[0], session))

    return read(common, (), answer)


async def _asked(session: Session, common: Common, ask: Ask, source: str = "") -> list[Snapshot]:
    """What each source says, or the one of that name, side by side. Raises CommandError(5) for an unknown one."""
    entries: Sequence[Entry] = session.adapters.context.entries[TRACES.name]
    chosen = [entry for entry in entries if source in ("", entry.name)]
    if source and not chosen:
        fix = f"there are: {', '.join(entry.name for entry in entries) or 'none'}"
        raise CommandError(EXIT_NOT_FOUND, "not_found", f'no source of traces "{source}"', fix=fix)
    sources = [
        Source(SourceKey(TRACES.name, entry.name), entry.type, partial(ask, entry.name)) for entry in chosen
    ]  # fmt: skip
    return await read_once(sources, deadline_s=common.timeout_s or READ_TIMEOUT_S)


def _parts(typed: str) -> tuple[str, str]:
    """The source, where it is named, and the id; of a traceparent (`00-ID-SPAN-01`) that is its second part."""
    source, _, id_ = typed.rpartition("/")
    parts = id_.split("-")
    return source, parts[1] if len(parts) == 4 else id_


def _document(session: Session, kind: str, items: Sequence[Trace], snapshots: list[Snapshot]) -> Document:
    lost: list[Health] = ["unknown" for snapshot in snapshots if snapshot.error is not None or snapshot.unread]
    health: Health = worst([*(item.state for item in items), *lost]) if items or lost else "ok"
    return document(kind, items, context=session.context.name, snapshots=snapshots, health=health)


def _rows(kind: type, items: Sequence[Trace | Span], session: Session) -> list[str]:
    return item_table(kind, items, View.at_now(session.context.zone))


def _tree_lines(tree: TraceTree, session: Session) -> list[str]:
    zone = session.context.zone
    lines = [f"Times in {zone_name(tree.started_at, zone)}", *_rows(Trace, [tree], session), ""]
    lines += [*_rows(Span, tree.spans, session), ""]
    if tree.orphans:
        lines.append(f"{counted(tree.orphans, 'span')} without the one above: it is lost, or still to come")
    lines.append("WAITED is the critical path: how long the trace waited for a span itself")
    lines += [f"page  {tree.url}"] if tree.url else []
    return [*lines, f"logs  {logs_of(tree, session.context.name)}"]


def logs_of(tree: Trace, context: str) -> str:
    """The command that shows its log lines."""
    end = tree.started_at + timedelta(seconds=tree.duration_s)
    # An id of 64 bits stands in log lines without the zeros before it.
    id_ = tree.trace_id.removeprefix("0" * 16)
    since, until = _stamp(tree.started_at - AROUND), _stamp(end + AROUND)
    return command("log", context=context, since=since, until=until, grep=id_)


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}Z"
