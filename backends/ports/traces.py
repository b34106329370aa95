"""Traces of requests."""

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from backends.models import Trace, TraceTree
from backends.ports.closable import Closable


class TraceQuery(Struct, frozen=True, kw_only=True):
    """Which traces are wanted: those with a span of `service` (empty: of any), that began between `since` and `until`,
    with `errors` only those with a span that failed, and none that took less than `min_duration_s`."""

    since: datetime
    until: datetime
    service: str = ""
    errors: bool = False
    min_duration_s: float = 0.0
    limit: int = 20


class Traces(Closable, Protocol):
    """A store of traces."""

    async def search(self, query: TraceQuery) -> list[Trace]:
        """At most `limit` of them, the newest first; none where the service is not known. Raises BackendError."""

    async def trace(self, trace_id: str) -> TraceTree:
        """The trace of that id (hexadecimal). Raises BackendError, `not_found` where there is none."""
