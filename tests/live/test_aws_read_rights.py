"""The rights that docs/aws.md lists to look are enough, and each is needed: with moto's access control on.

It knows those of CloudWatch as `monitoring:…`, and refuses in XML whatever the service speaks: which right is missing
is read from its words here. That it is named where AWS answers is tested in `tests/console/test_doctor_aws.py`.
"""

import json
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.ports import LogQuery
from backends.registry import AdapterContext, build
from tests.docs.test_aws_rights import told
from tests.live.moto import REGION, MotoServer, moto

pytestmark = pytest.mark.xdist_group("moto")

OFF = 10**12
Looks = Callable[[Any], Awaitable[object]]


def _metrics(adapter: Any) -> Awaitable[object]:
    return adapter.instant("Platform:DataQualityScore")  # type: ignore[no-any-return]


CASES: dict[str, tuple[dict[str, Any], Looks, tuple[str, ...]]] = {
    "checks sqs": (
        {"queue": "orders"}, lambda adapter: adapter.run(),
        ("sqs:GetQueueUrl", "sqs:GetQueueAttributes", "cloudwatch:GetMetricData"),
    ),
    "checks kinesis": (
        {"stream": "orders"}, lambda adapter: adapter.run(),
        ("kinesis:DescribeStreamSummary", "cloudwatch:GetMetricData"),
    ),
    "metrics cloudwatch": ({}, _metrics, ("cloudwatch:ListMetrics",)),
    "logs cloudwatch": (
        {"groups": ["/ecs/analytics"]}, lambda adapter: adapter.query(LogQuery()), ("logs:FilterLogEvents",),
    ),
    "pipelines glue": ({}, lambda adapter: adapter.runs(), ("glue:ListJobs", "glue:GetJobRuns")),
    "pipelines step-functions": (
        {}, lambda adapter: adapter.runs(), ("states:ListStateMachines", "states:ListExecutions"),
    ),
    "alerts cloudwatch": ({}, lambda adapter: adapter.alerts(), ("cloudwatch:DescribeAlarms",)),
}  # fmt: skip


class Guarded:
    """A platform, and a user whose rights are set."""

    def __init__(self, server: MotoServer) -> None:
        self.server = server
        server.client("sqs").create_queue(QueueName="orders")
        server.client("kinesis").create_stream(StreamName="orders", ShardCount=1)
        server.client("logs").create_log_group(logGroupName="/ecs/analytics")
        role = "arn:aws:iam::123456789012:role/any"
        server.client("glue").create_job(
            Name="etl", Role=role, Command={"Name": "glueetl", "ScriptLocation": "s3://a/b"}
        )
        one = json.dumps({"StartAt": "a", "States": {"a": {"Type": "Pass", "End": True}}})
        server.client("stepfunctions").create_state_machine(name="daily", definition=one, roleArn=role)
        self._iam = server.client("iam")
        self._iam.create_user(UserName="oncall")
        made = self._iam.create_access_key(UserName="oncall")["AccessKey"]
        self.keys = {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}

    def allow(self, rights: set[str]) -> None:
        """These and no more, from now on."""
        self._control(OFF)
        statement = {"Effect": "Allow", "Action": sorted(map(in_moto, rights)), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._iam.put_user_policy(UserName="oncall", PolicyName="teal", PolicyDocument=policy)
        self._control(0)

    def _control(self, after: int) -> None:
        where, plain = f"{self.server.endpoint_url}/moto-api/reset-auth", {"content-type": "text/plain"}
        request = urllib.request.Request(where, str(after).encode(), plain, method="POST")
        urllib.request.urlopen(request, timeout=30).close()


def in_moto(right: str) -> str:
    """As moto calls it."""
    return right.replace("cloudwatch:", "monitoring:")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield Guarded(server)


async def looked(
    entry: str, guarded: Guarded, tmp_path: Path, http: Http, monkeypatch: pytest.MonkeyPatch
) -> BackendError | None:
    """What comes of one look; None where it may."""
    for name, value in guarded.keys.items():
        monkeypatch.setenv(name, value)
    port, _, kind = entry.partition(" ")
    config, look, _ = CASES[entry]
    given = {"aws": {"endpoint_url": guarded.server.endpoint_url, "region": REGION}, "timeout": "20s", **config}
    adapter = build(port, kind, given, AdapterContext("mine", tmp_path, tmp_path, http))
    try:
        await look(adapter)
    except BackendError as error:
        return error
    finally:
        await adapter.aclose()
    return None


@pytest.mark.parametrize("entry", CASES)
async def test_the_rights_of_the_page_are_enough(
    entry: str, guarded: Guarded, tmp_path: Path, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded.allow(told()[entry])
    assert await looked(entry, guarded, tmp_path, http, monkeypatch) is None


@pytest.mark.parametrize(("entry", "right"), [(entry, right) for entry, each in CASES.items() for right in each[2]])
async def test_one_right_less_is_named(
    entry: str, right: str, guarded: Guarded, tmp_path: Path, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded.allow(told()[entry] - {right})
    error = await looked(entry, guarded, tmp_path, http, monkeypatch)
    assert error is not None
    words = f"perform: {in_moto(right)}"[:20]  # the rest is cut
    assert (error.kind, words in error.message) == ("auth", True), error.message
