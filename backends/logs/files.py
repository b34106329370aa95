"""Log files on this host: their end, a window of time, a search, and what is being written.

```toml
[[contexts.production.logs]]
type = "files"
paths = ["/var/log/analytics/*.log*"]  # globs, `**` too; compressed files are read, never followed
timezone = "Europe/Berlin"             # of times without an offset; default: that of this host, whatever TZ says
encoding = "utf-8"
```
"""

import asyncio
import codecs
import errno
import glob
import heapq
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct, structs

from backends.errors import BackendError, ErrorKind
from backends.files import no_file
from backends.logs.compression import SUFFIXES
from backends.logs.following import Follower, with_sort_time
from backends.logs.lines import nanoseconds
from backends.logs.merging import gap, is_note, note
from backends.logs.reading import UNBOUNDED, LineFormat, line_filter, search_file
from backends.matching import MAX_NAMES, Inode, Match, Matches, inode_of, matching
from backends.models import LogEntry
from backends.paths import path_of
from backends.ports import LogQuery
from backends.registry import AdapterContext
from backends.text import clean
from backends.threads import DaemonThreads

T = TypeVar("T")

POLL_S = 0.25
MOST_SAID = 20  # so many of what may not be read are named
ROUNDS = 3  # so often files that are rotated meanwhile are looked for anew
MAX_FILES = 1000  # so many, the last that were written to, are read at most


class FilesConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files, and how their lines are to be read.

    paths: globs, `**` too; compressed files are read, never followed.
    timezone: of times without an offset; by default that of this host (`/etc/localtime`), whatever `TZ` says.
    encoding: a superset of ASCII.
    """

    paths: tuple[str, ...]
    timezone: str | None = None
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if not self.paths:
            raise ValueError("paths: at least one is needed")
        if self.timezone is not None:
            _zone(self.timezone)
        try:
            splits_at_newlines = "\n".encode(_encoding(self.encoding)) == b"\n"
        except LookupError:
            raise ValueError(f'encoding: there is none called "{self.encoding}"') from None
        if not splits_at_newlines:
            raise ValueError(f"encoding: {self.encoding} is not a superset of ASCII")


def _encoding(name: str) -> str:
    """The same without the mark that only a file's first line has: it is left out of each."""
    found = codecs.lookup(name).name
    return "utf-8" if found == "utf-8-sig" else found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f'timezone: there is none called "{name}"') from None


class FileLogs:
    """`Logs` over files. A glob that matches nothing is no error: the file may come."""

    api = 1
    Config = FilesConfig

    def __init__(self, config: FilesConfig, context: AdapterContext) -> None:
        self._name = context.name
        self._globs = [str(path_of(path, context.base_dir)) for path in config.paths]
        self._format = LineFormat(
            zone=_zone(config.timezone) if config.timezone else None, encoding=_encoding(config.encoding), labels={}
        )
        self._threads: DaemonThreads | None = None
        self._names: dict[Path, str] = {}

    async def query(self, query: LogQuery) -> list[LogEntry]:
        """The last `limit` matching lines over all files, oldest first.

        Where some files may not be read, one line of level `error` each says so, before the others. Raises
        BackendError: `auth` where none may be read, `config` for a `grep` that is no regular expression.
        """
        stop = threading.Event()
        if self._threads is None:
            self._threads = DaemonThreads(2, f"logs-{self._name}")
        try:
            return await _in_thread(self._threads, lambda: self._query(query, stop.is_set))
        finally:
            stop.set()

    async def follow(self, query: LogQuery) -> AsyncIterator[LogEntry]:
        """As the port says, over all files, rotated and truncated ones included. Raises as `query`."""
        wanted = line_filter(structs.replace(query, since=None), self._name)
        follower = Follower(self._plain_files, wanted, self._format, called=self._called)
        threads = DaemonThreads(1, f"logs-{self._name}")
        stop = threading.Event()
        try:
            try:
                ends = await _in_thread(threads, follower.begin)
                entries = await _in_thread(threads, lambda: self._query(query, stop.is_set, ends))
                while True:
                    for entry in entries:
                        yield entry
                    await asyncio.sleep(POLL_S)
                    entries = await _in_thread(threads, follower.poll)
            except OSError as error:
                raise self._unreadable(error) from None
        finally:
            stop.set()
            threads.submit(follower.close)
            threads.close()

    async def aclose(self) -> None:
        """End the threads; a scan that is under way stops by itself."""
        if self._threads is not None:
            self._threads.close()
            self._threads = None

    def _query(
        self, query: LogQuery, stopped: Callable[[], bool], ends: Mapping[Inode, int] | None = None
    ) -> list[LogEntry]:
        """`ends`: where the follower of each file begins; a plain file that has none is read by it from its start."""
        line_filter(query, self._name)
        if query.limit <= 0:
            return []
        timed: list[tuple[int, LogEntry]] = []
        look = self._look()
        unreadable = [*look.closed, *self._odd()]
        unbounded: list[str] = []
        oldest_wanted = nanoseconds(query.since) if query.since else 0
        done: dict[Inode, Path] = {}
        failed = 0
        for _ in range(ROUNDS):
            files = [match for match in _last_changed_first(look) if not _is_done(match, done)]
            names = sources_of([match.path for match in look.found])
            has_moved, unread = False, 0
            for match in files:
                inode = inode_of(match.status)
                if match.status.st_mtime_ns < oldest_wanted:
                    break  # what is written into a file is not younger than the file
                if len(done) >= MAX_FILES:
                    unread += 1
                    continue
                end = None if ends is None else ends.get(inode, 0)
                source = names[match.path]
                try:
                    found = search_file(
                        match.path, query, self._format, source=source, end=end, only=inode, stopped=stopped
                    )
                except FileNotFoundError:
                    has_moved = True  # rotated away between the look and the open
                    continue
                except OSError as error:
                    unreadable.append(error)
                    done[inode] = match.path
                    failed += 1
                    continue
                done[inode] = match.path
                unbounded += [entry.source for entry in found if is_note(entry)]
                timed = with_sort_time([entry for entry in found if not is_note(entry)]) + timed
                if len(timed) >= query.limit and not query.first:
                    oldest_wanted = heapq.nlargest(query.limit, (at for at, _ in timed))[-1]
            if not has_moved:
                break
            look = self._look()
        if unreadable and failed == len(done) and all(inode_of(match.status) in done for match in files):
            raise self._unreadable(unreadable[0])
        timed.sort(key=lambda pair: pair[0])
        unseen = [*unreadable, *look.broken]
        said = [
            LogEntry(
                at=None,
                source=Path(error.filename).stem,
                level="error",
                message=clean(f"cannot read {_why(error)}", 500),
            )
            for error in unseen[:MOST_SAID]
        ]
        if len(unseen) > MOST_SAID:
            said.append(gap(self._name, None, f"{len(unseen) - MOST_SAID:,} more cannot be read"))
        if look.is_cut:
            words = f"only the first {MAX_NAMES:,} names that `paths` leads to are looked at: narrow it"
            said.append(gap(self._name, None, words))
        if unread:
            said.append(gap(self._name, None, f"{unread:,} files that match were written to earlier and are not read"))
        if unbounded:
            more = f" and {len(unbounded) - 3} more" if len(unbounded) > 3 else ""
            said.append(note(self._name, f"{', '.join(unbounded[:3])}{more}: {UNBOUNDED}"))
        timed = timed[: query.limit] if query.first else timed[-query.limit :]
        return said + [entry for _, entry in timed]

    def _look(self) -> Matches:
        return matching(self._globs, most=MAX_NAMES)

    def _called(self, path: Path) -> str:
        if path not in self._names:
            self._names = sources_of([*(match.path for match in self._look().found), path])
        return self._names[path]

    def _odd(self) -> list[OSError]:
        """What is named without a pattern and is no file, as a directory: it was asked for, and has no lines."""
        named = dict.fromkeys(Path(path) for path in self._globs if not glob.has_magic(path))
        return [OSError(errno.EINVAL, why, str(path)) for path in named if (why := no_file(path))]

    def _plain_files(self) -> list[Path]:
        """What may be followed, the last that were written to first."""
        look = self._look()
        found = [match.path for match in _last_changed_first(look)]
        return [*found, *(Path(error.filename) for error in look.closed)]

    def _unreadable(self, error: OSError) -> BackendError:
        kind: ErrorKind = "auth" if isinstance(error, PermissionError) else "unreachable"
        fix = "name its files, like DIRECTORY/*.log" if error.errno == errno.EINVAL else "check who may read it"
        return BackendError(kind, clean(f"logs {self._name}: cannot read {_why(error)}"), fix=fix)


def _last_changed_first(look: Matches) -> list[Match]:
    files = [match for match in look.found if stat.S_ISREG(match.status.st_mode)]
    return sorted(files, key=lambda match: (match.status.st_mtime_ns, match.path), reverse=True)


def _is_done(match: Match, done: Mapping[Inode, Path]) -> bool:
    """Also what was compressed meanwhile, of a file that was read."""
    is_packed = match.path.suffix in SUFFIXES
    return inode_of(match.status) in done or (is_packed and match.path.with_suffix("") in done.values())


def _why(error: OSError) -> str:
    return f"{error.filename}: {error.strerror or error}"


def sources_of(files: Iterable[Path]) -> dict[Path, str]:
    """What each file is called: its name without the last suffix; with its directory, or in full, where that of
    another directory is called so too."""
    found = {path: path.stem for path in files}
    for longer in (_with_directory, _in_full):
        places: dict[str, set[Path]] = {}
        for path, name in found.items():
            places.setdefault(name, set()).add(path.parent)
        found = {path: longer(path) if len(places[name]) > 1 else name for path, name in found.items()}
    return found


def _with_directory(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def _in_full(path: Path) -> str:
    return str(path.with_suffix(""))


async def _in_thread(threads: DaemonThreads, work: Callable[[], T]) -> T:
    return await asyncio.wrap_future(threads.submit(work))
