"""What every adapter of the port `Traces` does. An adapter's test class inherits this and gives three fixtures:

`adapter` (a fresh one over a system that holds nothing; closed afterwards), `hold`: makes the system hold these spans
and no others, and `lose`: makes the system go away.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backends.errors import BackendError
from backends.models import Trace
from backends.ports import TraceQuery, Traces
from backends.traces.tree import NS, Found

Hold = Callable[[Sequence[Found]], None]
Lose = Callable[[], None]

MINUTE_S = 60.0
FIRST, SECOND, THIRD = (digit * 32 for digit in "abc")


def now() -> datetime:
    """In whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def work(
    trace_id: str, span_id: int, above: int, service: str, operation: str, began: datetime, seconds: float,
    *, error: str | None = None,
) -> Found:  # fmt: skip
    """A span; one with an `error`, even an empty one, failed. `above` 0: it is the root."""
    start = round(began.timestamp() * NS)
    parent = f"{above:016x}" if above else ""
    return Found(
        trace_id, f"{span_id:016x}", parent, service, operation, start, start + round(seconds * NS),
        error is not None, error or "",
    )  # fmt: skip


def checkout(at: datetime, trace_id: str = FIRST) -> list[Found]:
    """2 s of which the payment takes most: its bank times out after a second and is asked again."""

    def later(seconds: float) -> datetime:
        return at + timedelta(seconds=seconds)

    return [
        work(trace_id, 1, 0, "shop", "POST /checkout", at, 2.0),
        work(trace_id, 4, 3, "bank", "charge", later(0.2), 1.0, error="deadline exceeded"),
        work(trace_id, 2, 1, "stock", "reserve", at, 0.1),
        work(trace_id, 3, 1, "payment", "pay", later(0.1), 1.8, error="bank is slow"),
        work(trace_id, 5, 3, "bank", "charge", later(1.3), 0.5),
    ]


def asked(at: datetime, **query: Any) -> TraceQuery:
    """Around that time."""
    return TraceQuery(since=at - timedelta(minutes=5), until=at + timedelta(minutes=5), **query)


def ids(found: Sequence[Trace]) -> list[str]:
    return [trace.trace_id for trace in found]


class TracesContract:
    async def test_one_trace_as_a_tree(self, adapter: Traces, hold: Hold) -> None:
        at = now()
        hold(checkout(at))
        tree = await adapter.trace(FIRST)
        assert (tree.trace_id, tree.service, tree.operation) == (FIRST, "shop", "POST /checkout")
        assert tree.ref == f"{tree.backend}/{FIRST}"
        assert (tree.started_at, tree.duration_s, tree.span_count, tree.errors) == (at, 2.0, 5, 2)
        assert tree.services == ("shop", "stock", "payment", "bank")
        assert (tree.state, tree.health, tree.orphans) == ("warning", "warning", 0)
        assert [(span.depth, span.service, span.offset_s, span.duration_s) for span in tree.spans] == [
            (0, "shop", 0.0, 2.0),
            (1, "stock", 0.0, 0.1),
            (1, "payment", 0.1, 1.8),
            (2, "bank", 0.2, 1.0),
            (2, "bank", 1.3, 0.5),
        ]

    async def test_what_it_waited_for_and_what_failed_first(self, adapter: Traces, hold: Hold) -> None:
        hold(checkout(now()))
        tree = await adapter.trace(FIRST)
        assert [round(span.critical_s, 6) for span in tree.spans] == [0.1, 0.1, 0.3, 1.0, 0.5]
        assert sum(span.critical_s for span in tree.spans) == pytest.approx(tree.duration_s)
        failed = [span for span in tree.spans if span.state == "critical"]
        assert [(span.service, span.error, span.first_error) for span in failed] == [
            ("payment", "bank is slow", False),
            ("bank", "deadline exceeded", True),
        ]

    async def test_a_trace_that_is_not_there(self, adapter: Traces, hold: Hold) -> None:
        hold(checkout(now()))
        for trace_id in (SECOND, "../../admin", "", "g" * 32, "a" * 33):
            with pytest.raises(BackendError) as caught:
                await adapter.trace(trace_id)
            assert caught.value.kind == "not_found", trace_id

    async def test_a_search_by_service_and_time(self, adapter: Traces, hold: Hold) -> None:
        at = now()
        hold(
            [
                *checkout(at),
                work(SECOND, 1, 0, "report", "GET /daily", at - timedelta(minutes=1), 0.25),
                work(THIRD, 1, 0, "report", "GET /old", at - timedelta(hours=3), 0.25),
            ]
        )
        found = await adapter.search(asked(at))
        assert ids(found) == [FIRST, SECOND], "the newest first"
        report = found[1]
        assert (report.service, report.operation, report.duration_s) == ("report", "GET /daily", 0.25)
        assert report.started_at == at - timedelta(minutes=1)
        assert ids(await adapter.search(asked(at, service="bank"))) == [FIRST]
        assert ids(await adapter.search(asked(at, service="report"))) == [SECOND]
        assert await adapter.search(asked(at, service='no"such')) == []
        assert ids(await adapter.search(asked(at - timedelta(hours=3)))) == [THIRD]

    async def test_only_what_failed(self, adapter: Traces, hold: Hold) -> None:
        at = now()
        hold([*checkout(at), *(work(f"{n:032x}", 1, 0, "bank", "balance", at, 0.1) for n in range(1, 4))])
        found = await adapter.search(asked(at, errors=True))
        assert ids(found) == [FIRST]
        assert found[0].state in ("warning", "critical")
        assert ids(await adapter.search(asked(at, errors=True, service="bank"))) == [FIRST]

    async def test_only_what_is_slow(self, adapter: Traces, hold: Hold) -> None:
        at = now()
        hold([*checkout(at), work(SECOND, 1, 0, "shop", "GET /", at, 0.25)])
        assert ids(await adapter.search(asked(at, min_duration_s=0.5))) == [FIRST]
        assert sorted(ids(await adapter.search(asked(at, min_duration_s=0.25)))) == [FIRST, SECOND]
        assert await adapter.search(asked(at, min_duration_s=2.5)) == []

    async def test_no_more_than_are_asked_for(self, adapter: Traces, hold: Hold) -> None:
        at = now()
        hold([work(f"{n:032x}", 1, 0, "shop", "GET /", at - timedelta(seconds=n), 0.1) for n in range(1, 9)])
        found = await adapter.search(asked(at, limit=3))
        assert ids(found) == [f"{n:032x}" for n in (1, 2, 3)], "the newest"

    async def test_strings_from_outside_are_clean(self, adapter: Traces, hold: Hold) -> None:
        at = now()
        hold([work(FIRST, 1, 0, "sho\x1b[31mp\u202e", "GET " + "x" * 500, at, 0.1, error="no\x07\ngood")])
        (found,) = await adapter.search(asked(at))
        tree = await adapter.trace(FIRST)
        for text in (found.service, found.operation, tree.spans[0].service, tree.spans[0].operation):
            assert text.isprintable()
            assert len(text) <= 200
        assert (tree.service, tree.spans[0].error, tree.state) == ("shop", "no good", "critical")

    async def test_a_lost_system_is_an_error_that_says_what_to_do(
        self, adapter: Traces, hold: Hold, lose: Lose
    ) -> None:
        at = now()
        hold(checkout(at))
        await adapter.trace(FIRST)
        lose()
        for question in (adapter.trace(FIRST), adapter.search(asked(at)), adapter.search(asked(at, service="shop"))):
            with pytest.raises(BackendError) as caught:
                await question
            assert caught.value.kind in ("unreachable", "timeout")
            assert caught.value.message.isprintable()
            assert caught.value.fix

    async def test_reads_side_by_side_and_cancelled_ones(self, adapter: Traces, hold: Hold) -> None:
        at = now()
        hold(checkout(at))
        tasks = [asyncio.create_task(adapter.search(asked(at))) for _ in range(6)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert all(isinstance(traces, list) and len(traces) == 1 for traces in found[1:])

    async def test_closing_twice(self, adapter: Traces, hold: Hold) -> None:
        hold(checkout(now()))
        await adapter.trace(FIRST)
        await adapter.aclose()
        await adapter.aclose()
