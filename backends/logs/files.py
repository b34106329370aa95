"""Log files on this host: their end, a window of time, a search, and what is being written.

```toml
[[contexts.production.logs]]
type = "files"
paths = ["/var/log/analytics/*.log*"]  # globs, `**` too; `.gz` files are read, never followed
timezone = "Europe/Berlin"             # of times without an offset; default: that of this host
encoding = "utf-8"
```
"""

import asyncio
import glob
import heapq
import stat
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec import Struct, structs

from backends.errors import BackendError, ErrorKind
from backends.logs.following import Follower, with_sort_time
from backends.logs.reading import LineFormat, line_filter, search_file
from backends.models import LogEntry
from backends.ports import LogQuery
from backends.registry import AdapterContext
from backends.text import clean

POLL_S = 0.25
MAX_FILES = 1000


class FilesConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files, and how their lines are to be read."""

    paths: tuple[str, ...]
    timezone: str | None = None
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if not self.paths:
            raise ValueError("paths: at least one is needed")
        if self.timezone is not None:
            _zone(self.timezone)
        try:
            splits_at_newlines = "\n".encode(self.encoding) == b"\n"
        except LookupError:
            raise ValueError(f'encoding: there is none called "{self.encoding}"') from None
        if not splits_at_newlines:
            raise ValueError(f"encoding: {self.encoding} is not a superset of ASCII")


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
        self._globs = [str(context.base_dir / Path(path).expanduser()) for path in config.paths]
        self._format = LineFormat(
            zone=_zone(config.timezone) if config.timezone else None, encoding=config.encoding, labels={}
        )
        self._executor: ThreadPoolExecutor | None = None

    async def query(self, query: LogQuery) -> list[LogEntry]:
        """The last `limit` matching lines over all files, oldest first.

        Where some files may not be read, one line of level `error` each says so, before the others. Raises
        BackendError: `auth` where none may be read, `config` for a `grep` that is no regular expression.
        """
        stop = threading.Event()
        try:
            return await self._in_thread(lambda: self._query(query, stop.is_set))
        finally:
            stop.set()

    async def follow(self, query: LogQuery) -> AsyncIterator[LogEntry]:
        """As the port says, over all files, rotated and truncated ones included. Raises as `query`."""
        wanted = line_filter(structs.replace(query, since=None), self._name)
        follower = Follower(self._plain_files, wanted, self._format)
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"logs-{self._name}")
        loop = asyncio.get_running_loop()
        stop = threading.Event()
        try:
            try:
                ends = await loop.run_in_executor(executor, follower.begin)
                entries = await loop.run_in_executor(executor, lambda: self._query(query, stop.is_set, ends))
                while True:
                    for entry in entries:
                        yield entry
                    await asyncio.sleep(POLL_S)
                    entries = await loop.run_in_executor(executor, follower.poll)
            except OSError as error:
                raise self._unreadable(error) from None
        finally:
            stop.set()
            executor.submit(follower.close)
            executor.shutdown(wait=False)

    async def aclose(self) -> None:
        """End the threads; a scan that is under way stops by itself."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    async def _in_thread(self, work: Callable[[], list[LogEntry]]) -> list[LogEntry]:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix=f"logs-{self._name}")
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _query(
        self, query: LogQuery, stopped: Callable[[], bool], ends: Mapping[Path, int] | None = None
    ) -> list[LogEntry]:
        """`ends`: where the follower of each file begins; a plain file that has none is read by it from its start."""
        line_filter(query, self._name)
        if query.limit <= 0:
            return []
        timed: list[tuple[int, LogEntry]] = []
        unreadable: list[OSError] = []
        files = self._files()
        oldest_wanted = 0
        for changed, path in sorted(self._changes(files, unreadable), reverse=True):
            if changed < oldest_wanted:
                break  # what is written into a file is not younger than the file
            try:
                end = None if ends is None or path.suffix == ".gz" else ends.get(path, 0)
                timed = with_sort_time(search_file(path, query, self._format, end=end, stopped=stopped)) + timed
            except FileNotFoundError:
                continue  # rotated away between the look and the open
            except OSError as error:
                unreadable.append(error)
            if len(timed) >= query.limit:
                oldest_wanted = heapq.nlargest(query.limit, (at for at, _ in timed))[-1]
        if unreadable and len(unreadable) == len(files):
            raise self._unreadable(unreadable[0])
        timed.sort(key=lambda pair: pair[0])
        lost = [
            LogEntry(
                at=None, source=Path(error.filename).stem, level="error", message=clean(f"cannot read {_why(error)}")
            )
            for error in unreadable
        ]
        return lost + [entry for _, entry in timed[-query.limit :]]

    def _changes(self, files: list[Path], unreadable: list[OSError]) -> list[tuple[int, Path]]:
        """Each regular file with the nanosecond of its last change."""
        found = []
        for path in files:
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            except OSError as error:
                unreadable.append(error)
                continue
            if stat.S_ISREG(status.st_mode):
                found.append((status.st_mtime_ns, path))
        return found

    def _files(self) -> list[Path]:
        found = {path for pattern in self._globs for path in glob.glob(pattern, recursive=True)}
        return [Path(path) for path in sorted(found)][:MAX_FILES]

    def _plain_files(self) -> list[Path]:
        return [path for path in self._files() if path.suffix != ".gz"]

    def _unreadable(self, error: OSError) -> BackendError:
        kind: ErrorKind = "auth" if isinstance(error, PermissionError) else "unreachable"
        return BackendError(kind, clean(f"logs {self._name}: cannot read {_why(error)}"), fix="check who may read it")


def _why(error: OSError) -> str:
    return f"{error.filename}: {error.strerror or error}"
