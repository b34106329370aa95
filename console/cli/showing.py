"""Printing an answer in the form that was asked for: JSON, one item a line, or lines of text."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from backends.text import with_fix
from console.cli.options import Common
from console.printing.output import Document, StatusDocument, field_table, only_fields, print_json, print_lines
from console.streams import say, tell

CLEAR_SCREEN = "\x1b[H\x1b[2J\x1b[3J"


class Answer(Struct, frozen=True):
    """What a command has to say: the document, the same as lines of text, and whether health decides the exit code.
    `more`: where it is truncated, how to get the rest; empty for what `--limit` cut off."""

    document: Document | StatusDocument
    lines: Callable[[], Sequence[str]]
    exit_code: int | None = None
    more: str = ""


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
        tell(*lines)
    if common.output == "table" or not common.quiet:
        _say_errors(answer, common)


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


def _say_errors(answer: Answer, common: Common) -> None:
    document = answer.document
    if common.quiet and common.output != "table":
        return
    for error in document.errors:
        place = f"{error.source}: " if error.source and not error.message.startswith(f"{error.source}: ") else ""
        say(f"teal: {place}{with_fix(error.message, error.fix)}")
    if isinstance(document, Document) and document.truncated:
        cut = f"{len(document.items)} of {document.total} shown (--limit 0 shows all)"
        say(f"teal: {answer.more or cut}")
