"""Health of backups in files: the newest one's age and size, and its size against the one before.

```toml
[[contexts.production.checks]]
name = "warehouse-backup"
type = "backup"
path = "/backups/warehouse-*.dump"      # a glob, `**` too; or a list of them
warn = "26h"
crit = "50h"
min_bytes = 1_000_000
shrunk = 0.5                            # smaller than this share of the one before is a warning
```
"""

import asyncio
import os
import stat
import time
from collections.abc import Iterator
from glob import has_magic, iglob
from itertools import islice, takewhile
from pathlib import Path

from msgspec import Struct

from backends.checks.age import age_limits, measure_age
from backends.checks.findings import Findings, Limits, critical
from backends.errors import BackendError, ErrorKind
from backends.models import CheckResult
from backends.paths import path_of
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean
from backends.threads import DaemonThreads

MAX_FILES = 100_000
MOST_NAMED = 3


class BackupCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files are backups.

    path: a glob, `**` too, or a list of them.
    warn: a newest backup that is older is a warning.
    crit: one that is older is critical.
    min_bytes: one that is smaller is critical.
    shrunk: one that is smaller than this share of the one before is a warning.
    settle: one that was written to within this is not finished, and not judged where an older one is there.
    timeout: of the whole look.
    """

    path: str | tuple[str, ...]
    warn: Duration = Duration(26 * 3600)
    crit: Duration = Duration(50 * 3600)
    min_bytes: int = 1
    shrunk: float = 0.5
    settle: Duration = Duration(60)
    timeout: Duration = Duration(5)

    def __post_init__(self) -> None:
        if not all(pattern.strip() for pattern in self.patterns) or not self.patterns:
            raise ValueError("path: not empty")
        if self.min_bytes < 1:
            raise ValueError("min_bytes: 1 or more")
        if not 0 <= self.shrunk <= 1:
            raise ValueError("shrunk: 0 to 1")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        age_limits(self.warn, self.crit)

    @property
    def patterns(self) -> tuple[str, ...]:
        """One or more globs."""
        return (self.path,) if isinstance(self.path, str) else self.path


class BackupFile(Struct, frozen=True, order=True):
    """A backup as the file system tells of it; they sort by age, oldest first."""

    written_at: float
    size: int
    path: str


class BackupCheck:
    """`Check` of files, in a thread that may be left behind where their file system hangs."""

    api = 1
    Config = BackupCheckConfig

    def __init__(self, config: BackupCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._base_dir = context.base_dir
        self._threads = DaemonThreads(1, "backup")
        self._where = clean(", ".join(config.patterns), 200)

    async def run(self) -> CheckResult:
        """Look once. Raises BackendError where the files cannot be looked at."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._config.timeout):
                files, unread = await asyncio.wrap_future(self._threads.submit(self._newest))
        except TimeoutError:
            raise BackendError("timeout", f"{self._where}: no answer in {self._config.timeout}") from None
        except OSError as error:
            raise self._refused(error) from None
        if not files and not unread:
            return critical(self._name, f"no file matches {self._where}")
        if not files:
            raise self._refused(unread[0])
        return self._judged(files, unread, seconds=time.monotonic() - began)

    async def aclose(self) -> None:
        """Let the thread end; safe to call twice."""
        self._threads.close()

    def _refused(self, error: OSError) -> BackendError:
        kind: ErrorKind = "auth" if isinstance(error, PermissionError) else "unreachable"
        return BackendError(kind, f"{clean(str(error.filename), 200)}: {error.strerror}")

    def _judged(self, files: list[BackupFile], unread: list[OSError], *, seconds: float) -> CheckResult:
        now = time.time()
        finished = [file for file in files if now - file.written_at >= self._config.settle] or files
        newest = finished[-1]
        name = clean(Path(newest.path).name, 120)
        findings = Findings(self._name)
        for error in unread[:MOST_NAMED]:
            findings.fault("unknown", self._refused(error).message)
        words = measure_age(findings, now - newest.written_at, name, age_limits(self._config.warn, self._config.crit))
        smallest = Limits(crit=self._config.min_bytes, at_least=True)
        size_words = f"{name} is empty" if newest.size == 0 else f"{name} has only {_size(newest.size)}"
        findings.measured("size", newest.size, size_words, limits=smallest, unit="B")
        if len(finished) > 1 and 0 < newest.size < (before := finished[-2].size) * self._config.shrunk:
            share = f"{newest.size / before:.0%} of the one before"
            findings.fault("warning", f"{name} has {_size(newest.size)}, {share}")
        findings.measured("files", len(files))
        return findings.result(f"{words}, {_size(newest.size)}", seconds=seconds)

    def _newest(self) -> tuple[list[BackupFile], list[OSError]]:
        """The files, and what could not be looked at: one place of several does not take the others with it."""
        unread: list[OSError] = []
        paths: set[str] = set()
        for pattern in self._config.patterns:
            found = set(self._matches(pattern))
            try:
                if not found:
                    _refuse_unreadable(path_of(pattern, self._base_dir))
            except OSError as error:
                unread.append(error)
            paths |= found
        files: list[BackupFile] = []
        for path in paths:
            try:
                file = _file(path)
            except OSError as error:
                unread.append(error)
            else:
                files += [file] if file is not None else []
        return sorted(files), unread

    def _matches(self, pattern: str) -> Iterator[str]:
        absolute = str(path_of(pattern, self._base_dir))
        found = 0
        for path in islice(iglob(absolute, recursive=True), MAX_FILES + 1):
            found += 1
            yield path
        if found > MAX_FILES:
            raise OSError(0, f"more than {MAX_FILES} files: narrow the path", pattern)


def _refuse_unreadable(pattern: Path) -> None:
    """`glob` finds nothing in a directory that is not there or may not be read, and says nothing of it."""
    fixed = takewhile(lambda part: not has_magic(part), pattern.parent.parts)
    with os.scandir(Path(*fixed)):
        pass


def _file(path: str) -> BackupFile | None:
    try:
        found = Path(path).stat()
    except FileNotFoundError:  # rotated away meanwhile
        return None
    return BackupFile(found.st_mtime, found.st_size, path) if stat.S_ISREG(found.st_mode) else None


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
