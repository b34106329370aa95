"""Health of backups in files or in S3: the newest one's age and size, and its size against the one before.

```toml
[[contexts.production.checks]]
name = "warehouse-backup"
type = "backup"
path = "/backups/warehouse-*.dump"      # a glob, `**` too; or a list of them
warn = "26h"
crit = "50h"
min_bytes = 1_000_000
shrunk = 0.5                            # smaller than this share of the one before is a warning
[[contexts.production.checks]]
name = "lake-backup"
type = "backup"
path = "s3://backups/lake/*.parquet"    # keys that begin so; in a glob `*` matches `/` too
aws = { region = "eu-central-1" }
```
S3 lists by key and not by time, so everything under the part before the first `*` is listed: make it long. Of an upload
in parts S3 tells the time at which it began.
"""

import time
from pathlib import PurePosixPath

from msgspec import Struct

from backends.aws.access import AwsAccess
from backends.checks.age import age_limits, measure_age
from backends.checks.backup.files import BackupFile, Files
from backends.checks.backup.objects import SCHEME, Objects
from backends.checks.findings import Findings, Limits, critical
from backends.errors import BackendError
from backends.models import CheckResult
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean

MOST_NAMED = 3


class BackupCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files are backups.

    path: a glob, `**` too, or a list of them; or `s3://bucket/prefix`, which may be a glob.
    warn: a newest backup that is older is a warning.
    crit: one that is older is critical.
    min_bytes: one that is smaller is critical.
    shrunk: one that is smaller than this share of the one before is a warning.
    settle: one that was written to within this is not finished, and not judged where an older one is there.
    archive: true where it may be in a storage class of S3 that must be restored before it can be read.
    aws: how S3 is reached.
    timeout: of the whole look.
    """

    path: str | tuple[str, ...]
    warn: Duration = Duration(26 * 3600)
    crit: Duration = Duration(50 * 3600)
    min_bytes: int = 1
    shrunk: float = 0.5
    settle: Duration = Duration(60)
    archive: bool = False
    aws: AwsAccess = AwsAccess()
    timeout: Duration = Duration(5)

    def __post_init__(self) -> None:
        if not all(pattern.strip() for pattern in self.patterns) or not self.patterns:
            raise ValueError("path: not empty")
        if len({pattern.startswith(SCHEME) for pattern in self.patterns}) > 1:
            raise ValueError("path: files or s3://, not both")
        if any(pattern.startswith(SCHEME) and not pattern[len(SCHEME) :].strip("/") for pattern in self.patterns):
            raise ValueError("path: s3://bucket/prefix")
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


class BackupCheck:
    """`Check` of files or objects."""

    api = 1
    Config = BackupCheckConfig

    def __init__(self, config: BackupCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._where = clean(", ".join(config.patterns), 200)
        self._source: Files | Objects
        if config.patterns[0].startswith(SCHEME):
            self._source = Objects(config.patterns, config.aws, context.base_dir, timeout=config.timeout)
        else:
            self._source = Files(config.patterns, context.base_dir, timeout=config.timeout)

    async def run(self) -> CheckResult:
        """Look once. Raises BackendError where the files cannot be looked at."""
        began = time.monotonic()
        files, unread = await self._source.newest()
        if not files and not unread:
            return critical(self._name, f"no {self._source.noun} matches {self._where}")
        if not files:
            raise unread[0]
        return self._judged(files, unread, seconds=time.monotonic() - began)

    async def aclose(self) -> None:
        """Let the thread end; safe to call twice."""
        await self._source.aclose()

    def _judged(self, files: list[BackupFile], unread: list[BackendError], *, seconds: float) -> CheckResult:
        now = time.time()
        finished = [file for file in files if now - file.written_at >= self._config.settle] or files
        newest = finished[-1]
        name = clean(PurePosixPath(newest.path).name, 120)
        findings = Findings(self._name)
        for error in unread[:MOST_NAMED]:
            findings.fault("unknown", error.message)
        words = measure_age(findings, now - newest.written_at, name, age_limits(self._config.warn, self._config.crit))
        smallest = Limits(crit=self._config.min_bytes, at_least=True)
        size_words = f"{name} is empty" if newest.size == 0 else f"{name} has only {_size(newest.size)}"
        findings.measured("size", newest.size, size_words, limits=smallest, unit="B")
        if len(finished) > 1 and 0 < newest.size < (before := finished[-2].size) * self._config.shrunk:
            share = f"{newest.size / before:.0%} of the one before"
            findings.fault("warning", f"{name} has {_size(newest.size)}, {share}")
        if newest.archived and not self._config.archive:
            archived = clean(newest.archived, 40)
            findings.fault("warning", f"{name} is in {archived}: it must be restored before it can be read")
        findings.measured("files", len(files))
        return findings.result(f"{words}, {_size(newest.size)}", seconds=seconds)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
