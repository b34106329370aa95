"""Following files as they grow: by inode, so that a rotated file is drained and its successor read from the start.

Polled rather than watched: network and overlay file systems do not announce what other hosts write.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from backends.logs.lines import MAX_LINE_BYTES, parse_line
from backends.logs.merging import gap
from backends.logs.reading import LineFilter, LineFormat
from backends.models import LogEntry

PARTIAL_LINE_S = 1.0
GONE_FILE_S = 10.0  # a writer may hold a rotated file open for a while
MAX_BEHIND = 256 * 1024 * 1024  # more than this unread: the writer is faster than the reader
KEPT_BEHIND = 8 * 1024 * 1024
_READ_BYTES = 256 * 1024
_BYTES_PER_POLL = 4 * 1024 * 1024

Inode = tuple[int, int]


class GrowingFile:
    """One open file, read from an offset on. Keeps at most one partial line of `MAX_LINE_BYTES`."""

    def __init__(self, path: Path, *, from_end: bool) -> None:
        self.path, self.source = path, path.stem
        self._file = path.open("rb", buffering=0)
        self._offset = self.begins = self._last_line() if from_end else 0
        self._partial = bytearray()
        self._overflowed = False
        self._last_read = time.monotonic()
        self.skipped = 0

    def _last_line(self) -> int:
        """Where the line begins that is being written; the end where none is, or where it is too long already."""
        size = self._file.seek(0, os.SEEK_END)
        start = self._file.seek(max(0, size - MAX_LINE_BYTES))
        newline = self._file.read(size - start).rfind(b"\n")
        return start + newline + 1 if newline >= 0 or start == 0 else size

    def read(self) -> list[bytes]:
        """The lines that were finished since the last call; a partial one when nothing came for a second."""
        size = os.fstat(self._file.fileno()).st_size
        lines: list[bytes] = []
        if size < self._offset:  # truncated in place: what is there now is new
            lines += self.flush()
            self._offset, self._overflowed = 0, False
        budget = _BYTES_PER_POLL
        if size - self._offset > MAX_BEHIND:
            self._skip(size - KEPT_BEHIND)
        while self._offset < size and budget > 0:
            self._file.seek(self._offset)
            chunk = self._file.read(min(_READ_BYTES, size - self._offset))
            if not chunk:
                break
            self._offset += len(chunk)
            budget -= len(chunk)
            self._last_read = time.monotonic()
            self._split(chunk, lines)
        if self._partial and time.monotonic() - self._last_read >= PARTIAL_LINE_S:
            lines += self.flush()
        return lines

    def _skip(self, to: int) -> None:
        """Go on at the first line after an offset, and count what lies before it."""
        self._partial.clear()
        self._file.seek(self._offset)
        while self._offset < to:
            chunk = self._file.read(min(_READ_BYTES, to - self._offset))
            self._offset += len(chunk)
            self.skipped += chunk.count(b"\n")
        self.skipped += 1
        while (chunk := self._file.read(MAX_LINE_BYTES)) and (end := chunk.find(b"\n")) < 0:
            self._offset += len(chunk)
        self._offset += end + 1 if chunk else 0

    def _split(self, chunk: bytes, lines: list[bytes]) -> None:
        *finished, rest = chunk.split(b"\n")
        for piece in finished:
            self._partial += piece[: MAX_LINE_BYTES - len(self._partial)]
            if not self._overflowed:
                lines.append(bytes(self._partial))
            self._partial.clear()
            self._overflowed = False
        self._partial += rest[: MAX_LINE_BYTES - len(self._partial)]

    def flush(self) -> list[bytes]:
        """The partial line as it is; the rest of a line that was given out while unfinished is a line of its own,
        but nothing more comes of one that was cut."""
        if not self._partial or self._overflowed:
            self._partial.clear()
            return []
        line = bytes(self._partial)
        self._overflowed = len(line) >= MAX_LINE_BYTES
        self._partial.clear()
        return [line]

    def idle_s(self) -> float:
        """Seconds since something was read."""
        return time.monotonic() - self._last_read

    def close(self) -> None:
        """Release the file."""
        self._file.close()


class Follower:
    """All files of a log source. `poll()` and `close()` are called from one thread, or under one lock."""

    def __init__(
        self, find: Callable[[], Iterable[Path]], wanted: LineFilter, line_format: LineFormat, *, from_end: bool = True
    ) -> None:
        self._find, self._wanted, self._format = find, wanted, line_format
        self._from_end = from_end
        self._files: dict[Inode, GrowingFile] = {}

    def begin(self) -> dict[Path, int]:
        """Open what is there; the offset in each file up to which its lines are no news. Raises OSError as `poll`."""
        self._open_new()
        return {file.path: file.begins for file in self._files.values()}

    def poll(self) -> list[LogEntry]:
        """New matching lines of all files, in time order; a line without a time stays behind the one before it.

        Raises OSError where none of the files can be opened.
        """
        present = self._open_new()
        timed: list[tuple[int, LogEntry]] = []
        for inode, file in list(self._files.items()):
            lines = file.read()
            entries = [gap(file.source, file.skipped, "written faster than they can be read")] if file.skipped else []
            file.skipped = 0
            entries += [entry for raw in lines for entry in self._entries(raw, file.source)]
            if inode not in present and file.idle_s() > GONE_FILE_S:
                entries += [entry for raw in file.flush() for entry in self._entries(raw, file.source)]
                file.close()
                del self._files[inode]
            timed += with_sort_time(entries)
        timed.sort(key=lambda pair: pair[0])
        return [entry for _, entry in timed]

    def _open_new(self) -> set[Inode]:
        present: set[Inode] = set()
        unreadable: OSError | None = None
        for path in self._find():
            try:
                status = path.stat()
                inode = (status.st_dev, status.st_ino)
                if stat.S_ISREG(status.st_mode) and inode not in self._files:
                    self._files[inode] = GrowingFile(path, from_end=self._from_end)
                present.add(inode)
            except FileNotFoundError:
                continue  # rotated away between the look and the open
            except OSError as error:
                unreadable = unreadable or error
        if unreadable and not self._files:
            raise unreadable
        self._from_end = False
        return present

    def _entries(self, raw: bytes, source: str) -> list[LogEntry]:
        text = raw.decode(self._format.encoding, "replace")
        if not text.strip() or not self._wanted.matches(text):
            return []
        entry = parse_line(
            raw, source=source, zone=self._format.zone, encoding=self._format.encoding, labels=self._format.labels
        )
        return [entry] if self._wanted.accepts(entry) else []

    def close(self) -> None:
        """Release all files; safe to call twice."""
        for file in self._files.values():
            file.close()
        self._files.clear()


def with_sort_time(entries: list[LogEntry]) -> list[tuple[int, LogEntry]]:
    """Each entry of one file with the time in nanoseconds to sort it by: its own, else that of the line before it."""
    last = next((int(entry.at_ns) for entry in entries if entry.at_ns), 0)
    timed = []
    for entry in entries:
        last = int(entry.at_ns) if entry.at_ns else last
        timed.append((last, entry))
    return timed
