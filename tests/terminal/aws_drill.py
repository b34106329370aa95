"""A platform on AWS that wrote bad data in a green run: a job of Glue, its Data Quality results and an alarm of
CloudWatch, all of them a fake's, and a config that reads them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from tests.backends.fake_cloudwatch_alarms import FakeAlarms
from tests.backends.fake_data_quality import FakeDataQuality
from tests.backends.fake_glue import FakeGlue, FakeJob
from tests.fake_aws import FakeAws, fake_aws
from tests.live.moto import KEYS, REGION

JOB, TABLE, ALARM = "orders_etl", ("lake", "orders"), "DataQualityDegradation-orders"
MINUTE = timedelta(minutes=1)


class OnAws(NamedTuple):
    """Where the console finds it."""

    env: dict[str, str]


@contextmanager
def bad_data_on_aws(state: Path, env: dict[str, str]) -> Iterator[OnAws]:
    """A console's surroundings; `env` is what every one has."""
    with fake_aws() as aws:
        _break(aws, datetime.now(UTC).replace(microsecond=0))
        config = state / "aws.toml"
        config.write_text(_config(aws))
        config.chmod(0o600)
        own = {**env, **KEYS, "TEAL_CONFIG": str(config), "AWS_EC2_METADATA_DISABLED": "true"}
        yield OnAws({name: value for name, value in own.items() if name != "TEAL_CONTEXT"})


def _break(aws: FakeAws, now: datetime) -> None:
    glue, quality, alarms = FakeGlue().answer_by(aws), FakeDataQuality(aws), FakeAlarms().answer_by(aws)
    glue.add(FakeJob(JOB))
    for hour in range(12, -1, -1):
        began = now - hour * 60 * MINUTE - 12 * MINUTE
        run = glue.ran(JOB, "SUCCEEDED", began, 300, TriggerName="hourly", DPUSeconds=600.0)
        bad = hour == 0
        rules = [
            {"Name": "Rule_1", "Description": "RowCount > 1000", "Result": "PASS"},
            {
                "Name": "Rule_2", "Description": 'IsComplete "amount_eur"', "Result": "FAIL" if bad else "PASS",
                **({"EvaluationMessage": "Value: 0.71 does not meet the constraint requirement"} if bad else {}),
            },
        ]  # fmt: skip
        named = {"RulesetName": "orders-rules", "JobName": JOB, "JobRunId": run, "RuleResults": rules}
        quality.put(0.71 if bad else 0.98, began + 4 * MINUTE, TABLE, **named)
    turned, why = now - 6 * MINUTE, "1 datapoint [0.71] was less than the threshold (0.8)"
    alarms.put(ALARM, "ALARM", {"dataset": TABLE[1]}, StateTransitionedTimestamp=turned, StateReason=why)
    alarms.turned(ALARM, "ALARM", turned, why)


def _config(aws: FakeAws) -> str:
    reached = f'aws = {{ region = "{REGION}", endpoint_url = "{aws.endpoint_url}" }}'
    return f"""
[contexts.aws]
title = "analytics"
[contexts.aws.links]
labels = {{ dataset = ["dataset"], pipeline = ["job"] }}
rows = [{{ pipeline = "{JOB}", datasets = ["{TABLE[1]}"], owner = "data-platform" }}]
[[contexts.aws.pipelines]]
name = "glue"
type = "glue"
{reached}
[[contexts.aws.quality]]
name = "rules"
type = "glue"
pipelines = "glue"
{reached}
[[contexts.aws.alerts]]
name = "alarms"
type = "cloudwatch"
labels_from_name = "(?P<alertname>[A-Za-z]+)-(?P<dataset>[a-z]+)"
{reached}
"""
