"""`metric` quality over CloudWatch (moto): a score is as old as its period, dimensions name what it is of."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backends.quality.metric import MetricQuality
from backends.registry import AdapterContext, build
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.fake_aws import FakeAws

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")


@pytest.fixture
def quality(connect: Connect, tmp_path: Any, http: Any) -> Any:
    metrics = connect("metrics", "cloudwatch")

    def made(**config: Any) -> MetricQuality:
        context = AdapterContext("scores", tmp_path, tmp_path, http, metrics=lambda name: metrics)
        found: MetricQuality = build("quality", "metric", {"metrics": "cw", **config}, context)
        return found

    return made


def put(aws: FakeAws, name: str, value: float, minutes_ago: float, **labels: str) -> None:
    dimensions = [{"Name": key, "Value": text} for key, text in labels.items()]
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    datum = {"MetricName": name, "Timestamp": at, "Value": value, "Dimensions": dimensions}
    aws.client("cloudwatch").put_metric_data(Namespace="Platform", MetricData=[datum])


async def test_scores_by_their_dimension_with_age_and_trend(aws: FakeAws, quality: Any) -> None:
    for minutes, value in ((2.5, 0.7), (3.5, 0.9), (4.5, 0.96)):
        put(aws, "DataQualityScore", value, minutes, dataset="orders")
    put(aws, "DataQualityScore", 0.99, 2.5, dataset="customers")
    found = {score.dataset: score for score in await quality(query="Platform:DataQualityScore", window="24m").scores()}
    assert {name: score.state for name, score in found.items()} == {"orders": "critical", "customers": "ok"}
    orders = found["orders"]
    assert orders.evaluated_at is not None
    assert orders.evaluated_at.second == 0
    assert 60 <= (orders.age_s or 0) <= 240
    assert [point.score for point in orders.trend][-1] == 0.7
    assert 0.9 in [point.score for point in orders.trend]


async def test_latency_of_predictions_against_upper_limits(aws: FakeAws, quality: Any) -> None:
    put(aws, "PredictionLatency", 412, 2.5, model="churn")
    config = {"label": "model", "better": "lower", "unit": "ms", "warn": 200, "crit": 300}
    (score,) = await quality(query="Platform:PredictionLatency.Maximum", **config).scores()
    assert (score.dataset, score.state, score.words) == ("churn", "critical", "412 ms > 300 ms")


async def test_no_data_is_unknown_and_not_gone(aws: FakeAws, quality: Any) -> None:
    put(aws, "DataQualityScore", 0.99, 30, dataset="orders")
    adapter = quality(query="Platform:DataQualityScore", datasets=["orders", "never"], window="1h")
    found = {score.dataset: score for score in await adapter.scores()}
    assert (found["orders"].state, found["orders"].reason) == ("unknown", "no data now")
    assert (found["never"].state, found["never"].score) == ("unknown", None)
