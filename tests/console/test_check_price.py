"""What `teal check` of one thing in AWS costs, beside a script of boto3 that asks the same."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.fake_aws import FakeAws, fake_aws
from tests.live.moto import KEYS, REGION, MotoServer

pytestmark = pytest.mark.xdist_group("moto")
LIMIT, ROUNDS = 1.25, 6
SCRIPT = """
import boto3, datetime, sys
where = {"endpoint_url": sys.argv[1], "region_name": sys.argv[2]}
wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
wanted += ["QueueArn", "MessageRetentionPeriod", "RedrivePolicy"]
sqs = boto3.client("sqs", **where)
url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
name = told["QueueArn"].rpartition(":")[2]
metric = {"Namespace": "AWS/SQS", "MetricName": "ApproximateAgeOfOldestMessage"}
metric["Dimensions"] = [{"Name": "QueueName", "Value": name}]
query = {"Id": "age", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}
end = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)
start = end - datetime.timedelta(minutes=15)
found = boto3.client("cloudwatch", **where).get_metric_data(MetricDataQueries=[query], StartTime=start, EndTime=end)
print(told["ApproximateNumberOfMessages"], found["MetricDataResults"][0]["Values"])
"""


@pytest.fixture
def aws(moto_server: MotoServer) -> Iterator[FakeAws]:
    moto_server.reset()
    moto_server.client("sqs").create_queue(QueueName="orders")
    with fake_aws(moto_server.endpoint_url) as found:
        yield found


def cpu_s(command: Sequence[str], env: dict[str, str]) -> float:
    """Of the whole process, with all that it imports."""
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


def test_a_check_costs_little_more_than_a_script_that_asks_the_same(aws: FakeAws, tmp_path: Path) -> None:
    """The least of a few rounds of each, taken in turn."""
    path = tmp_path / "config.toml"
    access = f'aws = {{ region = "{REGION}", endpoint_url = "{aws.endpoint_url}" }}'
    path.write_text(f'[contexts.c]\n[[contexts.c.checks]]\nname = "orders"\ntype = "sqs"\nqueue = "orders"\n{access}\n')
    path.chmod(0o600)
    env = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}, **KEYS,
        "AWS_EC2_METADATA_DISABLED": "true", "TEAL_STATE_DIR": str(tmp_path / "state"), "TEAL_CONFIG": str(path),
    }  # fmt: skip
    ours = [sys.executable, "-m", "console.cli.main", "check", "orders"]
    script = [sys.executable, "-c", SCRIPT, aws.endpoint_url, REGION]
    cpu_s(ours, env)  # what is compiled is kept
    first = [name for name, _ in aws.calls]
    aws.calls.clear()
    pairs: list[tuple[float, float]] = []
    while not pairs or (len(pairs) < ROUNDS and _ratio(pairs) > LIMIT):
        pairs.append((cpu_s(ours, env), cpu_s(script, env)))
    assert [name for name, _ in aws.calls[:6]] == first * 2, "both ask the same"
    assert _ratio(pairs) <= LIMIT, pairs


def _ratio(pairs: list[tuple[float, float]]) -> float:
    return min(ours for ours, _ in pairs) / min(script for _, script in pairs)
