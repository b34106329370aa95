"""`prometheus` quality against a server in this process: the contract, and what only metrics can do to a score."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.models import QualityScore
from backends.quality.metric import MetricQuality
from backends.registry import AdapterContext, build
from backends.testing.quality import MINUTE, Evaluate, Evaluation, Lose, QualityContract, now, score_of
from tests.backends.fake_prometheus import FakePrometheus

SCORE, FAILED = "data_quality_score", "data_quality_check_failed"
HOUR = timedelta(hours=1)
Connect = Callable[..., MetricQuality]


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    fake = FakePrometheus()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
async def connect(fake: FakePrometheus, tmp_path: Path) -> AsyncIterator[Connect]:
    """By default of a metrics entry "prom" over the fake."""
    http = Http()
    prom = build("metrics", "prometheus", {"url": fake.url}, AdapterContext("prom", tmp_path, tmp_path, http))
    built = [prom]

    def connected(**config: Any) -> MetricQuality:
        config = {"query": SCORE, **({} if "url" in config else {"metrics": "prom"}), **config}
        context = AdapterContext("scores", tmp_path, tmp_path, http, metrics={"prom": prom}.__getitem__)
        adapter: MetricQuality = build("quality", "metric", config, context)
        built.append(adapter)
        return adapter

    yield connected
    for adapter in built:
        await adapter.aclose()
    await http.aclose()


@pytest.fixture
def adapter(connect: Connect) -> MetricQuality:
    return connect(window="24m", cadence="5m", failures=FAILED)


@pytest.fixture
def evaluate(fake: FakePrometheus) -> Evaluate:
    def put(evaluation: Evaluation) -> None:
        score = "NaN" if evaluation.score is None else evaluation.score
        fake.put(SCORE, score, evaluation.at, dataset=evaluation.dataset)
        for check in evaluation.failed_checks:
            fake.put(FAILED, 1, evaluation.at, dataset=evaluation.dataset, check=check)

    return put


@pytest.fixture
def lose(fake: FakePrometheus) -> Lose:
    return fake.stop


class TestPrometheusQuality(QualityContract):
    pass


async def only(adapter: MetricQuality) -> QualityScore:
    (found,) = await adapter.scores()
    return found


async def refusal(adapter: MetricQuality) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await adapter.scores()
    assert caught.value.fix
    assert caught.value.message.isprintable()
    return caught.value


async def test_a_server_of_its_own_instead_of_a_name(
    fake: FakePrometheus, connect: Connect, evaluate: Evaluate
) -> None:
    evaluate(Evaluation("customers", 0.9, now()))
    assert (await only(connect(url=fake.url, tenant="team-a"))).state == "warning"
    assert {headers["x-scope-orgid"] for _, _, headers in fake.requests} == {"team-a"}


async def test_percent_and_another_label(fake: FakePrometheus, connect: Connect) -> None:
    fake.put(SCORE, 97.5, now(), table="orders")
    found = await only(connect(scale=100, label="table"))
    assert (found.dataset, found.score, found.state) == ("orders", 0.975, "ok")


async def test_a_single_number_is_named_as_the_entry(fake: FakePrometheus, connect: Connect) -> None:
    fake.put(SCORE, 0.99, now() - MINUTE)
    assert (await only(connect())).ref == "scores/scores"


async def test_series_without_the_label_are_no_dataset(fake: FakePrometheus, connect: Connect) -> None:
    fake.put(SCORE, 0.99, now(), table="orders", job="dq")
    error = await refusal(connect())
    assert (error.kind, "among job, table" in error.message, "min by (dataset)" in error.fix) == (
        "not_found",
        True,
        True,
    )


async def test_the_worst_of_several_series_counts(fake: FakePrometheus, connect: Connect) -> None:
    fake.put(SCORE, 0.99, now(), dataset="customers", instance="a")
    fake.put(SCORE, 0.5, now(), dataset="customers", instance="b")
    assert (await only(connect())).score == 0.5
    fake.put(SCORE, "NaN", now(), dataset="customers", instance="c")
    found = await only(connect())
    assert (found.state, found.reason) == ("unknown", "score is NaN")


async def test_what_had_a_score_and_has_none_is_unknown_not_gone(fake: FakePrometheus, connect: Connect) -> None:
    fake.put(SCORE, 0.99, now() - 3 * HOUR, dataset="lost")
    fake.put(SCORE, 0.99, now(), dataset="there")
    adapter = connect(datasets=["never", "there"])
    lost, never, there = await adapter.scores()
    assert (lost.dataset, lost.state, lost.reason, lost.score) == ("lost", "unknown", "no data now", 0.99)
    assert lost.age_s == pytest.approx(3 * 3600, abs=5)
    assert (never.dataset, never.state, never.reason, never.age_s) == ("never", "unknown", "no data", None)
    assert (there.dataset, there.state) == ("there", "ok")


async def test_when_it_was_evaluated_is_what_a_query_says(fake: FakePrometheus, connect: Connect) -> None:
    """As a Pushgateway has it: scraped a moment ago, pushed hours before."""
    for age in range(12):
        fake.put(SCORE, 0.99, now() - age * HOUR, dataset="customers")
        fake.put("pushed", (now() - 6 * HOUR).timestamp(), now() - age * HOUR)
    assert (await only(connect())).state == "ok"
    found = await only(connect(evaluated_at="pushed", cadence="1h"))
    assert (found.state, found.reason) == ("unknown", "older than twice its cadence of 1h")
    assert found.age_s == pytest.approx(6 * 3600, abs=5)
    assert len(found.trend) == 1, "one evaluation, however often it was scraped"
    fake.put("by_dataset", (now() - MINUTE).timestamp(), now(), dataset="other")
    assert (await score_of(connect(evaluated_at="by_dataset"), "customers")).reason == "evaluated_at is empty"


async def test_a_trend_that_fails_costs_no_score(fake: FakePrometheus, connect: Connect, evaluate: Evaluate) -> None:
    fake.answers["query_range"] = (503, {"status": "error", "errorType": "timeout", "error": "too many samples"})
    assert (await refusal(connect())).kind == "timeout", "nothing now, and nobody knows whether there was"
    evaluate(Evaluation("customers", 0.99, now()))
    found = await only(connect())
    assert (found.state, len(found.trend)) == ("ok", 1)
    assert found.reason is not None
    assert found.reason.startswith("no trend: ")
    assert "too many samples" in found.reason


@pytest.mark.parametrize("history", [0, 1])
async def test_no_trend_is_asked_for(fake: FakePrometheus, connect: Connect, evaluate: Evaluate, history: int) -> None:
    evaluate(Evaluation("customers", 0.99, now()))
    assert (await only(connect(history=history))).state == "ok"
    assert not [path for _, path, _ in fake.requests if "query_range" in path]


async def test_the_trend_is_at_rest_between_two_reads(fake: FakePrometheus, connect: Connect) -> None:
    for age in range(24 * 60):
        fake.put(SCORE, 0.9 + age / 100_000, now() - age * MINUTE, dataset="customers")
    first, second = await only(connect()), await only(connect())
    assert first.trend[:-1] == second.trend[:-1]
    assert (len(first.trend), first.trend[0].at.tzinfo) == (24, UTC)


async def test_failed_checks_are_those_above_zero(fake: FakePrometheus, connect: Connect) -> None:
    fake.put(SCORE, 0.9, now(), dataset="customers")
    fake.put(FAILED, 0, now(), dataset="customers", rule="passes")
    fake.put(FAILED, 3, now(), dataset="customers", rule="email not null", instance="a")
    fake.put(FAILED, 3, now(), dataset="customers", rule="email not null", instance="b")
    fake.put(FAILED, "NaN", now(), dataset="customers", rule="nobody knows")
    found = await only(connect(failures=FAILED, check_label="rule"))
    assert [failure.check for failure in found.failures] == ["email not null", "nobody knows"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "metrics, url: one of them"),
        ({"url": "http://p", "metrics": "prom"}, "metrics, url: one of them"),
        ({"metrics": "prom", "tenant": "a"}, "belong to the metrics entry"),
        ({"metrics": "prom", "query": " "}, "neither may be empty"),
        ({"metrics": "prom", "warn": 0.5}, "crit <= warn"),
        ({"metrics": "prom", "scale": 0}, "more than 0"),
        ({"metrics": "prom", "history": 1001}, "0 to 1000"),
        ({"metrics": "prom", "window": "5s"}, "at least 1m"),
        ({"url": "http://u:p@p"}, "password inside a URL"),
        ({"metrics": "prom", "labels": "x"}, "unknown field `labels`"),
    ],
)
def test_a_config_that_cannot_be_meant(config: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words) as caught:
        build("quality", "prometheus", {"query": "x", **config}, AdapterContext("q", Path(), Path(), Http()))
    assert caught.value.kind == "config"


async def test_a_name_that_nobody_has_is_said_when_it_is_read() -> None:
    context = AdapterContext("q", Path(), Path(), Http())
    adapter: MetricQuality = build("quality", "prometheus", {"query": "x", "metrics": "prom"}, context)
    assert 'no metrics source "prom"' in (await refusal(adapter)).message


async def test_one_series_without_the_label_takes_no_other_away(fake: FakePrometheus, connect: Connect) -> None:
    fake.put(SCORE, 0.99, now(), dataset="customers")
    fake.put(SCORE, 0.99, now(), job="dq")
    nameless, found = await connect().scores()
    assert (found.dataset, found.state) == ("customers", "ok")
    assert (nameless.dataset, nameless.state) == ('(no label "dataset" among job)', "unknown")


async def test_when_it_fell_is_known_within_a_step_of_the_trend(fake: FakePrometheus, connect: Connect) -> None:
    """Its time is now for anything that computes: the trend says since when it is so, also within the last hour."""
    for minutes in range(59, -1, -1):
        fake.put(SCORE, 0.99 if minutes > 20 else 0.74, now() - timedelta(minutes=minutes), dataset="customers")
    found = await only(connect(window="24h"))
    began = min(point.at for point in found.trend if point.score == 0.74)
    assert timedelta(minutes=16) < now() - began < timedelta(minutes=21)


async def test_the_old_name_is_the_same_type(tmp_path: Path) -> None:
    context = AdapterContext("scores", tmp_path, tmp_path, Http())
    assert type(build("quality", "prometheus", {"query": "x", "metrics": "prom"}, context)) is MetricQuality


async def test_where_less_is_better_the_limits_are_upper_ones_and_the_worst_is_the_highest(
    fake: FakePrometheus, connect: Connect
) -> None:
    for pod, value in (("a", 120), ("b", 412)):
        fake.put("latency", value, now(), model="churn", pod=pod)
    found = await only(connect(query="latency", label="model", better="lower", unit="ms", warn=200, crit=300))
    assert (found.score, found.state, found.words) == (412, "critical", "412 ms > 300 ms")
    within = await only(connect(query="latency", label="model", better="lower", unit="ms", warn=412, crit=500))
    assert (within.state, within.words) == ("ok", "412 ms")
    fake.put("drift", 0.25, now(), model="churn")
    drift = await only(connect(query="drift", label="model", better="lower", warn=0.2, crit=0.3))
    assert (drift.state, drift.words) == ("warning", "0.25 > 0.20")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"better": "lower"}, "both are needed"), ({"unit": "ms", "warn": 1}, "both are needed"),
        ({"better": "lower", "warn": 0.3, "crit": 0.2}, "warn <= crit, since lower is better"),
        ({"warn": 0.7}, "crit <= warn, since higher is better"), ({"warn": 95, "crit": 80}, "0 to 1"),
        ({"unit": "ms", "better": "lower", "warn": 3, "crit": 2}, "warn <= crit"),
    ],
)  # fmt: skip
def test_limits_that_make_no_sense_are_refused(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    context = AdapterContext("scores", tmp_path, tmp_path, Http())
    with pytest.raises(BackendError, match=words):
        build("quality", "metric", {"query": "x", "metrics": "prom", **config}, context)
