"""Task logs of Airflow as entries: structured lines of 3.x, plain text of 2.x, and what wraps either.

2.x answers JSON whose `content` is text, or the repr of a list of (host, text) pairs; its lines begin with
`[2024-01-01T10:00:00.123+0000] {file.py:12} INFO - …`. 3.x answers a list of objects, or of texts.
"""

import ast
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct

from backends.models import LogEntry, LogLevel
from backends.text import clean
from backends.times import parse_time

_LINE = re.compile(
    r"^\[(?P<at>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,]?\d*(?:Z|[+-]\d\d:?\d\d)?)\]"
    r"(?: \{(?P<where>[^}]*)\})?(?: (?P<level>[A-Z]+))?(?: -)? ?(?P<text>.*)$"
)
_LEVELS: dict[str, LogLevel] = {
    "debug": "debug", "info": "info", "warning": "warning", "warn": "warning", "error": "error",
    "critical": "critical", "fatal": "critical", "exception": "error",
}  # fmt: skip
_GROUPS = ("::group::", "::endgroup::")
_SAID_ELSEWHERE = frozenset({
    "timestamp", "event", "level", "logger", "error_detail", "filename", "lineno", "loc", "chan", "dag_id", "run_id",
    "task_id", "ti_id", "ti", "map_index", "try_number",
})  # fmt: skip
MAX_EXTRA = 8


class LogPage(Struct, frozen=True):
    """One answer. The token of a page leads to the next; v1 and v2 keep handing one out at the end."""

    content: Any = None
    continuation_token: str | None = None


class Source(Struct, frozen=True):
    """Whose lines they are."""

    task: str
    try_number: int

    @property
    def labels(self) -> dict[str, str]:
        """As the local adapter labels its lines."""
        return {"task": self.task, "try": str(self.try_number)}


def entries_of(content: Any, source: Source) -> list[LogEntry]:
    """The lines of a page of either version. Without a time of its own a line has that of none."""
    if isinstance(content, str):
        return [entry for text in _texts(content) for entry in _of_text(text, source)]
    found: list[LogEntry] = []
    in_header = False  # where the server found the log
    for each in content if isinstance(content, list) else ():
        if isinstance(each, dict):
            text = str(each.get("event", ""))
            if text.startswith(_GROUPS):
                in_header = text == "::group::Log message source details"
            elif not in_header:
                found += _of_event(each, source)
        elif isinstance(each, str):
            found += _of_text(each, source)
        elif isinstance(each, list) and len(each) == 2:  # a pair of host and text
            found += _of_text(str(each[1]), source)
    return found


def _texts(content: str) -> list[str]:
    """The text itself, or the texts of a stringified list of (host, text) pairs."""
    if content.strip() == "[]":
        return []
    if not content.startswith("[("):
        return [content]
    try:
        pairs = ast.literal_eval(content)
        return [str(text) for _, text in pairs]
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return [content]


def _of_text(text: str, source: Source) -> Iterator[LogEntry]:
    """Lines of 2.x; those of a traceback have no time, and belong to the one before."""
    at: datetime | None = None
    level: LogLevel = "unknown"
    for line in text.splitlines():
        if not line.strip() or line.startswith(_GROUPS) or " INFO - ::" in line[:200]:
            continue
        found = _LINE.match(line[:4096])
        if found is None:
            yield _entry(at, level, line, source)
            continue
        at = parse_time(found["at"].replace(",", "."))
        level = _LEVELS.get((found["level"] or "").casefold(), "unknown")
        yield _entry(at, level, found["text"] or line, source)


def _of_event(event: dict[str, Any], source: Source) -> Iterator[LogEntry]:
    """One structured line of 3.x, and its traceback as lines of their own."""
    text = str(event.get("event", ""))
    at = parse_time(event.get("timestamp"))
    level = _LEVELS.get(str(event.get("level", "")).casefold(), "unknown")
    extra = [f"{key}={value}" for key, value in event.items() if key not in _SAID_ELSEWHERE][:MAX_EXTRA]
    yield _entry(at, level, " ".join([text, *extra]) if extra else text, source)
    for error in event.get("error_detail") or ():
        if isinstance(error, dict):
            for frame in error.get("frames") or ():
                if isinstance(frame, dict):
                    where = f'File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}'
                    yield _entry(at, level, f"  {where}", source)
            yield _entry(at, level, f"{error.get('exc_type')}: {error.get('exc_value')}", source)


def _entry(at: datetime | None, level: LogLevel, text: str, source: Source) -> LogEntry:
    at_ns = None
    if at is not None:
        at_ns = str((int(at.timestamp()) * 1_000_000 + at.microsecond) * 1000)
    return LogEntry(
        at=at, at_ns=at_ns, source=clean(source.task, 250), level=level, message=clean(text), labels=source.labels
    )


def error_line(entries: list[LogEntry]) -> str | None:
    """What a failed task says of its failure: its last line of an error, which a traceback ends with."""
    errors = [entry for entry in entries if entry.health == "critical" and entry.message.strip()]
    own = [entry for entry in errors if not entry.message.startswith(("Task failed with exception", "  File "))]
    return (own or errors)[-1].message.strip() if errors else None
