"""What of a source's answer is no value to judge by."""

from datetime import timedelta

import pytest

from actions.ids import now
from actions.judging.metric_gates import MetricGate, Queries
from actions.judging.sampling import take
from backends.ports import Metrics
from backends.ports.metrics import Sample
from backends.settings import Duration


class Saying:
    """A source that says `value`, as it was `age_s` seconds ago, and 1,000 requests."""

    def __init__(self, value: float, age_s: float) -> None:
        self.value, self.age_s = value, age_s

    async def instant(self, query: str, **_: object) -> list[Sample]:
        value = 1000.0 if query == "requests" else self.value
        return [Sample(labels={}, at=now() - timedelta(seconds=self.age_s), value=value)]


@pytest.mark.parametrize(
    ("unit", "value", "age_s", "problem"),
    [
        ("share", 0.01, 0, ""), ("s", 0.2, 0, ""), (None, -5.0, 0, ""),  # a difference may be below 0
        ("share", -5.0, 0, "nan"), ("s", -0.1, 0, "nan"),
        ("share", 0.01, 170, ""), ("share", 0.01, 600, "stale"),
        ("share", 0.01, -170, ""), ("share", 0.01, -600, "stale"),  # a clock ahead does not make it new
    ],
)  # fmt: skip
async def test_a_value_that_can_not_be_is_none(unit: str | None, value: float, age_s: float, problem: str) -> None:
    gate = MetricGate(
        name="g", metrics="prom", candidate="candidate", requests="requests", max=1.0, window=Duration(60),
        unit=unit,  # of the words that a config may say
    )  # fmt: skip
    asked = Queries(candidate="candidate", requests="requests", production="", production_requests="")
    source: Metrics = Saying(value, age_s)  # only asked for an instant
    found = await take(gate, asked, source, "green")
    assert (found.problem, found.candidate) == (problem, None if problem else value)
