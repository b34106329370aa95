"""`teal log`: lines of all sources, merged in time order."""

import contextlib
import sys
import time
from contextlib import aclosing
from datetime import datetime, timedelta, tzinfo
from functools import partial

import click
from msgspec.structs import replace

from backends.errors import BackendError
from backends.logs.around import around as lines_around
from backends.logs.merging import Merger, is_gap, is_note
from backends.models import LogEntry, LogLevel
from backends.patterns import Pattern
from backends.ports import LogQuery, costs
from backends.text import counted
from console import moment
from console.cli.nearest import close_to, distance_words, further, nearest, window_words
from console.cli.options import TIME, Common, common_options
from console.cli.reading import chosen, read
from console.cli.showing import Answer
from console.cli.whole_help import WholeCommand
from console.config.selection import Selection
from console.errors import EXIT_NOT_FOUND, EXIT_UNREACHABLE, EXIT_USAGE, CommandError
from console.loop import run as run_loop
from console.ports.derive import merged_lines
from console.ports.logs import LOGS
from console.ports.store import Snapshot
from console.printing.output import document, only_fields, print_lines
from console.printing.tables import log_line
from console.reading.due import followed_for
from console.reading.tail import Tail
from console.session import ReadLogs, Session, opened
from console.streams import say
from console.typed_times import TypedTime
from console.zones import zone_of
from panels.words import zone_name

LEVELS = ("debug", "info", "warning", "error", "critical")
DEFAULT_LINES = 200
MOST_LINES = 100_000  # of each source, where all are asked for
COUNTS_EVERY_S = 5.0


@click.command(cls=WholeCommand)
@common_options()
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until stopped.")
@click.option("--since", type=TIME, metavar="T", help="Not older than: 1h (ago), 14:02, or ISO 8601.")
@click.option("--until", type=TIME, metavar="T", help="Not newer than.")
@click.option("--around", type=TIME, metavar="T", help="The lines nearest to that time, as many before as after.")
@click.option("--grep", metavar="RE", help="Only lines that match.")
@click.option("--level", type=click.Choice(LEVELS), help="This level and worse.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), metavar="N",
    help=f"The last N; 0 for all, up to {MOST_LINES:,} a source. --limit is the same.  [default: {DEFAULT_LINES}]",
)  # fmt: skip
@click.option(
    "--insights", metavar="QUERY", help="A query of CloudWatch Logs Insights; paid by what it scans.  [since: 1h]"
)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
def log(
    common: Common,
    follow: bool,
    since: TypedTime | None,
    until: TypedTime | None,
    around: TypedTime | None,
    grep: str | None,
    level: LogLevel | None,
    lines: int | None,
    insights: str | None,
    sources: tuple[str, ...],
) -> int:
    """Log lines of all sources, or of those named, oldest first."""
    if around is not None and (follow or since or until):
        raise CommandError(EXIT_USAGE, "usage", "--around excludes --follow, --since and --until")
    if follow and until is not None:
        raise CommandError(EXIT_USAGE, "usage", "--follow excludes --until")
    count = _count(lines, common.limit)
    if insights is not None:
        if follow or around or grep or level:
            words = "--insights excludes --follow, --around, --grep and --level"
            raise CommandError(EXIT_USAGE, "usage", words, fix="say it in the query")
        return _by_insights(common, insights, sources, since, until, count)
    asked = LogQuery(grep=_checked(grep), level=level, limit=count)
    middle: datetime | None = None

    def query(zone: tzinfo) -> LogQuery:
        nonlocal middle
        if around is not None:
            middle = around.at(zone)
            return close_to(asked, middle)
        begin = since.at(zone) if since is not None else None
        end = until.at(zone) if until is not None else None
        if begin is not None and end is not None and begin >= end:
            raise CommandError(EXIT_USAGE, "usage", "--since is not before --until")
        return replace(asked, since=begin, until=end)

    def reader(zone: tzinfo) -> ReadLogs:
        wanted, at = query(zone), middle
        if at is None:
            return lambda logs: logs.query(wanted)
        return lambda logs: lines_around(logs, wanted, at, before=count, after=count)

    if follow:
        selection = chosen(common)
        run_loop(_follow(common, selection, query(zone_of(selection.context.config.timezone)), sources))
        return 0

    async def answer(session: Session) -> Answer:
        entries = merged_lines(_wanted(session, sources))
        said = [entry for entry in entries if _is_said(entry)]
        if not entries and count and (since or until) and not common.quiet:
            _say_empty(session, sources, query(session.context.zone))
        if middle is None:
            shown = entries[-count:]
        else:
            entries = [entry for entry in entries if not _is_said(entry)]
            if count and not any(entry.at is not None for entry in entries):  # of files without times all are shown
                entries = [*entries, *await _further(common, session, sources, asked, middle)]
            entries = shown = nearest(entries, middle, count)
        # What a source says of itself stands at its start, where the limit would take it first.
        shown = [*(entry for entry in said if entry not in shown), *shown]
        total = max(len(entries), len(shown))
        found = document("log", shown, context=session.context.name, snapshots=_wanted(session, sources))
        found = replace(
            found,
            total=total,
            truncated=len(shown) < total or MOST_LINES == count <= len(entries),
            partial=found.partial or any(is_gap(entry) for entry in shown),
        )
        # How many there are nobody knows: of each source no more were read.
        lines = counted(f"{len(shown):,}", "line")
        more = f"{lines} shown; there may be more (-n N: the last N; -n 0: all, at most {MOST_LINES:,})"
        zone = session.context.zone
        return Answer(found, lambda: [*_zone_line(zone), *(log_line(entry, zone) for entry in found.items)], more=more)

    return read(common, ("logs",), answer, read_logs=reader)


def _by_insights(
    common: Common, text: str, sources: tuple[str, ...], since: TypedTime | None, until: TypedTime | None, count: int
) -> int:
    from console.cli.insights import insights

    selection = chosen(common)
    zone = zone_of(selection.context.config.timezone)
    end = until.at(zone) if until is not None else moment.utc_now()
    begin = since.at(zone, end) if since is not None else end - timedelta(hours=1)
    if begin >= end:
        raise CommandError(EXIT_USAGE, "usage", "--since is not before --until")
    return run_loop(insights(common, selection, text, sources, begin, end, count))


def _count(lines: int | None, limit: int | None) -> int:
    asked = lines if lines is not None else limit
    return DEFAULT_LINES if asked is None else asked or MOST_LINES


def _is_said(entry: LogEntry) -> bool:
    return is_gap(entry) or is_note(entry)


async def _further(
    common: Common, session: Session, names: tuple[str, ...], query: LogQuery, at: datetime
) -> list[LogEntry]:
    """What there is nearest to `at`, where nothing is close; says how far off it is."""
    sources = [snapshot.key.name for snapshot in _wanted(session, names) if snapshot.error is None]
    adapters = [(name, partial(session.adapters.of, LOGS, name)) for name in sources]
    entries, problems = await further(adapters, query, at, query.limit)
    if not common.quiet:
        matching = query.grep is not None or query.level is not None
        words = distance_words(entries, at, session.context.zone, matching=matching) if sources else ""
        for line in (words, *problems):
            if line:
                say(f"teal: {line}")
    return entries


def _say_empty(session: Session, names: tuple[str, ...], query: LogQuery) -> None:
    """That all sources were read, and the window has none."""
    if all(snapshot.error is None for snapshot in _wanted(session, names)):
        matching = query.grep is not None or query.level is not None
        say(f"teal: {window_words(query.since, query.until, session.context.zone, matching=matching)}")


def _wanted(session: Session, names: tuple[str, ...]) -> list[Snapshot]:
    snapshots = session.sources()
    known = [snapshot.key.name for snapshot in snapshots]
    missing = [name for name in names if name not in known]
    if missing:
        fix = f"sources: {', '.join(known) or 'none'}"
        raise CommandError(EXIT_NOT_FOUND, "not_found", f'no log source "{missing[0]}"', fix=fix)
    return [snapshot for snapshot in snapshots if not names or snapshot.key.name in names]


def _zone_line(zone: tzinfo) -> list[str]:
    """For people only: what a pipe gets is lines of the log and nothing else."""
    return [f"Times in {zone_name(moment.utc_now(), zone)}"] if sys.stdout.isatty() else []


def _checked(pattern: str | None) -> str | None:
    try:
        if pattern is not None:
            Pattern(pattern)
    except BackendError as error:
        raise CommandError(EXIT_USAGE, "usage", f"--grep: {error.message}", fix=error.fix) from None
    return pattern


async def _follow(common: Common, selection: Selection, query: LogQuery, sources: tuple[str, ...]) -> None:
    """Until interrupted, nobody reads any more, or `--timeout` is over; a source that is lost is said, and taken up
    again. Raises CommandError(7) where none was there at the end of its time."""
    async with opened(Session(selection, panels=("logs",))) as session:
        names = [snapshot.key.name for snapshot in _wanted(session, sources)]
        if not names:
            raise CommandError(EXIT_NOT_FOUND, "not_found", "no log source is configured")
        errors: dict[str, str] = {}

        def changed(name: str) -> None:
            error = tail.states[name].error
            words = f"{error.message} ({error.fix})" if error else ""
            if words != errors.get(name, ""):
                say(f"teal: {name}: {words or 'followed again'}")
            errors[name] = words

        adapters = {name: partial(session.adapters.of, LOGS, name) for name in names}
        tail = Tail(adapters, dict.fromkeys(names, query), changed=changed)
        said = Counts()
        _say_costs(common, session, names)
        if common.output == "table":
            sys.stdout.write("".join(f"{line}\n" for line in _zone_line(session.context.zone)))
        async with followed_for(common.timeout_s) as time_for_it, aclosing(tail.batches()) as batches:
            async for batch in batches:
                _print(common, session, batch)
                if not common.quiet:
                    said.say(tail.merger)
        if time_for_it.expired() and all(tail.states[name].error is not None for name in names):
            raise CommandError(EXIT_UNREACHABLE, "unreachable", "no source answered", fix="`teal doctor` says why")


def _say_costs(common: Common, session: Session, names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(BackendError):  # one that can not be used is said where it is followed
            words = costs(session.adapters.of(LOGS, name))
            if words and not common.quiet:
                say(f"teal: {name}: {words}")


class Counts:
    """Says on stderr what could not be put in order, or is missing, whenever there is more of it."""

    def __init__(self) -> None:
        self._said = (0, 0, 0)
        self._at = 0.0

    def say(self, merger: Merger) -> None:
        """At most every few seconds."""
        counts = (merger.late, merger.gaps, merger.missing)
        if counts == self._said or time.monotonic() - self._at < COUNTS_EVERY_S:
            return
        self._said, self._at = counts, time.monotonic()
        words = [f"{counted(f'{merger.late:,}', 'line')} came late"] if merger.late else []
        words += (
            [f"{counted(f'{merger.missing:,}', 'line')} missing in {counted(merger.gaps, 'gap')}"]
            if merger.gaps
            else []
        )
        say(f"teal: so far {', '.join(words)}")


def _print(common: Common, session: Session, batch: list[LogEntry]) -> None:
    if common.output == "table":
        zone = session.context.zone
        sys.stdout.write("".join(f"{log_line(entry, zone)}\n" for entry in batch))
        sys.stdout.flush()
    else:
        print_lines(only_fields(batch, common.fields))
