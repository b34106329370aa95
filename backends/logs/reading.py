"""Reading a log file from its end: in blocks, within a window of time, without ever holding the file.

A line longer than `MAX_LINE_BYTES` is cut there; what is held at once is one block and the lines that were asked for.
Blocks are read, not mapped: a mapped file that its writer truncates in place ends the reader with SIGBUS.
"""

import errno
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import AnyStr, BinaryIO
from zoneinfo import ZoneInfo

from msgspec import Struct

from backends.errors import BackendError
from backends.inflating import DamagedError, Gunzip
from backends.logs.lines import MAX_LINE_BYTES, at_least, nanoseconds, parse_line, parse_text, time_of
from backends.models import LogEntry, LogLevel
from backends.ports import LogQuery
from backends.text import clean

FIRST_BLOCK = 64 * 1024
LARGEST_BLOCK = 1024 * 1024
MAX_INFLATED_BYTES = 2 * 2**30
_TIMELESS_BYTES = 256 * 1024  # so far is looked for a line with a time before a stretch counts as having none

# Every way to say warning or worse has one of these; they are looked for in a whole block, only its hits are parsed.
_BAD: tuple[LogLevel, ...] = ("warning", "error", "critical")
_BAD_STEMS = (b"err", b"warn", b"crit", b"fatal", b"severe", b"panic", b"emerg", b"alert", b"exception", b"traceback")
# A pattern with these can match a line alone, yet not as part of a block, so it is asked line by line.
_LINE_EDGES = re.compile(r"\\[AZ]|\(\?[!<]")


class LineFormat(Struct, frozen=True):
    """How the lines of a file are read: the zone of naive times (None: local), the encoding, labels for every line."""

    zone: ZoneInfo | None = None
    encoding: str = "utf-8"
    labels: dict[str, str] = {}


class LineFilter:
    """The part of a `LogQuery` that is asked of every line. Raises re.error for a pattern that is none."""

    def __init__(self, query: LogQuery) -> None:
        self.since, self.until, self.level = query.since, query.until, query.level
        self.pattern = re.compile(query.grep) if query.grep else None
        self._in_block: re.Pattern[str] | None = None
        self._in_bytes: tuple[re.Pattern[bytes], re.Pattern[bytes]] | None = None
        if query.grep and not _LINE_EDGES.search(query.grep):
            self._in_block = re.compile(query.grep, re.MULTILINE)
            if query.grep.isascii():
                raw = query.grep.encode()
                self._in_bytes = re.compile(raw, re.MULTILINE), re.compile(raw)

    def accepts(self, entry: LogEntry) -> bool:
        """Level and time; a line without a time lies behind one that was accepted."""
        if not at_least(entry.level, self.level):
            return False
        return entry.at is None or self._contains(entry.at)

    def _contains(self, at: datetime) -> bool:
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)

    def candidates(self, block: bytes, encoding: str) -> Sequence[str | bytes]:
        """The lines of a block that may be accepted, in file order; bytes where nothing had to be decoded."""
        if self.pattern is None:
            return _bad_lines(block) if self.level in _BAD else block.split(b"\n")
        if self._in_bytes is not None and block.isascii():  # then a pattern means the same in bytes, at 4 x the speed
            return _matching_lines(block, *self._in_bytes, b"\n")
        text = block.decode(encoding, "replace")
        if self._in_block is None:
            return [line for line in text.split("\n") if self.pattern.search(line, 0, MAX_LINE_BYTES)]
        return _matching_lines(text, self._in_block, self.pattern, "\n")

    def matches(self, text: str) -> bool:
        """The pattern alone, on one line."""
        return self.pattern is None or self.pattern.search(text) is not None


def line_filter(query: LogQuery, name: str) -> LineFilter:
    """The filter of a query to the source `name`. Raises BackendError(config) for a `grep` that is none."""
    try:
        return LineFilter(query)
    except re.error as error:
        words = clean(f"logs {name}: not a regular expression: {query.grep}: {error}")
        raise BackendError("config", words, fix="escape it") from None


def _matching_lines(
    text: AnyStr, in_block: "re.Pattern[AnyStr]", in_line: "re.Pattern[AnyStr]", newline: AnyStr
) -> list[AnyStr]:
    lines: list[AnyStr] = []
    position = 0
    while position < len(text) and (found := in_block.search(text, position)):
        start = text.rfind(newline, position, found.start()) + 1 or position
        end = text.find(newline, found.start())
        end = len(text) if end < 0 else end
        line = text[start : min(end, start + MAX_LINE_BYTES)]
        if in_line.search(line):
            lines.append(line)
        position = end + 1
    return lines


def _bad_lines(block: bytes) -> list[bytes]:
    lowered = block.lower()  # a case-insensitive regular expression takes ten times as long
    spans: set[tuple[int, int]] = set()
    for stem in _BAD_STEMS:
        position = lowered.find(stem)
        while position >= 0:
            end = lowered.find(b"\n", position)
            end = len(lowered) if end < 0 else end
            spans.add((lowered.rfind(b"\n", 0, position) + 1, end))
            position = lowered.find(stem, end)
    return [block[start:end] for start, end in sorted(spans)]


def search_file(
    path: Path,
    query: LogQuery,
    line_format: LineFormat,
    *,
    source: str = "",
    end: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[LogEntry]:
    """The last `query.limit` matching lines of one file, up to the offset `end`, in file order.

    Raises OSError and re.error.

    `since` and `until` are found by bisection. A file whose lines have no times is read as far as `limit` asks, unless
    its last change was before `since`. A `.gz` file can only be read from its start.
    """
    wanted = LineFilter(query)
    source = source or path.stem
    if path.suffix == ".gz":
        return _search_compressed(path, query, wanted, line_format, source.removesuffix(".log"), stopped)
    with path.open("rb") as file:
        start, until = _window(file, query, line_format)
        end = until if end is None else min(end, until)
        return _last_accepted(blocks_backwards(file, start, end), query.limit, wanted, line_format, source, stopped)


def _last_accepted(
    blocks: Iterable[bytes],
    limit: int,
    wanted: LineFilter,
    line_format: LineFormat,
    source: str,
    stopped: Callable[[], bool],
) -> list[LogEntry]:
    """The last `limit` lines of blocks that come last one first."""
    newest_first: list[LogEntry] = []
    for block in blocks:
        for line in reversed(wanted.candidates(block, line_format.encoding)):
            if len(newest_first) >= limit or stopped():
                return newest_first[::-1]
            if not line.strip():
                continue
            entry = _parse(line, source, line_format)
            if wanted.accepts(entry):
                newest_first.append(entry)
        if len(newest_first) >= limit or stopped():
            break
    return newest_first[::-1]


def _search_compressed(
    path: Path,
    query: LogQuery,
    wanted: LineFilter,
    line_format: LineFormat,
    source: str,
    stopped: Callable[[], bool],
) -> list[LogEntry]:
    """As `search_file`, from the start on: each block replaces the oldest lines that were found so far."""
    found: deque[LogEntry] = deque(maxlen=query.limit)
    if query.since is None or path.stat().st_mtime >= query.since.timestamp():
        for block in compressed_blocks(path):
            found.extend(_last_accepted([block], query.limit, wanted, line_format, source, stopped))
            if stopped():
                break
    return list(found)


def compressed_blocks(path: Path) -> Iterator[bytes]:
    """Blocks of whole lines of a gzip file; an empty one where a line goes on, so that whoever reads may stop.

    Raises OSError, also where it is no gzip file, ends too early, or holds more than `MAX_INFLATED_BYTES`.
    """
    gunzip, inflated, tail = Gunzip(), 0, b""
    try:
        with path.open("rb") as file:
            for block in _inflated(file, gunzip):
                inflated += len(block)
                if inflated > MAX_INFLATED_BYTES:
                    words = f"more than {MAX_INFLATED_BYTES >> 30} GB once inflated"
                    raise OSError(errno.EFBIG, words, str(path))
                whole, newline, rest = block.rpartition(b"\n")
                if newline:
                    yield tail + whole
                    tail = rest[:MAX_LINE_BYTES]
                else:
                    tail = (tail + block)[:MAX_LINE_BYTES]
                    yield b""
        if tail:
            yield tail
    except DamagedError as error:
        raise OSError(errno.EIO, f"broken gzip file: {error}", str(path)) from None


def _inflated(file: BinaryIO, gunzip: Gunzip) -> Iterator[bytes]:
    while data := file.read(FIRST_BLOCK):
        yield from gunzip.feed(data)
    if rest := gunzip.rest():
        yield rest


def _parse(line: str | bytes, source: str, line_format: LineFormat) -> LogEntry:
    if isinstance(line, bytes):
        return parse_line(
            line, source=source, zone=line_format.zone, encoding=line_format.encoding, labels=line_format.labels
        )
    return parse_text(line, source=source, zone=line_format.zone, labels=line_format.labels)


def blocks_backwards(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """Blocks of whole lines between two offsets, the last one first; each line at most a block long."""
    tail = b""  # of the line whose head is further up; only what fits behind no head at all is kept
    position, size = end, FIRST_BLOCK
    while position > start:
        take = min(size, position - start)
        position -= take
        size = min(size * 2, LARGEST_BLOCK)
        file.seek(position)
        block = file.read(take)
        if position <= start:
            yield block + tail
            return
        head, newline, rest = block.partition(b"\n")
        if not newline:
            tail = (block + tail)[:MAX_LINE_BYTES]
            continue
        yield rest + tail
        tail = head[:MAX_LINE_BYTES]


def _window(file: BinaryIO, query: LogQuery, line_format: LineFormat) -> tuple[int, int]:
    """The offsets between which the lines of the asked time lie."""
    status = os.fstat(file.fileno())
    size = status.st_size
    if query.since is not None and status.st_mtime < query.since.timestamp():
        return size, size
    if (query.since is None and query.until is None) or not _is_timed(file, size, line_format):
        return 0, size
    start = _offset_of(file, size, nanoseconds(query.since), line_format) if query.since else 0
    end = _offset_of(file, size, nanoseconds(query.until) + 1000, line_format) if query.until else size
    return start, max(start, end)


def _is_timed(file: BinaryIO, size: int, line_format: LineFormat) -> bool:
    return any(
        _first_timed(file, offset, min(size, offset + _TIMELESS_BYTES), line_format) is not None
        for offset in (0, max(0, size - FIRST_BLOCK))
    )


def _offset_of(file: BinaryIO, size: int, when_ns: int, line_format: LineFormat) -> int:
    """The offset of the first line at or after a time, `size` for none."""
    low, high = 0, size
    while high - low > FIRST_BLOCK:
        middle = (low + high) // 2
        found = _first_timed(file, middle, min(high, middle + _TIMELESS_BYTES), line_format)
        if found is None or found[1] >= when_ns:
            high = middle
        else:
            low = found[0]
    for offset, raw in _lines(file, low, size):
        at = time_of(raw, line_format.zone, line_format.encoding)
        if at is not None and at >= when_ns:
            return offset
    return size


def _first_timed(file: BinaryIO, start: int, end: int, line_format: LineFormat) -> tuple[int, int] | None:
    """(offset, time in ns) of the first line that begins in a stretch and has a time."""
    for offset, raw in _lines(file, start, end):
        at = time_of(raw, line_format.zone, line_format.encoding)
        if at is not None:
            return offset, at
    return None


def _lines(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """(offset, line) of the lines that begin in a stretch of a file, cut to `MAX_LINE_BYTES`."""
    position = start
    if start:
        file.seek(start - 1)
        position = start - 1 + _rest_of_line(file, end)
    file.seek(position)
    while position < end:
        raw = file.readline(MAX_LINE_BYTES)
        if not raw:
            return
        yield position, raw
        position += len(raw)
        if not raw.endswith(b"\n"):
            position += _rest_of_line(file, end)


def _rest_of_line(file: BinaryIO, end: int) -> int:
    """How many bytes there are up to and with the next line end, not looking past `end`."""
    length = 0
    while (raw := file.readline(MAX_LINE_BYTES)) and not raw.endswith(b"\n"):
        length += len(raw)
        if file.tell() >= end:
            break
    return length + len(raw)
