"""How every reading command goes: select the context, read its sources once side by side, print, again with --watch."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from backends.models import Panel
from backends.ports import LogQuery
from console.cli.options import Common
from console.cli.showing import Answer, show
from console.errors import EXIT_UNREACHABLE
from console.loop import run as run_loop
from console.output import reading_exit_code
from console.select import Selection, select
from console.session import Session, opened
from console.streams import say

READ_TIMEOUT_S = 15.0
DEFAULT_SINCE = timedelta(hours=1)


def chosen(common: Common, *, start_sandbox: bool = False) -> Selection:
    """The context to work on, with what disables single entries said on stderr."""
    selection = select(common.config, common.context, start_sandbox=start_sandbox)
    if not common.quiet:
        if selection.context.sandbox:
            say("teal: SANDBOX: the embedded platform on this host")
        for problem in selection.problems:
            say(f"teal: disabled: {problem}")
    return selection


def read(
    common: Common,
    panels: tuple[Panel, ...],
    answer: Callable[[Session], Awaitable[Answer]],
    *,
    start_sandbox: bool = False,
    since: timedelta = DEFAULT_SINCE,
    until: datetime | None = None,
    log_query: LogQuery | None = None,
) -> int:
    """Read `panels` and print what `answer` makes of them; returns the exit code. Raises CommandError."""
    selection = chosen(common, start_sandbox=start_sandbox)
    session = Session(selection, panels=panels, since=since, until=until, log_query=log_query)
    return run_loop(_read(common, session, answer))


async def _read(common: Common, session: Session, answer: Callable[[Session], Awaitable[Answer]]) -> int:
    async with opened(session):
        while True:
            in_time = await session.read(deadline_s=common.timeout_s or READ_TIMEOUT_S)
            found = await answer(session)
            show(common, found, sandbox=session.context.sandbox)
            if common.watch_s is None:
                break
            await asyncio.sleep(common.watch_s)
    if found.exit_code is not None:
        return found.exit_code
    code = reading_exit_code(found.document, strict=common.strict)
    return code if in_time or common.timeout_s is None else code or EXIT_UNREACHABLE
