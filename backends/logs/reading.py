"""Reading a log file from its end: in blocks, within a window of time, without ever holding the file.

A line longer than `MAX_LINE_BYTES` is cut there; what is held at once is one block and the lines that were asked for.
Blocks are read, not mapped: a mapped file that its writer truncates in place ends the reader with SIGBUS.
"""

import errno
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

from msgspec import Struct, structs

from backends.files import naming, open_regular
from backends.logs.binary import binary_of, refusal
from backends.logs.compression import compression_of, inflated
from backends.logs.filtering import LineFilter, TakenBackwards, line_filter
from backends.logs.levels import at_least
from backends.logs.lines import BOM, MAX_LINE_BYTES, Read, entry_of, nanoseconds, read_line, time_of
from backends.logs.merging import note
from backends.logs.messages import Backwards, Belonging
from backends.logs.wrappers import Joiner, carried_over, piece_of
from backends.matching import Inode, inode_of
from backends.models import LogEntry
from backends.ports import LogQuery
from backends.text import without_escapes

__all__ = ["LineFilter", "LineFormat", "TakenBackwards", "blocks_backwards", "line_filter", "search_file"]

UNBOUNDED = "no line has a time that can be read: its last lines are shown whatever time is asked"
FIRST_BLOCK = 64 * 1024
LARGEST_BLOCK = 1024 * 1024
MAX_INFLATED_BYTES = 2 * 2**30
_TIMELESS_BYTES = 256 * 1024  # so far is looked for a line with a time before a stretch counts as having none


class LineFormat(Struct, frozen=True):
    """How the lines of a file are read: the zone of naive times (None: local), the encoding, labels for every line, and
    when the file was last written to (None: now), for times without a year."""

    zone: ZoneInfo | None = None
    encoding: str = "utf-8"
    labels: dict[str, str] = {}
    written: datetime | None = None

    def of(self, file: BinaryIO) -> "LineFormat":
        """The same for one file."""
        return structs.replace(self, written=datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC))

    def text(self, block: bytes) -> str:
        """Whole lines as text, without what is no part of them: line ends of Windows, colors."""
        text = block.decode("ascii" if block.isascii() else self.encoding, "replace")
        text = text.replace("\r\n", "\n") if "\r" in text else text
        return without_escapes(text) if "\x1b" in text or "\x9b" in text else text

    def read(self, line: str) -> Read:
        """One line."""
        return read_line(line[:MAX_LINE_BYTES], self.zone, self.written)


def search_file(
    path: Path,
    query: LogQuery,
    line_format: LineFormat,
    *,
    source: str | None = None,
    end: int | None = None,
    only: Inode | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[LogEntry]:
    """The last `limit` matching lines of a file before the offset `end`, or its `first` ones; oldest first. Raises
    OSError, FileNotFoundError too where another file than `only` is called so by now, and BackendError for a pattern
    that is none.

    `since` and `until` are found by bisection. A file whose lines have no times is read as far as `limit` asks, unless
    its last change was before `since`; a note says so; of its `first` lines since a time there are none. A compressed
    file can only be read from its start.
    """
    wanted = LineFilter(query)
    source = source or path.stem
    with naming(path), open_regular(path) as file:
        if only is not None and inode_of(os.fstat(file.fileno())) != only:
            raise FileNotFoundError(errno.ENOENT, "another file by now", str(path))
        line_format = line_format.of(file)
        compression = compression_of(file, path)
        if not compression and (what := binary_of(file, path)):
            raise refusal(what, path)
        if compression:
            if compression == "utf-16":
                line_format = structs.replace(line_format, encoding="utf-8")
            if query.since is not None and os.fstat(file.fileno()).st_mtime < query.since.timestamp():
                return []
            source = source.removesuffix(".log") if source == path.stem else source
            pieces = inflated(file, compression, path, most=MAX_INFLATED_BYTES, stopped=stopped)
            return _in_order(_whole_lines(pieces), query, wanted, line_format, source, stopped)
        start, until, is_bounded = _window(file, query, line_format)
        end = until if end is None else min(end, until)
        if query.first:
            if query.since is not None and not is_bounded:
                return []
            return _in_order(_whole_lines(_pieces(file, start, end)), query, wanted, line_format, source, stopped)
        found = _newest(blocks_backwards(file, start, end), query.limit, wanted, line_format, source, stopped)
    return found if is_bounded or not found else [note(source, UNBOUNDED), *found]


def _newest(
    blocks: Iterable[bytes],
    limit: int,
    wanted: LineFilter,
    line_format: LineFormat,
    source: str,
    stopped: Callable[[], bool],
) -> list[LogEntry]:
    """The last `limit` lines of blocks that come last one first."""
    newest_first: list[LogEntry] = []
    backwards: Backwards[LogEntry | None] = Backwards(wanted.level)
    carried: list[str] = []  # of the block below: what may end a line that begins in this one

    is_between = True  # messages; an empty line counts within one only

    def took(line: str, may_be_wanted: bool) -> bool:
        """Whether that was enough."""
        nonlocal is_between
        if line.strip() or not is_between:
            read = line_format.read(line)
            is_between = read.leads
            entry = entry_of(read, source, line_format.labels) if may_be_wanted else None
            for one in backwards.feed("", read, entry):
                if one is not None and wanted.in_time(one):
                    newest_first.append(one)
        return len(newest_first) >= limit or stopped()

    for block in blocks:
        text = line_format.text(block)
        if carried or piece_of(text.partition("\n")[0]) is not None:
            lines = [*text.split("\n"), *carried]
            carried = lines[: carried_over(lines)]
            marked = _marked(lines[len(carried) :], wanted)
        elif wanted.level is None:
            marked = [(line, True) for line in wanted.lines_of(text)]
        else:
            marked = wanted.marked_lines(text, until_head=backwards.waits)
        if any(took(line, may_be_wanted) for line, may_be_wanted in reversed(marked)):
            break
    else:
        any(took(line, may_be_wanted) for line, may_be_wanted in reversed(_marked(carried, wanted)))
        newest_first += [one for one in backwards.rest() if one is not None and wanted.in_time(one)]
    return newest_first[:limit][::-1]


def _marked(lines: list[str], wanted: LineFilter) -> list[tuple[str, bool]]:
    """Lines of a container runtime, joined, and whether each may be wanted."""
    joiner = Joiner()
    whole = [line for line in map(joiner.feed, lines) if line is not None]
    return [(line, wanted.matches(line)) for line in (*whole, *joiner.rest())]


def _in_order(
    blocks: Iterable[bytes],
    query: LogQuery,
    wanted: LineFilter,
    line_format: LineFormat,
    source: str,
    stopped: Callable[[], bool],
) -> list[LogEntry]:
    """The last lines of blocks that come in their order, or the first."""
    limit = query.limit
    found: deque[LogEntry] = deque(maxlen=None if query.first else limit)
    is_inside = not (query.first and query.since)  # a line without a time is where the one before it is
    only_last = wanted.level is None and not query.first and query.until is None
    belonging, joiner = Belonging(), Joiner()
    empty: list[Read] = []  # lines that count if they turn out to be within a message
    for block in blocks:
        text = line_format.text(block)
        if piece_of(text.partition("\n")[0]) is not None:
            whole = [line for line in map(joiner.feed, text.split("\n")) if line is not None]
            marked = [(line, wanted.matches(line)) for line in whole]
        elif wanted.level is None:
            marked = [(line, True) for line in wanted.lines_of(text)]
        else:
            marked = wanted.marked_lines(text, until_head=True)
        for line, may_be_wanted in marked[-limit:] if only_last else marked:
            read = line_format.read(line)
            if not line.strip():
                empty.append(read)
                continue
            if empty and not read.leads and may_be_wanted and at_least(belonging.level("", empty[0]), wanted.level):
                found.extend(entry_of(one, source, line_format.labels) for one in empty)
            empty.clear()
            if at_least(belonging.level("", read), wanted.level) and may_be_wanted:
                entry = entry_of(read, source, line_format.labels)
                is_inside = wanted.in_time(entry) if entry.at else is_inside
                if is_inside:
                    found.append(entry)
            if query.first and len(found) >= limit:
                return list(found)[:limit]
        if stopped():
            break
    return list(found)


def _pieces(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """What lies between two offsets, from its start; small at first, since few lines may be wanted."""
    position, size = start, FIRST_BLOCK
    while position < end:
        file.seek(position)
        piece = file.read(min(size, end - position))
        if not piece:
            return
        yield piece
        position += len(piece)
        size = min(size * 2, LARGEST_BLOCK)


def _whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Blocks of whole lines, each line at most `MAX_LINE_BYTES` long where it spans pieces."""
    tail, first = b"", True
    for piece in pieces:
        piece = piece.replace(b"\0", b"")
        if first:
            piece, first = piece.removeprefix(BOM), False
        whole, newline, rest = piece.rpartition(b"\n")
        if newline:
            yield tail + whole
            tail = rest[:MAX_LINE_BYTES]
        else:
            tail = (tail + piece)[:MAX_LINE_BYTES]
    if tail:
        yield tail


def blocks_backwards(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """Blocks of whole lines between two offsets, the last one first; each line at most a block long."""
    tail = b""  # of the line whose head is further up; only what fits behind no head at all is kept
    position, size = end, FIRST_BLOCK
    while position > start:
        take = min(size, position - start)
        position -= take
        size = min(size * 2, LARGEST_BLOCK)
        file.seek(position)
        block = file.read(take).replace(b"\0", b"")  # a hole that a truncated file has before its first line
        if position <= start:
            yield (block + tail).removeprefix(BOM if start == 0 else b"")
            return
        head, newline, rest = block.partition(b"\n")
        if not newline:
            tail = (block + tail)[:MAX_LINE_BYTES]
            continue
        yield rest + tail
        tail = head[:MAX_LINE_BYTES]


def _window(file: BinaryIO, query: LogQuery, line_format: LineFormat) -> tuple[int, int, bool]:
    """The offsets between which the lines of the asked time lie, and whether they could be found."""
    status = os.fstat(file.fileno())
    size = status.st_size
    if query.since is not None and status.st_mtime < query.since.timestamp():
        return size, size, True
    if query.since is None and query.until is None:
        return 0, size, True
    if not _is_timed(file, size, line_format):
        return 0, size, False
    start = _offset_of(file, size, nanoseconds(query.since), line_format) if query.since else 0
    end = _offset_of(file, size, nanoseconds(query.until) + 1000, line_format) if query.until else size
    return start, max(start, end), True


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
        at = time_of(raw, line_format.zone, line_format.encoding, line_format.written)
        if at is not None and at >= when_ns:
            return offset
    return size


def _first_timed(file: BinaryIO, start: int, end: int, line_format: LineFormat) -> tuple[int, int] | None:
    """(offset, time in ns) of the first line that begins in a stretch and has a time."""
    for offset, raw in _lines(file, start, end):
        at = time_of(raw, line_format.zone, line_format.encoding, line_format.written)
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
        begins, position = position, position + len(raw)
        while raw[-1:] == b"\0" and not raw.strip(b"\0") and position < end:  # a hole: the line is behind it
            raw = file.readline(MAX_LINE_BYTES)
            position += len(raw)
        yield begins, raw
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
