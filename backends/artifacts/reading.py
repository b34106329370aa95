"""Files that another system leaves behind, in a directory or in S3: read when they changed, bounded in size and time.

`s3://bucket/prefix` is S3 (`backends.artifacts.s3`); anything else a directory, relative to the config file.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from msgspec import Struct

from backends.artifacts.storage import Artifact, Closed, Directory, Storage
from backends.aws.access import AwsAccess
from backends.errors import BackendError
from backends.matching import Inode
from backends.paths import path_of
from backends.stopwatch import timed
from backends.text import clean
from backends.threads import DaemonThreads
from backends.together import together

T = TypeVar("T")

MAX_LISTED = 100_000
MAX_BYTES = 64 * 2**20
MAX_KEPT = 4096
LANES = 4
WRITTEN_WITHIN_S = 30.0  # what is damaged and not older than this is being written
DECODE_ATTEMPTS = 4
DECODE_WAIT_S = 0.25


class Loaded(Struct, frozen=True):
    """A file as it was decoded, and the file."""

    artifact: Artifact
    value: Any


def _once(files: Iterable[Artifact]) -> list[Artifact]:
    """Each file under one of its names: no link where there is another, and the one that lies least deep."""
    found: dict[Inode | str, Artifact] = {}
    for file in sorted(files, key=lambda file: (file.is_link, file.name.count("/"), len(file.name), file.name)):
        found.setdefault(file.inode or file.name, file)
    return list(found.values())


class Artifacts:
    """Reads of one storage, in a few threads that may be left behind. What was decoded is kept, and decoded again only
    where the file changed. `where` names it in messages."""

    def __init__(self, location: str, *, base_dir: Path, access: AwsAccess, timeout_s: float) -> None:
        if is_s3(location):
            from backends.artifacts.s3 import Bucket

            self._storage: Storage = Bucket(location, access, base_dir, timeout_s=timeout_s)
        else:
            self._storage = Directory(path_of(location, base_dir))
        self.where = self._storage.where
        self._timeout_s = timeout_s
        self._threads = DaemonThreads(LANES, "artifacts")
        self._kept: OrderedDict[str, Loaded] = OrderedDict()

    async def find(self, wanted: Callable[[str], bool]) -> tuple[list[Artifact], list[Closed]]:
        """The files whose name is `wanted`, newest first, and the places that nobody could look into.

        Raises BackendError: `unreachable` or `not_found` where the directory or bucket is not there, `auth`,
        `timeout`, `config` for too many.
        """

        def collect() -> tuple[list[Artifact], list[Closed]]:
            everything = list(islice(self._storage.walk(), MAX_LISTED + 1))
            if len(everything) > MAX_LISTED:
                raise BackendError("config", f"{self.where}: more than {MAX_LISTED} files", fix="narrow the path")
            files = _once(found for found in everything if isinstance(found, Artifact) and wanted(found.name))
            files.sort(key=lambda found: (found.modified_at, found.name), reverse=True)
            closed = [found for found in everything if isinstance(found, Closed)]
            return files, [found for found in closed if not found.is_file or wanted(found.name)]

        return await self._run(collect)

    async def load(self, name: str, decode: Callable[[bytes], T], *, max_bytes: int = MAX_BYTES) -> T | None:
        """The file `name` as `decode` has it; None where it is not there. What fails to decode right after it was
        written is read again, since its writer may not be done.

        Raises BackendError as `find`, `malformed` for one that is too large or that `decode` refuses.
        """
        found = await self.load_file(name, decode, max_bytes=max_bytes)
        if found is None:
            return None
        value: T = found.value
        return value

    async def load_file(
        self, name: str, decode: Callable[[bytes], Any], *, max_bytes: int = MAX_BYTES
    ) -> Loaded | None:
        """As `load`, with what is known of the file itself."""
        for attempt in range(1, DECODE_ATTEMPTS + 1):
            kept = self._kept.get(name)
            try:
                found = await self._run(partial(self._load, name, decode, kept, max_bytes))
            except _DamagedError as damage:
                fresh = time.time() - damage.modified_at < WRITTEN_WITHIN_S
                if attempt == DECODE_ATTEMPTS or not fresh:
                    raise BackendError("malformed", damage.message, fix=damage.fix) from None
                await asyncio.sleep(DECODE_WAIT_S * attempt)
                continue
            if found is None:
                self._kept.pop(name, None)
                return None
            self._keep(name, found)
            return found
        raise AssertionError("unreachable")

    async def load_all(self, artifacts: Sequence[Artifact], decode: Callable[[bytes], T]) -> list[T | BackendError]:
        """Each of `artifacts` as `decode` has it or why not, in their order. Those that were listed with the tag that
        is kept are not asked for again."""

        async def one(artifact: Artifact) -> T | BackendError:
            kept = self._kept.get(artifact.name)
            if kept is not None and kept.artifact.tag == artifact.tag:
                self._kept.move_to_end(artifact.name)
                value: T = kept.value
                return value
            try:
                found = await self.load(artifact.name, decode)
            except BackendError as error:
                return error
            return found if found is not None else BackendError("not_found", f"{self.where}: {artifact.name} is gone")

        return list(await together(*map(one, artifacts)))

    def is_kept(self, artifact: Artifact) -> bool:
        """Whether it can be had without reading."""
        kept = self._kept.get(artifact.name)
        return kept is not None and kept.artifact.tag == artifact.tag

    async def aclose(self) -> None:
        """Let the threads end; safe to call twice."""
        self._threads.close()

    def _load(self, name: str, decode: Callable[[bytes], Any], kept: Loaded | None, max_bytes: int) -> Loaded | None:
        content = self._storage.read(name, unless=kept.artifact.tag if kept else "", max_bytes=max_bytes)
        if content is None:
            return None
        if content.body is None:
            assert kept is not None
            return kept
        try:
            return Loaded(content.artifact, decode(content.body))
        except BackendError as error:
            raise _DamagedError(error, f"{self.where}/{clean(name, 200)}", content.artifact.modified_at) from None

    def _keep(self, name: str, found: Loaded) -> None:
        self._kept[name] = found
        self._kept.move_to_end(name)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            async with timed(self._timeout_s):
                await self._storage.open()
                return await asyncio.wrap_future(self._threads.submit(work))
        except TimeoutError:
            raise BackendError("timeout", f"{self.where}: no answer in {self._timeout_s:g} s") from None


class _DamagedError(BackendError):
    def __init__(self, error: BackendError, file: str, modified_at: float) -> None:
        fix = "see who writes it, or take it away" if error.kind == "malformed" else error.fix
        named = PurePosixPath(file).name in error.message
        super().__init__(error.kind, error.message if named else f"{file}: {error.message}", fix=fix)
        self.modified_at = modified_at


def is_s3(location: str) -> bool:
    """Whether it is a place in S3."""
    return location.startswith("s3://")


def check_location(key: str, location: str) -> None:
    """ValueError where it cannot be a place of files."""
    if not location.strip():
        raise ValueError(f"{key}: it is empty")
    scheme, found, rest = location.partition("://")
    if found and (scheme != "s3" or not rest.strip("/")):
        raise ValueError(f"{key}: a directory, or s3://bucket/prefix")
