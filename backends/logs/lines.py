"""One line of a log, understood: its time, its level, its message. Pure functions, shared by every log adapter.

Known are the text formats of `formats`, ISO 8601 times before any text, JSON and logfmt (`structured`), and what
container runtimes put around them (`wrappers`). What is not recognised is left null or `unknown`, never guessed.
"""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct, structs

from backends.logs.formats import Head, head_of, level_behind_time
from backends.logs.levels import at_least, leading_level, level_of, level_of_prose, level_of_syslog, worse
from backends.logs.stamps import NANOSECONDS, Stamp, iso_at_start, nanoseconds, parse_time
from backends.logs.structured import Fields, fields_of
from backends.logs.wrappers import piece_of, without_prefix
from backends.models import LogEntry, LogLevel
from backends.text import clean, clean_labels, without_escapes

__all__ = [
    "MAX_LABELS", "MAX_LINE_BYTES", "NANOSECONDS", "Read", "at_least", "entry_of", "leads_with_level",
    "level_of", "nanoseconds", "parse_line", "parse_text", "parse_time", "plain", "read_line", "time_of",
]  # fmt: skip

MAX_LINE_BYTES = 64 * 1024
MAX_LABELS = 32
BOM = b"\xef\xbb\xbf"

_SEPARATORS = re.compile(r"[ \t]*(?:[-:][ \t]+|,[ \t]*|\|[ \t]*)|[ \t]+")
_LEVEL_COLUMNS = 9  # the longest word, padded as `%(levelname)-8s ` does; more spaces than that are the message's own
_INDENTED = re.compile(r"[ \t]+(?=[\[(]?\d{4}[-/.]?\d\d)")  # Rust's tracing, Consul of old
# What PostgreSQL says more of the message before, each behind its own prefix; the two spaces are its own.
_POSTGRES_MORE = re.compile(r".{0,200}?(?<![\w-])(?:DETAIL|HINT|STATEMENT|CONTEXT|QUERY|LOCATION):  \S")
_PRIORITY = re.compile(r"<(\d{1,3})>(?:1 - )?(?=\S)")  # without a time: sd-daemon(3), /dev/kmsg, RFC 5424's NILVALUE
_TIME_OF_DAY = re.compile(r"\[?\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?(?:[AP]M)?[\] ] ?")  # zerolog, Serilog: of no day
_NEST = 3  # a line of a program within Compose's prefix within CRI's


class Read(Struct, frozen=True):
    """What a line says. `leads`: whether a message begins with it, since it has a time or a level before its text;
    `timed`: whether that time is the program's own, not that of its container runtime."""

    at: Stamp | None
    level: LogLevel
    message: str
    labels: dict[str, str] = {}
    leads: bool = True
    timed: bool = True


def plain(text: str) -> str:
    """A line without its end, colors and other escape sequences, and what a writer left before it: a BOM, NULs."""
    text = text.rstrip("\r\n")
    if text.isprintable():
        return text
    if "\x1b" in text or "\x9b" in text:
        text = without_escapes(text)
    return text.lstrip("\ufeff\x00")


def parse_line(
    raw: bytes,
    *,
    source: str,
    zone: ZoneInfo | None = None,
    encoding: str = "utf-8",
    labels: dict[str, str] | None = None,
    written: datetime | None = None,
) -> LogEntry:
    """One line as it stands in a file, of which at most `MAX_LINE_BYTES` are looked at. Never raises."""
    return parse_text(_decoded(raw, encoding), source=source, zone=zone, labels=labels, written=written)


def parse_text(
    text: str,
    *,
    source: str,
    zone: ZoneInfo | None = None,
    labels: dict[str, str] | None = None,
    written: datetime | None = None,
) -> LogEntry:
    """`parse_line` for text that is decoded already. `written`: no line of the file is younger; None: than now."""
    return entry_of(read_line(text, zone, written), source, labels)


def entry_of(line: Read, source: str, labels: dict[str, str] | None = None) -> LogEntry:
    """A line that was read as the model has it."""
    return LogEntry(
        at=line.at[0] if line.at else None,
        at_ns=str(line.at[1]) if line.at else None,
        source=source,
        level=line.level,
        message=clean(line.message),
        labels=(labels or {}) | line.labels,
    )


def time_of(
    raw: bytes, zone: ZoneInfo | None = None, encoding: str = "utf-8", written: datetime | None = None
) -> int | None:
    """Only the time of a line, in nanoseconds since the epoch."""
    text = plain(_decoded(raw, encoding))
    if found := iso_at_start(text, zone):
        return found[0][1]
    at = _read(text, zone, written, _NEST).at
    return at[1] if at else None


def leads_with_level(raw: bytes) -> bool:
    """Whether a line begins with its level, as in `ERROR: no such table` or `[warn] slow`."""
    return leading_level(plain(raw[:256].decode("utf-8", "replace")), after_time=False) is not None


def read_line(text: str, zone: ZoneInfo | None = None, written: datetime | None = None) -> Read:
    """What one line says, as `parse_text`, before it is made an entry."""
    return _read(plain(text), zone, written, _NEST)


def _decoded(raw: bytes, encoding: str) -> str:
    return raw.lstrip(b"\0").removeprefix(BOM)[:MAX_LINE_BYTES].decode(encoding, "replace")


def _read(text: str, zone: ZoneInfo | None, written: datetime | None, depth: int) -> Read:
    if depth and (piece := piece_of(text)) is not None:
        inner = _read(plain(piece.text), zone, written, depth - 1)
        return Read(
            parse_time(piece.at) or inner.at, inner.level, inner.message, inner.labels, inner.leads, inner.timed
        )
    if found := iso_at_start(text, zone):
        read = _after_time(found[0], text[found[1] :])
        if read.level == "unknown" or ": {" in text[:160]:
            head = head_of(text, zone, written) if ": " in text[:160] else None
            return _of_head(head) if head and read.leads else read
        return read
    if text[:1] == "{" and (fields := fields_of(text, zone, written)) is not None:
        return _structured(fields, text, None, depth)
    if head := head_of(text, zone, written):
        return _of_head(head)
    if (fields := fields_of(text, zone, written)) is not None:
        return _structured(fields, text, None)
    if depth and (rest := without_prefix(text)) is not text:
        return _read(plain(rest), zone, written, depth - 1)
    if (indent := _INDENTED.match(text)) and (found := iso_at_start(text[indent.end() :], zone)):
        read = _after_time(found[0], text[indent.end() + found[1] :])
        if read.level != "unknown":
            return read
    if (priority := _PRIORITY.match(text)) and (syslog := level_of_syslog(priority[1])) != "unknown":
        return Read(None, syslog, text[priority.end() :], timed=False)
    if leading := leading_level(text, after_time=False):
        return Read(None, leading[0], _unpadded(text, leading[1]), timed=False)
    if (hour := _TIME_OF_DAY.match(text)) and (leading := leading_level(text[hour.end() :], after_time=True)):
        return Read(None, leading[0], text, timed=False)
    return Read(None, level_of(text), text, leads=False, timed=False)


def _of_head(head: Head) -> Read:
    if head.level is not None:
        return Read(head.at, head.level, head.message)
    kept, body = head.message[: head.body], head.message[head.body :]
    inner = _of_body(head.at, body)
    if inner.level == "unknown" and kept:
        inner = structs.replace(inner, level=level_of(head.message))
    if inner.level == "unknown" and head.is_prose:
        inner = structs.replace(inner, level=level_of_prose(body))
    level = worse(inner.level, head.floor)
    if kept:  # a level that is named behind a host and a program stays part of the message
        message = f"{kept}{inner.message if body.startswith('{') else body}"
        return Read(head.at, level, message, inner.labels, inner.leads)
    return Read(head.at, level, inner.message, inner.labels, inner.leads)


def _after_time(at: Stamp, rest: str) -> Read:
    separator = _SEPARATORS.match(rest)
    read = _of_body(at, rest[separator.end() :] if separator else rest)
    if read.message[:2] == "] ":  # of `[TIME LEVEL] message`
        return structs.replace(read, message=read.message[2:])
    return read


def _of_body(at: Stamp, body: str) -> Read:
    """What stands behind a time: JSON, logfmt, a level and a message, or a message."""
    if body[:1] == "{" or "=" in body[:64]:
        fields = fields_of(body, None)
        if fields is not None and (fields.level != "unknown" or fields.message is not None):
            return _structured(fields, body, at)
    if ":  " in body[:240] and _POSTGRES_MORE.match(body):
        return Read(at, "unknown", body, leads=False)
    if leading := leading_level(body, after_time=True):
        if body[leading[1] :].startswith("| ") and (own := leading_level(body[leading[1] + 2 :], after_time=True)):
            leading = own[0], leading[1] + 2 + own[1]  # `TRACE | WARN | …` of Datadog's trace agent
        return Read(at, leading[0], _unpadded(body, leading[1]))
    if found := level_behind_time(body):
        return Read(at, found[0], body[found[1] :])
    return Read(at, level_of(body), body)


def _unpadded(text: str, end: int) -> str:
    """`text` behind its level, without that one's padding and one dash, but with an indent of its own."""
    width, text = len(text[:end].rstrip(":")), text[end:]
    spaces = len(text) - len(text.lstrip(" "))
    text = text[min(spaces, max(1, _LEVEL_COLUMNS - width)) :].removeprefix("\t")
    return text[2:] if text.startswith(("- ", "| ")) else text


def _structured(fields: Fields, text: str, at: Stamp | None, depth: int = 0) -> Read:
    """A line of fields; where none of them says how severe it is, its message may: a collector has wrapped a line."""
    message = text if fields.message is None else fields.message
    level, at, more = fields.level, at or fields.at, fields.rest
    if depth and level == "unknown" and fields.message:
        inner = _read(plain(message), None, None, depth - 1)
        level, at, message = inner.level, at or inner.at, inner.message
        more = fields.rest | inner.labels
    labels = clean_labels(dict(list(more.items())[:MAX_LABELS]))
    return Read(at, level, message, labels, timed=at is not None)
