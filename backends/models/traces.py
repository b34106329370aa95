"""Traces of requests through services, and the spans that they are made of."""

from datetime import datetime

from msgspec import Struct

from backends.models.health import Health


class Span(Struct, frozen=True, kw_only=True):
    """One piece of work of a trace. `depth`: how many spans are above it. `offset_s`: when it began after the trace.
    `critical_s`: how long the trace waited for this span itself; 0 where it is not on the critical path. `state` is
    critical where it failed, `error` says why as far as it is told; `first_error`: none that failed ended before it."""

    span_id: str
    parent_id: str = ""
    depth: int = 0
    service: str
    operation: str
    started_at: datetime
    offset_s: float
    duration_s: float
    critical_s: float = 0.0
    state: Health = "ok"
    error: str = ""
    first_error: bool = False


class Trace(Struct, frozen=True, kw_only=True):
    """One trace. `service` and `operation` are those of its root. `state`: critical where the root failed, a warning
    where only a span below it did, unknown where the source does not tell; `errors` and `span_count` are null then."""

    ref: str
    backend: str
    trace_id: str
    service: str
    operation: str
    started_at: datetime
    duration_s: float
    state: Health
    span_count: int | None = None
    errors: int | None = None
    services: tuple[str, ...] = ()
    url: str | None = None

    @property
    def health(self) -> Health:
        """The same word as `state`."""
        return self.state


class TraceTree(Trace, frozen=True, kw_only=True):
    """A trace with its spans, each behind the one above it, in order of time. `orphans`: how many name a span above
    them that is not there; they stand as roots."""

    spans: tuple[Span, ...] = ()
    orphans: int = 0
