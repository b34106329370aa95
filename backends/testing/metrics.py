"""What every adapter of the port `Metrics` does. An adapter's test class inherits this and gives these fixtures:

`adapter` (a fresh one, closed afterwards), `metric`: a name that the system does not know yet, `put`: makes the system
hold one sample of it, readable at once, `asked`: queries of the system, and `lose`: makes the system go away.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from backends.errors import BackendError
from backends.ports import Metrics

Put = Callable[..., None]  # (value, at, **labels)
Lose = Callable[[], None]
MINUTE = timedelta(minutes=1)


class Asked(NamedTuple):
    """A query that the system refuses, a part of its words for it; one that finds no finite number, and its reason."""

    refused: str
    words: str
    no_number: str
    reason: str


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def over(adapter: Metrics, query: str) -> Awaitable[list[Any]]:
    """The last 10 minutes, minute by minute."""
    return adapter.range(query, start=now() - 10 * MINUTE, end=now(), step=60)


class MetricsContract:
    async def test_nothing_is_not_zero(self, adapter: Metrics, metric: str) -> None:
        assert await adapter.instant(metric) == []
        assert await over(adapter, metric) == []
        assert await adapter.series_exist(metric) is False

    async def test_the_newest_value_of_each_label_set(self, adapter: Metrics, metric: str, put: Put) -> None:
        put(0.25, now() - 2 * MINUTE, color="blue")
        put(0.5, now() - MINUTE, color="blue")
        put(-1e9, now() - MINUTE, color="green", code="500")
        found = {sample.labels["color"]: sample for sample in await adapter.instant(metric)}
        assert {color: sample.value for color, sample in found.items()} == {"blue": 0.5, "green": -1e9}
        assert found["green"].labels["code"] == "500"
        for sample in found.values():
            assert sample.at.utcoffset() == timedelta(0)
            assert abs(sample.at - datetime.now(UTC)) < 2 * MINUTE
            assert (sample.reason, sample.warnings) == ("", ())
        assert await adapter.series_exist(metric) is True

    async def test_what_was_so_at_a_time(self, adapter: Metrics, metric: str, put: Put) -> None:
        put(1, now() - 3 * MINUTE)
        put(2, now() - MINUTE)
        (before,) = await adapter.instant(metric, at=now() - 2 * MINUTE)
        assert before.value == 1
        assert await adapter.instant(metric, at=now() - 5 * MINUTE) == []

    async def test_a_range_is_oldest_first_and_makes_nothing_up(self, adapter: Metrics, metric: str, put: Put) -> None:
        for age in (4, 2, 3):
            put(age, now() - age * MINUTE, color="blue")
        (series,) = await over(adapter, metric)
        assert series.labels["color"] == "blue"
        times = [point.at for point in series.points]
        assert times == sorted(times)
        assert now() - 5 * MINUTE < times[0] <= now() - 3 * MINUTE
        assert {(after - before).total_seconds() for before, after in itertools.pairwise(times)} == {60}
        assert [point.value for point in series.points][:3] == [4, 3, 2]

    async def test_the_names_in_a_query_can_be_asked_for(
        self, adapter: Metrics, metric: str, put: Put, asked: Asked
    ) -> None:
        names = adapter.names(metric)
        assert names
        assert not any([await adapter.series_exist(name) for name in names])
        put(1, now() - MINUTE, color="blue")
        assert all([await adapter.series_exist(name) for name in names])
        assert adapter.names(asked.refused) == adapter.names(asked.no_number) == ()

    async def test_a_refused_query_has_the_systems_words(self, adapter: Metrics, asked: Asked) -> None:
        for answer in (adapter.instant(asked.refused), over(adapter, asked.refused)):
            with pytest.raises(BackendError, match=asked.words) as caught:
                await answer
            assert caught.value.kind == "config"
            assert caught.value.message.isprintable()
            assert "query" in caught.value.fix

    async def test_what_is_no_finite_number_has_no_value(self, adapter: Metrics, asked: Asked) -> None:
        (sample,) = await adapter.instant(asked.no_number)
        assert (sample.value, sample.reason) == (None, asked.reason)
        (series,) = await over(adapter, asked.no_number)
        assert {point.value for point in series.points} == {None}

    async def test_strings_from_outside_are_clean(self, adapter: Metrics, metric: str, put: Put) -> None:
        put(1, now() - MINUTE, color="bl\x1b[31mue\u202e\n" + "x" * 3000)
        (sample,), (series,) = await adapter.instant(metric), await over(adapter, metric)
        for labels in (sample.labels, series.labels):
            assert labels["color"].startswith("blue x")
            assert labels["color"].isprintable()
            assert len(labels["color"]) <= 512

    async def test_a_long_query(self, adapter: Metrics, metric: str, put: Put) -> None:
        put(7, now() - MINUTE)
        query = metric + "".join(f" or {metric}_{number}" for number in range(12_000 // (len(metric) + 7)))
        assert len(query) > 10_000
        (sample,), (series,) = await adapter.instant(query), await over(adapter, query)
        assert (sample.value, series.points[-1].value) == (7, 7)

    async def test_a_lost_system_is_an_error_that_says_what_to_do(
        self, adapter: Metrics, metric: str, put: Put, lose: Lose
    ) -> None:
        put(1, now() - MINUTE)
        assert await adapter.instant(metric)
        lose()
        for answer in (adapter.instant(metric), over(adapter, metric), adapter.series_exist(metric)):
            with pytest.raises(BackendError) as caught:
                await answer
            assert caught.value.kind in ("unreachable", "timeout")
            assert caught.value.message.isprintable()
            assert caught.value.fix

    async def test_reads_side_by_side_and_cancelled_ones(self, adapter: Metrics, metric: str, put: Put) -> None:
        put(1, now() - MINUTE)
        reads: list[asyncio.Task[Any]] = [asyncio.ensure_future(over(adapter, metric)) for _ in range(4)]
        reads += [asyncio.ensure_future(adapter.instant(metric)) for _ in range(4)]
        await asyncio.sleep(0)
        reads[0].cancel()
        reads[-1].cancel()
        found = await asyncio.gather(*reads, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert isinstance(found[-1], asyncio.CancelledError)
        assert all(isinstance(answer, list) and len(answer) == 1 for answer in found[1:-1])
        assert len(await over(adapter, metric)) == 1

    async def test_closing_twice(self, adapter: Metrics, metric: str) -> None:
        await over(adapter, metric)
        await adapter.aclose()
        await adapter.aclose()
