"""How every reading command goes: select the context, read its sources once side by side, print, again with --watch."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, tzinfo

from backends.models import Panel
from console import moment
from console.cli.options import Common
from console.cli.showing import Answer, show
from console.config.selection import Selection, select
from console.errors import EXIT_UNREACHABLE, EXIT_USAGE, CommandError
from console.loop import run as run_loop
from console.orders import PATIENCE_S
from console.printing.output import reading_exit_code
from console.reading.due import LEAST_S
from console.session import ReadLogs, Session, last_lines, opened
from console.streams import say
from console.typed_times import FORMS, TypedTime
from console.zones import zone_of

READ_TIMEOUT_S = 15.0
DEFAULT_SINCE = TypedTime(age_s=3600.0)


def chosen(common: Common, *, start_sandbox: bool = False, order: bool = False) -> Selection:
    """The context to work on, with what disables single entries said on stderr; that it is the sandbox is said also
    with `--quiet`. `order`: as `select`."""
    selection = select(common.config, common.context, start_sandbox=start_sandbox, order=order)
    say_sandbox(selection)
    if not common.quiet:
        entries = selection.context.entries.values()
        broken = {entry.name for port in entries for entry in port if entry.problem}
        for problem in selection.problems:
            say(f"teal: {'disabled' if problem.entry in broken else 'to correct'}: {problem}")
    return selection


def say_sandbox(selection: Selection) -> None:
    """That what is looked at is no platform of anybody's, on stderr."""
    if selection.context.sandbox:
        say("teal: SANDBOX: the embedded platform on this host")


def read(
    common: Common,
    panels: tuple[Panel, ...],
    answer: Callable[[Session], Awaitable[Answer]],
    *,
    start_sandbox: bool = False,
    since: TypedTime = DEFAULT_SINCE,
    until: TypedTime | None = None,
    read_logs: Callable[[tzinfo], ReadLogs] | None = None,
) -> int:
    """Read `panels` and print what `answer` makes of them; returns the exit code. Times that were typed, those of
    `read_logs` too, are of the context's zone. Raises CommandError."""
    selection = chosen(common, start_sandbox=start_sandbox)
    zone = zone_of(selection.context.config.timezone)
    try:
        end = until.at(zone) if until is not None else None
        length = _length(since, zone, end)
        reader = read_logs(zone) if read_logs is not None else last_lines
    except OverflowError:
        raise CommandError(EXIT_USAGE, "usage", "a time that no calendar has", fix=f"write {FORMS}") from None
    session = Session(selection, panels=panels, since=length, until=end, read_logs=reader)
    return run_loop(_read(common, session, answer))


def _length(since: TypedTime, zone: tzinfo, until: datetime | None) -> timedelta:
    if since.age_s is not None:
        return timedelta(seconds=since.age_s)
    length = (until or moment.utc_now()) - since.at(zone, until)
    if length <= timedelta():
        raise CommandError(EXIT_USAGE, "usage", "--since is not before --until", fix=f"write {FORMS}")
    return length


def patience_s(timeout_s: float) -> float:
    """So much of a command's time the journal may take: what is live is said within it."""
    return min(PATIENCE_S, timeout_s / 2)


async def _read(common: Common, session: Session, answer: Callable[[Session], Awaitable[Answer]]) -> int:
    if common.timeout_s is not None:
        session.orders.patience_s = patience_s(common.timeout_s)
    async with opened(session):
        while True:
            own = common.timeout_s is None
            session.due.begin(common.timeout_s)
            in_time = await session.read(deadline_s=common.timeout_s or READ_TIMEOUT_S, patient=own)
            async with session.due.kept(more_s=LEAST_S):
                found = await answer(session)
            show(common, found, sandbox=session.context.sandbox)
            if common.watch_s is None:
                break
            await asyncio.sleep(common.watch_s)
    if found.exit_code is not None:
        return found.exit_code
    code = reading_exit_code(found.document, strict=common.strict)
    return code if in_time or common.timeout_s is None else code or EXIT_UNREACHABLE
