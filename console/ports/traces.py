"""Traces of requests: searched where somebody asks for them, and read by nobody by themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from console import moment
from console.ports.entry import Entry
from console.ports.record import Adapters, Noun, Port

if TYPE_CHECKING:
    from backends.ports import Traces

_LOOKED_AT = timedelta(minutes=15)


async def _ask(adapters: Adapters, entry: Entry) -> list[Any]:
    from backends.ports import TraceQuery

    now = moment.utc_now()
    await adapters.of(TRACES, entry.name).search(TraceQuery(since=now - _LOOKED_AT, until=now, limit=1))
    return []


TRACES: Port[Traces, Any] = Port(
    name="traces",
    about="where traces of requests are searched.",
    protocol="backends.ports:Traces",
    ask=_ask,
    noun=Noun(name="trace", help="Traces of requests:", command="console.cli.trace:trace"),
    documents={"trace.list": "backends.models:Trace", "trace.show": "backends.models:TraceTree"},
)
