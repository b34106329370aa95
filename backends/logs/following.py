"""Following files as they grow: by inode, so that a rotated file is drained and its successor read from the start.

What lies before the place that was read to is remembered by its last bytes. Where those are no longer there, the file
was written anew; where a new file has them at the same place, it is a copy (logrotate's `copytruncate`), of which only
what follows is news.

Polled rather than watched: network and overlay file systems do not announce what other hosts write.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from backends.files import naming, open_regular
from backends.logs.binary import UTF_16, binary_of
from backends.logs.compression import compression_of
from backends.logs.lines import BOM, MAX_LINE_BYTES, entry_of
from backends.logs.merging import gap
from backends.logs.reading import LineFilter, LineFormat
from backends.logs.wrappers import Joiner
from backends.matching import Inode, inode_of
from backends.models import LogEntry

PARTIAL_LINE_S = 1.0
GONE_FILE_S = 10.0  # a writer may hold a rotated file open for a while
MAX_BEHIND = 256 * 1024 * 1024  # more than this unread: the writer is faster than the reader
KEPT_BEHIND = 8 * 1024 * 1024
_READ_BYTES = 256 * 1024
_BYTES_PER_POLL = 4 * 1024 * 1024
REMEMBERED = 256  # bytes before the place that was read to
COPYING_S = 2.0  # so long a new file may still become a copy of one that is followed
MAX_OPEN = 500


class GrowingFile:
    """One open file, read from an offset on. Keeps at most one partial line of `MAX_LINE_BYTES`."""

    def __init__(self, path: Path, *, begins: int | None) -> None:
        """`begins`: from where to read; None: from the line that is being written."""
        self.path, self.source = path, path.stem
        self._file = open_regular(path, buffering=0)
        try:
            self._look(path, begins)
        except OSError:
            self._file.close()
            raise

    def _look(self, path: Path, begins: int | None) -> None:
        packed = compression_of(self._file, path)
        self.is_no_text = packed not in (None, "utf-16") or binary_of(self._file, path) is not None
        self._offset = self.begins = self._last_line() if begins is None else begins
        self._partial = bytearray()
        self._overflowed = False
        self._last_read = time.monotonic()
        self._pieces = Joiner()
        self.skipped = self.empty_lines = 0
        self.places = [(self._offset, self._before(self._offset))]
        self._head = os.pread(self._file.fileno(), REMEMBERED, 0)

    def _last_line(self) -> int:
        """Where the line begins that is being written; the end where none is, or where it is too long already."""
        size = self._file.seek(0, os.SEEK_END)
        start = self._file.seek(max(0, size - MAX_LINE_BYTES))
        newline = self._file.read(size - start).rfind(b"\n")
        return start + newline + 1 if newline >= 0 or start == 0 else size

    def _before(self, offset: int) -> bytes:
        """The bytes before an offset, as far as there are any."""
        start = max(0, offset - REMEMBERED)
        return os.pread(self._file.fileno(), offset - start, start)

    def is_named_after(self, other: "GrowingFile") -> bool:
        """Whether it may be a rotation of another file, as `app.log.1` and `app-1.log` of `app.log`: two services that
        begin with the same words are no copies of each other."""
        return self.path.name.startswith(other.path.name.partition(".")[0])

    def has_read_of(self, other: "GrowingFile") -> int | None:
        """Up to where another file was read, this one being a copy of it; None where it is none."""
        for offset, remembered in reversed(other.places):
            if offset and remembered and self._before(offset) == remembered:
                return offset
        return None

    def may_become(self, other: "GrowingFile") -> bool:
        """Whether it begins as another file did, and is not as long yet."""
        begins = os.pread(self._file.fileno(), REMEMBERED, 0)
        return self.size() < other.places[0][0] and other._head.startswith(begins)

    def size(self) -> int:
        """Bytes that are there now."""
        return os.fstat(self._file.fileno()).st_size

    def go_to(self, offset: int) -> None:
        """Read on from there."""
        self._offset = self.begins = offset
        self.places = [(offset, self._before(offset))]

    def read(self) -> list[bytes]:
        """The lines that were finished since the last call; a partial one when nothing came for a second."""
        size = self.size()
        lines: list[bytes] = []
        if size != self._offset and (size < self._offset or self._before(self._offset) != self.places[-1][1]):
            lines += self.flush()  # truncated in place, or written anew: what is there now is new
            self._offset, self._overflowed = 0, False
            self.places = [self.places[-1], (0, b"")]
        budget = _BYTES_PER_POLL
        if size - self._offset > MAX_BEHIND:
            self._skip(size - KEPT_BEHIND)
        while self._offset < size and budget > 0:
            self._file.seek(self._offset)
            chunk = self._file.read(min(_READ_BYTES, size - self._offset))
            if not chunk:
                break
            text = _without_mark(chunk) if self._offset == 0 else chunk
            text = text.replace(b"\0", b"")
            self._offset += len(chunk)
            budget -= len(chunk)
            self._last_read = time.monotonic()
            self._split(text, lines)
        self._remember()
        if self._partial and time.monotonic() - self._last_read >= PARTIAL_LINE_S:
            lines += self.flush()
        return lines

    def _remember(self) -> None:
        """The place that was read to; where the file was truncated, the one before that stays known."""
        if self.places[-1][0] != self._offset:
            self.places[-1] = self._offset, self._before(self._offset)
        if len(self._head) < REMEMBERED and len(self.places) == 1:
            self._head = os.pread(self._file.fileno(), REMEMBERED, 0)

    def whole(self, line: str) -> str | None:
        """A line of a container runtime once all of its pieces are there; others as they are."""
        return self._pieces.feed(line)

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


def _without_mark(begins: bytes) -> bytes:
    return next((begins.removeprefix(mark) for mark in (BOM, *UTF_16) if begins.startswith(mark)), begins)


class Follower:
    """All files of a log source. `poll()` and `close()` are called from one thread, or under one lock."""

    def __init__(
        self,
        find: Callable[[], Iterable[Path]],
        wanted: LineFilter,
        line_format: LineFormat,
        *,
        from_end: bool = True,
        called: Callable[[Path], str] = lambda path: path.stem,
    ) -> None:
        """`find` gives the files, those that were written to last first; `called` what each is called."""
        self._find, self._wanted, self._format = find, wanted, line_format
        self._from_end, self._called = from_end, called
        self._files: dict[Inode, GrowingFile] = {}
        self._resting: dict[Inode, int] = {}  # too many to be open: where each is to be read from once it is written to
        self._new: dict[Inode, tuple[GrowingFile, float]] = {}  # may be copies that are being made

    def begin(self) -> dict[Inode, int]:
        """Open what is there; the offset in each file up to which its lines are no news. Raises OSError as `poll`."""
        self._open_new()
        return {inode: file.begins for inode, file in self._files.items()} | self._begins_of_resting

    def poll(self) -> list[LogEntry]:
        """New matching lines of all files, in time order; a line without a time stays behind the one before it.

        Raises OSError where none of the files can be opened.
        """
        present = self._open_new()
        timed: list[tuple[int, LogEntry]] = []
        for inode, file in list(self._files.items()):
            try:
                with naming(file.path):
                    lines = file.read()
            except OSError as error:
                timed += with_sort_time([gap(file.source, None, f"cannot be read on: {error.strerror}")])
                self._resting[inode] = file.size()  # until it is written to
                file.close()
                del self._files[inode]
                continue
            entries = [gap(file.source, file.skipped, "written faster than they can be read")] if file.skipped else []
            file.skipped = 0
            entries += self._entries(lines, file)
            if inode not in present and file.idle_s() > GONE_FILE_S:
                entries += self._entries(file.flush(), file)
                file.close()
                del self._files[inode]
            timed += with_sort_time(entries)
        timed.sort(key=lambda pair: pair[0])
        return [entry for _, entry in timed]

    def _open_new(self) -> set[Inode]:
        present: set[Inode] = set()
        unreadable: OSError | None = None
        self._begins_of_resting: dict[Inode, int] = {}
        for number, path in enumerate(self._find()):
            try:
                status = path.stat()
                inode = inode_of(status)
                present.add(inode)
                if inode in self._files or inode in self._new or not stat.S_ISREG(status.st_mode):
                    continue
                if self._from_end and number >= MAX_OPEN:
                    self._resting[inode] = self._begins_of_resting[inode] = status.st_size
                elif status.st_size != self._resting.get(inode):
                    self._open(path, inode)
            except FileNotFoundError:
                continue  # rotated away between the look and the open
            except OSError as error:
                unreadable = unreadable or error
        if unreadable and not self._files and not self._new:
            raise unreadable
        self._from_end = False
        self._take_new()
        return present

    def _open(self, path: Path, inode: Inode) -> None:
        begins = None if self._from_end else self._resting.pop(inode, 0)
        with naming(path):
            file = GrowingFile(path, begins=begins)
        file.source = self._called(path)
        if file.is_no_text:
            self._resting[inode] = file.size()
            file.close()
        elif begins == 0 and self._files:
            self._new[inode] = file, time.monotonic()
        else:
            self._files[inode] = file

    def _take_new(self) -> None:
        """Read new files from their start, but copies of those that are followed from where those were read to."""
        for inode, (file, since) in list(self._new.items()):
            others = [other for other in self._files.values() if file.is_named_after(other)]
            read = [offset for other in others if (offset := file.has_read_of(other)) is not None]
            if read:
                file.go_to(max(read))
            elif time.monotonic() - since < COPYING_S and any(map(file.may_become, others)):
                continue
            self._files[inode] = file
            del self._new[inode]

    def _entries(self, lines: Iterable[bytes], file: GrowingFile) -> list[LogEntry]:
        entries = []
        for raw in lines:
            line = file.whole(self._format.text(raw).removesuffix("\r"))
            if line is None:
                continue
            if not line.strip():
                file.empty_lines += 1
                continue
            if self._wanted.level is None and not self._wanted.matches(line):
                file.empty_lines = 0
                continue
            read = self._format.read(line)
            empty = 0 if read.leads else file.empty_lines  # one counts within a message only
            for text in [*[""] * empty, line]:
                entry = entry_of(read if text else self._format.read(""), file.source, self._format.labels)
                if self._wanted.takes(text, entry, file.path):
                    entries.append(entry)
            file.empty_lines = 0
        return entries

    def close(self) -> None:
        """Release all files; safe to call twice."""
        for file in (*self._files.values(), *(file for file, _ in self._new.values())):
            file.close()
        self._files.clear()
        self._new.clear()


def with_sort_time(entries: list[LogEntry]) -> list[tuple[int, LogEntry]]:
    """Each entry of one file with the time in nanoseconds to sort it by: its own, else that of the line before it."""
    last = next((int(entry.at_ns) for entry in entries if entry.at_ns), 0)
    timed = []
    for entry in entries:
        last = int(entry.at_ns) if entry.at_ns else last
        timed.append((last, entry))
    return timed
