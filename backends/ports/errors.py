"""What services raise."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from backends.models import ErrorIssue
from backends.ports.closable import Closable


class LiveVersions(Struct, frozen=True):
    """The versions of a service that take traffic; where they are not known, `unknown` says why."""

    versions: tuple[str, ...] = ()
    unknown: str = ""


class Errors(Closable, Protocol):
    """Issues of projects, each of which is a service's."""

    async def issues(self, live: Mapping[str, LiveVersions]) -> list[ErrorIssue]:
        """The open ones, and whether a version of `live`, by service, brought them. What can not be told of one is
        null with its reason, never no. Raises BackendError where none can be read."""
