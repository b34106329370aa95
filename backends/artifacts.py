"""Files that another system leaves behind, in a directory or in S3: read when they changed, bounded in size and time.

`s3://bucket/prefix` is S3 (`backends.artifacts_s3`); anything else a directory, relative to the config file.
"""

import asyncio
import contextlib
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from backends.aws import AwsAccess
from backends.errors import BackendError, ErrorKind
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


class Artifact(Struct, frozen=True):
    """One file: its name under the root with `/` between its parts, bytes, seconds since the epoch, and a `tag` that
    changes with every write."""

    name: str
    size: int
    modified_at: float
    tag: str


class Content(Struct, frozen=True):
    """A file that was read; `body` is None where it still has the tag that was given."""

    artifact: Artifact
    body: bytes | None


class Storage(Protocol):
    """Where files are. `walk` and `read` block; all raise BackendError."""

    where: str

    async def open(self) -> None:
        """Resolve secrets; no I/O with the storage."""

    def walk(self) -> Iterator[Artifact]:
        """All files, at any depth."""

    def read(self, name: str, *, unless: str, max_bytes: int) -> Content | None:
        """One file, without its body where its tag is `unless`; None where there is none."""


class Loaded(Struct, frozen=True):
    """A file as it was decoded, and the file."""

    artifact: Artifact
    value: Any


class Artifacts:
    """Reads of one storage, in a few threads that may be left behind. What was decoded is kept, and decoded again only
    where the file changed. `where` names it in messages."""

    def __init__(self, location: str, *, base_dir: Path, access: AwsAccess, timeout_s: float) -> None:
        if is_s3(location):
            from backends.artifacts_s3 import Bucket

            self._storage: Storage = Bucket(location, access, base_dir, timeout_s=timeout_s)
        else:
            self._storage = Directory(base_dir / Path(location).expanduser())
        self.where = self._storage.where
        self._timeout_s = timeout_s
        self._threads = DaemonThreads(LANES, "artifacts")
        self._kept: OrderedDict[str, Loaded] = OrderedDict()

    async def find(self, wanted: Callable[[str], bool]) -> list[Artifact]:
        """The files whose name is `wanted`, newest first.

        Raises BackendError: `unreachable` or `not_found` where the directory or bucket is not there, `auth`,
        `timeout`, `config` for too many.
        """

        def collect() -> list[Artifact]:
            everything = list(islice(self._storage.walk(), MAX_LISTED + 1))
            if len(everything) > MAX_LISTED:
                raise BackendError("config", f"{self.where}: more than {MAX_LISTED} files", fix="narrow the path")
            return sorted(
                (found for found in everything if wanted(found.name)),
                key=lambda found: (found.modified_at, found.name),
                reverse=True,
            )

        return await self._run(collect)

    async def load(self, name: str, decode: Callable[[bytes], T], *, max_bytes: int = MAX_BYTES) -> T | None:
        """The file `name` as `decode` has it; None where it is not there. What fails to decode right after it was
        written is read again, since its writer may not be done.

        Raises BackendError as `find`, `malformed` for one that is too large or that `decode` refuses.
        """
        for attempt in range(1, DECODE_ATTEMPTS + 1):
            kept = self._kept.get(name)
            try:
                found = await self._run(lambda: self._load(name, decode, kept, max_bytes))  # noqa: B023
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
            value: T = found.value
            return value
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
            raise _DamagedError(error, content.artifact.modified_at) from None

    def _keep(self, name: str, found: Loaded) -> None:
        self._kept[name] = found
        self._kept.move_to_end(name)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._storage.open()
                return await asyncio.wrap_future(self._threads.submit(work))
        except TimeoutError:
            raise BackendError("timeout", f"{self.where}: no answer in {self._timeout_s:g} s") from None


class _DamagedError(BackendError):
    def __init__(self, error: BackendError, modified_at: float) -> None:
        super().__init__(error.kind, error.message, fix=error.fix)
        self.modified_at = modified_at


class Directory:
    """A directory of this host. A FIFO or a socket in it is no file; links to files are followed, those to
    directories are not."""

    def __init__(self, path: Path) -> None:
        self.where = clean(str(path), 200)
        self._path = path

    async def open(self) -> None:
        """Nothing to do."""

    def walk(self) -> Iterator[Artifact]:
        """Raises BackendError(unreachable) where it is not there, `auth` where it may not be read."""
        with _translated(self.where):
            os.scandir(self._path).close()  # os.walk says nothing of a missing root
            for directory, _, names in os.walk(self._path):
                for name in names:
                    path = Path(directory, name)
                    with contextlib.suppress(FileNotFoundError):
                        if stat.S_ISREG((found := path.stat()).st_mode):
                            yield _artifact(path.relative_to(self._path).as_posix(), found)

    def read(self, name: str, *, unless: str, max_bytes: int) -> Content | None:
        """As `Storage.read`; the directory itself has to be there."""
        with _translated(self.where):
            try:
                handle = os.open(self._path / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                self._path.stat()
                return None
            with open(handle, "rb") as file:
                found = os.fstat(handle)
                if not stat.S_ISREG(found.st_mode):
                    raise BackendError("malformed", f"{self.where}: {clean(name, 200)} is not a file")
                artifact = _artifact(name, found)
                if artifact.tag == unless:
                    return Content(artifact, None)
                refuse_large(self.where, artifact, max_bytes)
                return Content(artifact, file.read(max_bytes))


def refuse_large(where: str, artifact: Artifact, max_bytes: int) -> None:
    """Raises BackendError(malformed)."""
    if artifact.size > max_bytes:
        raise BackendError(
            "malformed",
            f"{where}: {clean(artifact.name, 200)} has {artifact.size >> 20} MB, more than {max_bytes >> 20} MB",
        )


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


def _artifact(name: str, found: os.stat_result) -> Artifact:
    return Artifact(name, found.st_size, found.st_mtime, f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}")


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind: ErrorKind = "auth" if isinstance(error, PermissionError) else "unreachable"
        place = clean(str(error.filename or where), 200)
        raise BackendError(kind, f"{place}: {(error.strerror or str(error)).lower()}", fix="check `path`") from None
