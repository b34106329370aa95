"""Tests and freshness of a dbt project, from the files that dbt writes: no server, no warehouse.

```toml
[[contexts.production.quality]]
type = "dbt"
path = "/srv/shop/target"               # dbt's target directory, or s3://bucket/prefix
archive = "s3://artifacts/shop"         # older run_results*.json and sources*.json, at any depth: the trend
warn = 1.0                              # a failing test is a warning …
crit = 0.80                             # … and more than one in five is critical
cadence = "1d"                          # how often dbt runs; default: the median interval
all_tests = true                        # false: a test that the last commands left out says nothing
history = 24                            # commands that are looked back at
aws = { region = "eu-central-1" }       # how S3 is reached: `backends.aws.access`
```
Read are `run_results.json`, `sources.json` and `manifest.json` (of dbt 1.0 to 2.0). Each command of dbt overwrites
`run_results.json`: a `dbt test` hides that the `dbt run` before it failed. So the last results are remembered, in the
state directory, test by test and model by model; what nobody saw is unknown. `dbt compile`, `docs generate` and
`--empty` build nothing and say nothing. A run that is started with `DBT_ENV_CUSTOM_ENV_TEAL_RUN_REF` set to its ref
(`airflow/<dag>/<run>`) is named as the one that wrote the data.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from backends.artifacts.reading import Artifacts, check_location, is_s3
from backends.artifacts.storage import Artifact
from backends.aws.access import AwsAccess
from backends.errors import BackendError
from backends.models import QualityScore
from backends.quality.dbt.artifacts import Invocation, Looked, Project, read_manifest, read_run_results, read_sources
from backends.quality.dbt.scores import Replay, judge, replayed
from backends.quality.rows import Limits
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.state_file import StateFile
from backends.together import together

T = TypeVar("T")

MAX_MANIFEST_BYTES = 512 * 2**20
MAX_REMEMBERED = 100_000
FORGET_AFTER = timedelta(days=90)
EARLIER = "earlier"


class DbtQualityConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the artifacts are, and what they mean.

    path: dbt's target directory, or `s3://bucket/prefix`.
    archive: where older run_results.json and sources.json are, at any depth: the trend.
    warn: a score below this (0..1) is a warning.
    crit: a score below this is critical.
    cadence: how often dbt runs; by default the median interval.
    all_tests: false: a test that the last commands left out says nothing.
    history: how many commands are looked back at.
    timeout: of one read of the store.
    aws: how S3 is reached.
    """

    path: str
    archive: str = ""
    warn: float = 1.0
    crit: float = 0.80
    cadence: Duration | None = None
    all_tests: bool = True
    history: int = 24
    timeout: Duration = Duration(10)
    aws: AwsAccess = AwsAccess()

    def __post_init__(self) -> None:
        check_location("path", self.path)
        if self.archive:
            check_location("archive", self.archive)
        if not 0 <= self.crit <= self.warn <= 1:
            raise ValueError("warn, crit: 0 <= crit <= warn <= 1")
        if not 1 <= self.history <= 200:
            raise ValueError("history: 1 to 200")
        if self.timeout <= 0 or (self.cadence is not None and self.cadence <= 0):
            raise ValueError("timeout, cadence: more than 0s")
        if self.aws != AwsAccess() and not (is_s3(self.path) or is_s3(self.archive)):
            raise ValueError("aws: path is a directory, which needs none")


class Remembered(Struct, frozen=True):
    """The last commands, oldest first, as they are kept between two processes."""

    invocations: list[Invocation] = []
    looks: list[Looked] = []

    @property
    def ids(self) -> set[str]:
        """Of all commands."""
        return {found.id for found in self.invocations} | {found.id for found in self.looks}


class DbtQuality:
    """`Quality` from dbt's artifacts. Nothing is read that has not changed."""

    api = 1
    Config = DbtQualityConfig

    def __init__(self, config: DbtQualityConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._limits = Limits(config.warn, config.crit, 1.0, config.history, config.cadence)
        self._target = self._artifacts(config.path, context.base_dir)
        self._archive = self._artifacts(config.archive, context.base_dir) if config.archive else None
        key = sha256(f"{context.base_dir}\n{config.path}\n{config.archive}".encode()).hexdigest()[:12]
        self._memory = StateFile(context.state_dir / f"{context.name}-{key}.dbt")
        self._trouble = ""
        self._judging = threading.Lock()
        self._ids: set[str] = set()
        self._project: Project | None = None
        self._replay: Replay | None = None

    async def scores(self) -> list[QualityScore]:
        """One for each dataset that has tests, freshness, or failed to build. Raises BackendError as `Artifacts`."""
        target = self._target
        results, looked, project = await together(
            target.load("run_results.json", read_run_results),
            target.load("sources.json", read_sources),
            target.load("manifest.json", read_manifest, max_bytes=MAX_MANIFEST_BYTES),
        )
        invocations, looks, archived = await self._archived()
        invocations += [results] if results is not None else []
        looks += [looked] if looked is not None else []
        found = await asyncio.to_thread(self._judged, Remembered(invocations, looks), project or archived)
        return [_with_reason(score, self._trouble) for score in found] if self._trouble else found

    async def aclose(self) -> None:
        """Safe to call twice."""
        await self._target.aclose()
        if self._archive is not None:
            await self._archive.aclose()

    def _artifacts(self, location: str, base_dir: Path) -> Artifacts:
        return Artifacts(location, base_dir=base_dir, access=self._config.aws, timeout_s=self._config.timeout)

    async def _archived(self) -> tuple[list[Invocation], list[Looked], Project | None]:
        """The newest commands of the archive, and the manifest that lies beside them."""
        if self._archive is None:
            return [], [], None
        listed, closed = await self._archive.find(lambda name: name.endswith(".json"))
        if closed and not listed:
            raise closed[0].error
        results = await self._newest(listed, "run_results", read_run_results)
        looks = await self._newest(listed, "sources", read_sources)
        manifest = next((found for found in listed if _is(found, "manifest")), None)
        project = None
        if manifest is not None:
            project = await self._archive.load(manifest.name, read_manifest, max_bytes=MAX_MANIFEST_BYTES)
        return [found for found in results if found is not None], looks, project

    async def _newest(self, listed: Sequence[Artifact], kind: str, decode: Callable[[bytes], T]) -> list[T]:
        """One damaged file of many costs itself; all of them, the reading."""
        assert self._archive is not None
        wanted = [found for found in listed if _is(found, kind)][: self._config.history]
        loaded = await self._archive.load_all(wanted, decode)
        errors = [found for found in loaded if isinstance(found, BackendError)]
        if errors and len(errors) == len(loaded):
            raise errors[0]
        return [found for found in loaded if not isinstance(found, BackendError)]

    def _judged(self, seen: Remembered, project: Project | None) -> list[QualityScore]:
        """Replayed only where there is something new: a large project takes a second."""
        with self._judging:
            ids = seen.ids
            if self._replay is None or not ids <= self._ids or project is not self._project:
                known = self._remember(seen)
                self._ids = known.ids | ids
                self._project, self._replay = project, replayed(project, known.invocations, known.looks)
            now = datetime.now(UTC)
            return judge(self._name, self._replay, self._limits, now, all_tests=self._config.all_tests)

    def _remember(self, seen: Remembered) -> Remembered:
        """All that is known, with what is remembered; `_trouble` is why it cannot be kept."""
        self._trouble = ""
        try:
            before = self._read()
            after = _merged(before, seen, self._config.history)
            if after != before:
                with self._memory.locked():
                    before = self._read()
                    after = _merged(before, seen, self._config.history)
                    if after != before:
                        self._memory.replace(msgspec.msgpack.encode(after))
            return after
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            why = error.strerror or str(error) if isinstance(error, OSError) else "damaged: move it away to begin anew"
            words = f"{self._memory.path}: {why}"
            self._trouble = f"what a later command overwrites is not remembered: {words}"
            return _merged(Remembered(), seen, self._config.history)

    def _read(self) -> Remembered:
        """Raises OSError, DecodeError: a damaged memory is no empty one, and is not written over."""
        content = self._memory.read()
        return Remembered() if content is None else msgspec.msgpack.decode(content, type=Remembered)


def _is(artifact: Artifact, kind: str) -> bool:
    return artifact.name.rpartition("/")[2].startswith(kind)


def _merged(before: Remembered, seen: Remembered, limit: int) -> Remembered:
    """Each command once. Of those before the newest `limit`, what no later one has said anew is kept as if one command
    had said it: a scheduler that runs dbt once for each model has hundreds of them a night."""
    invocations = {found.id: found for found in (*before.invocations, *seen.invocations)}
    earlier = invocations.pop(EARLIER, None)
    ordered = sorted(invocations.values(), key=lambda found: (found.at, found.id))
    dropped, newest = ordered[:-limit], ordered[-limit:]
    if dropped:
        said = (outcome for found in filter(None, (earlier, *dropped)) for outcome in found.outcomes)
        last = {outcome.node: outcome for outcome in sorted(said, key=lambda outcome: outcome.at)}
        at = max(found.at for found in filter(None, (earlier, *dropped)))
        still = [outcome for outcome in last.values() if at - outcome.at < FORGET_AFTER]
        earlier = Invocation(EARLIER, "", at, tuple(still[-MAX_REMEMBERED:]))
    looks = {found.id: found for found in (*before.looks, *seen.looks)}
    return Remembered(
        [*filter(None, (earlier,)), *newest], sorted(looks.values(), key=lambda found: (found.at, found.id))[-limit:]
    )


def _with_reason(score: QualityScore, words: str) -> QualityScore:
    return msgspec.structs.replace(score, reason="; ".join(filter(None, (score.reason, words))))
