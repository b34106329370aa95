"""Traces around a thing: those that failed or were slow near its time, or the one that a log line names."""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from backends.errors import BackendError
from backends.models import Alert, Deployment, LogEntry, Trace, TraceTree, severity_rank
from backends.ports import TraceQuery, Traces
from backends.together import together
from console.ports.traces import TRACES
from console.reading.adapters import Adapters

T = TypeVar("T")

AROUND = timedelta(minutes=5)
BEFORE_NOW = timedelta(hours=1)
EACH = 20
_LABELS = ("trace_id", "traceid", "traceId", "traceID", "trace.id", "otelTraceID")
_SERVICE_LABELS = ("service", "service_name", "app", "job")
_NAMED = r"(?i)\btrace[._-]?id\W{1,4}([0-9a-f]{16,32})\b|\b[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}\b"


def sources(adapters: Adapters) -> list[str]:
    """The names of those that can be asked."""
    return [entry.name for entry in adapters.context.entries.get(TRACES.name, ())]


def trace_id_of(item: Any) -> str:
    """The id of a trace that a log line names, in a label or in its words; empty for what names none."""
    if not isinstance(item, LogEntry):
        return ""
    told = next((item.labels[name] for name in _LABELS if item.labels.get(name)), "")
    found = re.search(_NAMED, item.message)
    return told or (next(filter(None, found.groups())) if found else "")


def query_of(item: Any, now: datetime) -> TraceQuery:
    """What is asked for around an item."""
    labels = item.labels if isinstance(item, LogEntry | Alert) else {}
    service = item.service if isinstance(item, Deployment) else next(filter(None, map(labels.get, _SERVICE_LABELS)), "")
    at = item.at if isinstance(item, LogEntry) else item.since if isinstance(item, Alert) else None
    since, until = (at - AROUND, min(at + AROUND, now)) if at is not None else (now - BEFORE_NOW, now)
    return TraceQuery(since=since, until=until, service=service, limit=EACH)


async def around(adapters: Adapters, query: TraceQuery) -> tuple[list[Trace], list[BackendError]]:
    """The newest and the newest that failed of each source, worst first and of those the slowest; and what is lost."""
    failed = TraceQuery(since=query.since, until=query.until, service=query.service, errors=True, limit=query.limit)

    async def both(traces: Traces) -> list[Trace]:
        newest, bad = await together(traces.search(query), traces.search(failed))
        return [*bad, *newest]

    told, lost = await _each(adapters, both)
    found = {trace.ref: trace for traces in told for trace in reversed(traces)}
    return sorted(found.values(), key=lambda trace: (severity_rank(trace.state), -trace.duration_s)), lost


async def one(adapters: Adapters, trace_id: str) -> tuple[TraceTree | None, list[BackendError]]:
    """The trace of that id, from whichever source has it; and what is lost."""
    told, lost = await _each(adapters, lambda traces: traces.trace(trace_id))
    return (told[0] if told else None), [error for error in lost if error.kind != "not_found"]


async def _each(adapters: Adapters, ask: Callable[[Traces], Awaitable[T]]) -> tuple[list[T], list[BackendError]]:
    async def answer(name: str) -> T | BackendError:
        try:
            return await ask(adapters.of(TRACES, name))
        except BackendError as error:
            return error

    answers = await together(*map(answer, sources(adapters)))
    lost = [each for each in answers if isinstance(each, BackendError)]
    return [each for each in answers if not isinstance(each, BackendError)], lost
