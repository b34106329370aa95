"""What a headless command prints: the envelope of docs/contract.md, one item a line, or a table that pipes cleanly."""

import codecs
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import msgspec

from backends.models import Health, severity_rank
from console import moment
from console.errors import EXIT_AUTH, EXIT_UNREACHABLE, EXIT_USAGE, CommandError
from console.ports.store import Snapshot
from console.ports.table import listed
from console.reading.answers import ErrorReport, SourceReport, error_reports, source_reports
from console.reading.cause_reports import CauseReport
from console.reading.health import panel_health
from panels.widths import beginning, display_width

SCHEMA_PREFIX = "teal/v1/"
LEAST_WIDTH, SET_IN = 40, 4


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope. `total` counts the items before `--limit` (of `log`: those that were read); `partial`: a source is
    missing from them."""

    schema: str
    generated_at: datetime
    context: str | None
    health: Health
    partial: bool
    total: int
    truncated: bool
    items: Sequence[Any]
    sources: Sequence[SourceReport] = ()
    errors: Sequence[ErrorReport] = ()


class StatusDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`teal/v1/status`: the envelope with a list a port that is read instead of `items`; `status_shape` has them."""

    schema: str
    generated_at: datetime
    context: str | None
    health: Health
    partial: bool
    if TYPE_CHECKING:  # behind the lists of the ports, where scripts have them
        causes: Sequence[CauseReport]
        actions: Sequence[Any]
        on: Sequence[Any]
        sources: Sequence[SourceReport]
        errors: Sequence[ErrorReport]


def status_shape() -> type[StatusDocument]:
    """The whole document: the lists of the ports that are read, then those of the actions."""
    return _status_of(tuple(listed().values()))


@cache
def _status_of(ports: tuple[str, ...]) -> type[StatusDocument]:
    lists: list[Any] = [(name, Sequence[Any], ()) for name in (*ports, "actions", "on")]
    lists += [("causes", Sequence[CauseReport], ())]
    lists += [("sources", Sequence[SourceReport], ()), ("errors", Sequence[ErrorReport], ())]
    name, words = StatusDocument.__name__, {"__doc__": StatusDocument.__doc__}
    shape = msgspec.defstruct(name, lists, bases=(StatusDocument,), namespace=words, frozen=True, kw_only=True)
    return cast(type[StatusDocument], shape)


def document(
    kind: str,
    items: Sequence[Any],
    *,
    context: str | None,
    snapshots: Sequence[Snapshot] = (),
    limit: int | None = None,
    health: Health | None = None,
    from_end: bool = False,
) -> Document:
    """The envelope around `items`; `limit` keeps the first ones (`from_end`: the last ones), 0 keeps all."""
    errors = error_reports(snapshots)
    shown = items
    if limit and len(items) > limit:
        shown = items[-limit:] if from_end else items[:limit]
    return Document(
        schema=SCHEMA_PREFIX + kind,
        generated_at=moment.utc_now(),
        context=context,
        health=health or panel_health(list(snapshots)),
        partial=bool(errors),
        total=len(items),
        truncated=len(shown) < len(items),
        items=shown,
        sources=source_reports(snapshots),
        errors=errors,
    )


def failure_document(kind: str, message: str, fix: str) -> Document:
    """The document of a command that could not do what it was asked."""
    return Document(
        schema=SCHEMA_PREFIX + "error",
        generated_at=moment.utc_now(),
        context=None,
        health="unknown",
        partial=True,
        total=0,
        truncated=False,
        items=[],
        errors=[ErrorReport(kind=kind, source=None, message=message, fix=fix)],
    )


def reading_exit_code(document: Document | StatusDocument, *, strict: bool) -> int:
    """0 where a source answered; 4 where all were refused; 7 where none answered, or with `strict` any did not."""
    failed = [source for source in document.sources if not source.ok]
    if not failed or (len(failed) < len(document.sources) and not strict):
        return 0
    return EXIT_AUTH if {error.kind for error in document.errors} == {"auth"} else EXIT_UNREACHABLE


def worst_first(items: Sequence[Any]) -> list[Any]:
    """`items` with the worst health first; within one health the order stays."""
    return sorted(items, key=lambda item: severity_rank(item.health))


def plain(item: Any) -> Any:
    """`item` as plain data, as JSON shows it."""
    return msgspec.to_builtins(item)


def only_fields(items: Sequence[Any], fields: Sequence[str]) -> list[Any]:
    """`items` as plain data with only `fields`, in that order. Raises CommandError(2) naming those that there are."""
    rows = [plain(item) for item in items]
    if not fields:
        return rows
    known = rows[0] if rows else dict.fromkeys(fields)
    unknown = [name for name in fields if name not in known]
    if unknown:
        raise CommandError(EXIT_USAGE, "usage", f'no field "{unknown[0]}"', fix=f"fields: {', '.join(known)}")
    return [{name: row.get(name) for name in fields} for row in rows]


_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


def print_json(value: Any) -> None:
    """One document, indented by two, on stdout."""
    sys.stdout.write(_writable(msgspec.json.format(msgspec.json.encode(value), indent=2)) + "\n")


def print_lines(values: Iterable[Any]) -> None:
    """One JSON value a line, flushed, so that a reader at the other end of a pipe sees each."""
    for value in values:
        sys.stdout.write(_writable(msgspec.json.encode(value)) + "\n")
    sys.stdout.flush()


def _writable(document: bytes) -> str:
    """JSON that stdout can take: where its code page is not UTF-8, all but ASCII is escaped (RFC 8259 §7)."""
    text = document.decode()
    if text.isascii() or codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8":
        return text
    return _NOT_ASCII.sub(lambda found: json.dumps(found.group())[1:-1], text)


def table(rows: Sequence[Sequence[str]], *, headers: Sequence[str], right: Sequence[bool] = ()) -> list[str]:
    """`rows` under `headers`, columns two spaces apart, never truncated; `right` says which are right-aligned. One that
    is wider than the terminal goes on below, broken between words; where there is none, each is one line."""
    cells = [list(headers), *[list(row) for row in rows]]
    widths = [max(display_width(row[column]) for row in cells) for column in range(len(headers))]
    lines = []
    for row in cells:
        padded = [
            " " * (width - display_width(text)) + text
            if column < len(right) and right[column]
            else text + " " * (width - display_width(text))
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return [part for line in lines for part in folded(line, width)] if (width := _width()) else lines


def _width() -> int:
    """How wide a row of a table may be; 0 where that does not matter."""
    return max(LEAST_WIDTH, shutil.get_terminal_size().columns - SET_IN) if sys.stdout.isatty() else 0


def folded(line: str, width: int) -> list[str]:
    """The line in parts of at most `width` cells, broken between words; those after the first are set in."""
    parts = []
    while display_width(line) > width:
        first = beginning(line, width + 1)
        end = first.rstrip().rfind(" ", len(line) - len(line.lstrip()) + 1)
        first = line[:end] if end > 0 else beginning(line, width)
        parts.append(first.rstrip())
        line = f"{' ' * SET_IN}{line[len(first) :].lstrip()}"
    return [*parts, line]


def field_table(rows: Sequence[dict[str, Any]], fields: Sequence[str]) -> list[str]:
    """Chosen fields of plain rows as lines, each value as JSON shows it, strings without quotes."""
    shown = [["" if row[name] is None else str(row[name]) for name in fields] for row in rows]
    return table(shown, headers=[name.upper() for name in fields])


def use_color(wanted: bool) -> bool:
    """True where stdout is a terminal that shows color and neither --no-color nor NO_COLOR says otherwise."""
    return wanted and sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


_SGR: dict[Health, str] = {"ok": "", "warning": "\x1b[33m", "critical": "\x1b[31;1m", "unknown": "\x1b[35m"}


def paint(text: str, health: Health, *, color: bool) -> str:
    """`text` in the hue of `health`; what is ok has none."""
    return f"{_SGR[health]}{text}\x1b[0m" if color and _SGR[health] else text
