"""Where a report lies: a file, an object in S3, a URL; gzip is undone. `backends.checks.report.github` is another."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from backends import inflating
from backends.artifacts.reading import Artifacts
from backends.aws.access import AwsAccess
from backends.checks.report.formats import FormatName
from backends.checks.report.found import Report
from backends.credentials import credentials
from backends.errors import BackendError
from backends.http import Http
from backends.settings import Duration, Secret, reveal
from backends.text import clean

MAX_BYTES = 32 * 2**20
"""Of one report, inflated."""
_GZIP = b"\x1f\x8b"

Read = Callable[[bytes], tuple[FormatName, Report]]


class Stored(Struct, frozen=True):
    """A report that was read, what it is called, and since when it lies there (None where nobody says)."""

    name: str
    format: FormatName
    report: Report
    since: datetime | float | None


class Source(Protocol):
    """One place of one report."""

    async def fetch(self, read: Read) -> Stored:
        """Raises BackendError; `not_found` where there is none, `malformed` where `read` refuses it."""

    async def aclose(self) -> None:
        """Let go of what is open; safe to call twice."""


class Stores:
    """A file of this host, or an object in S3."""

    def __init__(self, path: str, base_dir: Path, access: AwsAccess, timeout: Duration) -> None:
        directory, _, self._name = path.rpartition("/")
        location = directory or ("/" if path.startswith("/") else ".")
        self._artifacts = Artifacts(location, base_dir=base_dir, access=access, timeout_s=timeout)

    async def fetch(self, read: Read) -> Stored:
        """As `Source.fetch`."""
        name = clean(self._name, 120)
        found = await self._artifacts.load_file(self._name, lambda body: read(inflated(body)), max_bytes=MAX_BYTES)
        if found is None:
            raise BackendError("not_found", f"there is no {name} in {self._artifacts.where}")
        format_, report = found.value
        return Stored(name, format_, report, found.artifact.modified_at)

    async def aclose(self) -> None:
        """As `Source.aclose`."""
        await self._artifacts.aclose()


class Page:
    """What a URL answers. How old it is says `Last-Modified`."""

    def __init__(
        self, url: str | Secret, headers: dict[str, str | Secret], base_dir: Path, http: Http, timeout: Duration
    ) -> None:
        self._url, self._headers, self._base_dir, self._http, self._timeout = url, headers, base_dir, http, timeout

    async def fetch(self, read: Read) -> Stored:
        """As `Source.fetch`."""
        url = await reveal(self._url, self._base_dir)
        known = await credentials(self._headers, None, self._base_dir)
        answer = await self._http.get(url, headers=known.headers, timeout=self._timeout)
        format_, report = await asyncio.to_thread(lambda: read(inflated(answer.body)))
        try:
            since = parsedate_to_datetime(answer.headers.get("last-modified", ""))
        except ValueError:
            since = None
        return Stored(answer.url, format_, report, since if since is not None and since.tzinfo is not None else None)

    async def aclose(self) -> None:
        """The HTTP client is shared."""


def inflated(body: bytes) -> bytes:
    """`body` without its gzip, where it has one. Raises BackendError(malformed) for what is damaged or too large."""
    if not body.startswith(_GZIP):
        return body
    try:
        return inflating.inflated(body, MAX_BYTES)
    except inflating.TooLargeError as error:
        raise BackendError("malformed", f"{error}, inflated") from None
    except inflating.DamagedError as error:
        raise BackendError("malformed", f"damaged gzip: {error}") from None
