"""What every adapter of the port `Quality` does. An adapter's test class inherits this and gives three fixtures:

`adapter` (a fresh one over a system without evaluations, closed afterwards; warn 0.95, crit 0.80, a trend of 24),
`evaluate`: makes the system hold one more evaluation, and `lose`: makes the system go away.
"""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from backends.errors import BackendError
from backends.models import QualityScore
from backends.ports import Quality

MINUTE = timedelta(minutes=1)


class Evaluation(NamedTuple):
    dataset: str
    score: float | None
    at: datetime
    failed_checks: tuple[str, ...] = ()


Evaluate = Callable[[Evaluation], None]
Lose = Callable[[], None]


def now() -> datetime:
    return datetime.now(UTC)


async def score_of(adapter: Quality, dataset: str) -> QualityScore:
    return next(score for score in await adapter.scores() if score.dataset == dataset)


class QualityContract:
    async def test_nothing_evaluated_is_no_error(self, adapter: Quality) -> None:
        assert await adapter.scores() == []

    @pytest.mark.parametrize(
        ("score", "state"),
        [(1.0, "ok"), (0.95, "ok"), (0.949, "warning"), (0.80, "warning"), (0.799, "critical"), (0.0, "critical")],
    )
    async def test_the_limits_themselves_are_good_enough(
        self, adapter: Quality, evaluate: Evaluate, score: float, state: str
    ) -> None:
        evaluate(Evaluation("customers", score, now()))
        (found,) = await adapter.scores()
        assert (found.state, found.health, found.reason) == (state, state, None)
        assert found.score == pytest.approx(score)
        assert (found.warn, found.crit) == (0.95, 0.80)
        assert found.ref == "/".join(filter(None, (found.backend, "customers", found.suite)))
        assert found.age_s is not None
        assert 0 <= found.age_s < 60

    async def test_the_newest_of_each_dataset_with_its_trend_oldest_first(
        self, adapter: Quality, evaluate: Evaluate
    ) -> None:
        began = now()
        for age in (3, 1, 2):
            evaluate(Evaluation("customers", 1 - age / 10, began - age * MINUTE))
        evaluate(Evaluation("transactions", 0.5, began - 2 * MINUTE))
        customers = await score_of(adapter, "customers")
        assert customers.score == pytest.approx(0.9)
        assert [round(point.score, 3) for point in customers.trend] == [0.7, 0.8, 0.9]
        assert customers.trend[-1].at == customers.evaluated_at
        assert [point.at for point in customers.trend] == sorted(point.at for point in customers.trend)
        assert customers.evaluated_at is not None
        assert customers.evaluated_at.utcoffset() == timedelta(0)
        assert abs(customers.evaluated_at - (began - MINUTE)) < timedelta(seconds=1)
        assert (await score_of(adapter, "transactions")).state == "critical"

    async def test_the_trend_is_bounded(self, adapter: Quality, evaluate: Evaluate) -> None:
        for age in range(40):
            evaluate(Evaluation("customers", 1.0, now() - age * MINUTE))
        (found,) = await adapter.scores()
        assert len(found.trend) == 24

    @pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf, 1.5, -0.1])
    async def test_what_is_no_score_is_unknown_and_says_why(
        self, adapter: Quality, evaluate: Evaluate, score: float | None
    ) -> None:
        evaluate(Evaluation("customers", 0.99, now() - MINUTE))
        evaluate(Evaluation("customers", score, now()))
        (found,) = await adapter.scores()
        assert (found.state, found.score) == ("unknown", None)
        assert found.reason
        assert [point.score for point in found.trend] == [pytest.approx(0.99)], "a bad point is no point"

    async def test_older_than_twice_its_cadence_is_unknown(self, adapter: Quality, evaluate: Evaluate) -> None:
        for age in (30, 20, 25):
            evaluate(Evaluation("customers", 0.99, now() - age * MINUTE))
            evaluate(Evaluation("fresh", 0.99, now() - (age - 20) * MINUTE))
        stale = await score_of(adapter, "customers")
        assert (stale.state, stale.reason) == ("unknown", "older than twice its cadence of 5m")
        assert stale.score == pytest.approx(0.99), "the last known score is still worth reading"
        assert (await score_of(adapter, "fresh")).state == "ok"

    async def test_failed_checks_are_named(self, adapter: Quality, evaluate: Evaluate) -> None:
        evaluate(Evaluation("customers", 0.9, now(), ("email not null", "country in set")))
        (found,) = await adapter.scores()
        assert [failure.check for failure in found.failures] == ["email not null", "country in set"]

    async def test_strings_from_outside_are_clean(self, adapter: Quality, evaluate: Evaluate) -> None:
        evaluate(Evaluation("cust\x1b[31momers\u202e\n" + "x" * 5000, 0.9, now(), ("\x1b]52;c;aGk=\x07check",)))
        (found,) = await adapter.scores()
        assert found.dataset.startswith("customers x")
        assert found.dataset.isprintable()
        assert len(found.dataset) < 500
        assert found.failures[0].check == "check"

    async def test_a_lost_system_is_an_error_that_says_what_to_do(
        self, adapter: Quality, evaluate: Evaluate, lose: Lose
    ) -> None:
        evaluate(Evaluation("customers", 0.9, now()))
        await adapter.scores()
        lose()
        with pytest.raises(BackendError) as caught:
            await adapter.scores()
        assert caught.value.kind in ("unreachable", "timeout")
        assert caught.value.message.isprintable()
        assert caught.value.fix

    async def test_reads_side_by_side_and_cancelled_ones(self, adapter: Quality, evaluate: Evaluate) -> None:
        evaluate(Evaluation("customers", 0.9, now()))
        tasks = [asyncio.create_task(adapter.scores()) for _ in range(6)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert all(isinstance(scores, list) and len(scores) == 1 for scores in found[1:])
        assert len(await adapter.scores()) == 1

    async def test_closing_twice(self, adapter: Quality, evaluate: Evaluate) -> None:
        evaluate(Evaluation("customers", 0.9, now()))
        await adapter.scores()
        await adapter.aclose()
        await adapter.aclose()
