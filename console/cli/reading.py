"""How every reading command goes: select the context, read its sources once side by side, print, again with --watch."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import click
from msgspec import Struct

from backends.models import Panel
from backends.ports import LogQuery
from console.cli.options import Common
from console.errors import EXIT_UNREACHABLE
from console.output import Document, StatusDocument, only_fields, print_json, print_lines, reading_exit_code
from console.select import Selection, select
from console.session import Session, opened
from console.tables import field_table

READ_TIMEOUT_S = 15.0
DEFAULT_SINCE = timedelta(hours=1)
CLEAR_SCREEN = "\x1b[H\x1b[2J\x1b[3J"


class Answer(Struct, frozen=True):
    """What a command has to say: the document, the same as lines of text, and whether health decides the exit code."""

    document: Document | StatusDocument
    lines: Callable[[], Sequence[str]]
    exit_code: int | None = None


def chosen(common: Common, *, start_sandbox: bool = False) -> Selection:
    """The context to work on, with what disables single entries said on stderr."""
    selection = select(common.config, common.context, start_sandbox=start_sandbox)
    if not common.quiet:
        if selection.context.sandbox:
            click.echo("teal: SANDBOX: the embedded platform on this host", err=True)
        for problem in selection.problems:
            click.echo(f"teal: disabled: {problem}", err=True)
    return selection


def read(
    common: Common,
    panels: tuple[Panel, ...],
    answer: Callable[[Session], Awaitable[Answer]],
    *,
    start_sandbox: bool = False,
    since: timedelta = DEFAULT_SINCE,
    log_query: LogQuery | None = None,
) -> int:
    """Read `panels` and print what `answer` makes of them; returns the exit code. Raises CommandError."""
    selection = chosen(common, start_sandbox=start_sandbox)
    session = Session(selection, panels=panels, since=since, log_query=log_query)
    return asyncio.run(_read(common, session, answer))


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
    code = reading_exit_code(session.sources(), strict=common.strict)
    return code if in_time or common.timeout_s is None else code or EXIT_UNREACHABLE


def show(common: Common, answer: Answer, *, sandbox: bool = False) -> None:
    """Print an answer in the form that was asked for; a frame of --watch replaces the one before on a terminal."""
    document = answer.document
    if common.output == "json":
        print_json(_with_fields(document, common))
    elif common.output == "jsonl":
        if common.watch_s is not None or isinstance(document, StatusDocument):
            print_lines([document])
        else:
            print_lines(only_fields(document.items, common.fields))
    else:
        if common.watch_s is not None and sys.stdout.isatty():
            sys.stdout.write(CLEAR_SCREEN)
        lines = list(_text(answer, common))
        if sandbox and isinstance(document, StatusDocument):
            lines.insert(0, "SANDBOX")
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
    if common.output == "table" or not common.quiet:
        _say_errors(document, common)


def _with_fields(document: Document | StatusDocument, common: Common) -> Any:
    if not common.fields or isinstance(document, StatusDocument):
        return document
    from msgspec.structs import replace

    return replace(document, items=only_fields(document.items, common.fields))


def _text(answer: Answer, common: Common) -> Sequence[str]:
    document = answer.document
    if common.fields and isinstance(document, Document):
        return field_table(only_fields(document.items, common.fields), common.fields)
    return answer.lines()


def _say_errors(document: Document | StatusDocument, common: Common) -> None:
    if common.quiet and common.output != "table":
        return
    for error in document.errors:
        place = f"{error.source}: " if error.source else ""
        click.echo(f"teal: {place}{error.message}" + (f" ({error.fix})" if error.fix else ""), err=True)
    if isinstance(document, Document) and document.truncated:
        click.echo(f"teal: {len(document.items)} of {document.total} shown (--limit 0 shows all)", err=True)
