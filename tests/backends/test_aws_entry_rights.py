"""The rights that docs/aws.md lists for an entry are enough for all that it looks at and orders, and of none of them
can be spared: each call is held to exactly that row by moto's policy engine."""

import asyncio
import io
import zipfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backends.aws.witness import Witness, witnessed
from backends.errors import BackendError
from backends.models import Matcher
from backends.ports import LogQuery
from backends.testing.notify import event
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.backends.fake_cloudwatch_alarms import FakeAlarms
from tests.backends.fake_cloudwatch_logs import FakeLogs
from tests.backends.fake_data_quality import FakeDataQuality
from tests.backends.fake_glue import FakeGlue, FakeJob
from tests.backends.fake_states import HERE, FakeMachine, FakeStates
from tests.docs.test_aws_rights import told
from tests.fake_aws import FakeAws
from tests.live.guard import Rights
from tests.live.moto import REGION

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")

Act = Callable[[Any], Awaitable[object]]
Acts = list[Act]
GROUP = "/ecs/analytics"
ENVIRONMENT = {"Environment": {"WebserverUrl": "a.airflow.amazonaws.com"}}


def now() -> datetime:
    return datetime.now(UTC)


def sqs(aws: FakeAws) -> tuple[dict[str, Any], Acts]:
    aws.client("sqs").create_queue(QueueName="orders")
    return {"queue": "orders"}, [lambda check: check.run()]


def kinesis(aws: FakeAws) -> tuple[dict[str, Any], Acts]:
    aws.client("kinesis").create_stream(StreamName="orders", ShardCount=1)
    return {"stream": "orders"}, [lambda check: check.run()]


def function(aws: FakeAws) -> tuple[dict[str, Any], Acts]:
    role = aws.client("iam").create_role(RoleName="run", AssumeRolePolicyDocument="{}", Path="/")["Role"]["Arn"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("main.py", "def run(event, context): pass")
    code = {"ZipFile": packed.getvalue()}
    aws.client("lambda").create_function(
        FunctionName="enrich", Runtime="python3.12", Role=role, Handler="main.run", Code=code
    )
    limit = {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}}
    aws.answers["lambda.GetAccountSettings"] = lambda asked: limit
    name = {"MetricName": "ConcurrentExecutions", "Dimensions": [{"Name": "FunctionName", "Value": "enrich"}]}
    datum = {**name, "Value": 1, "Timestamp": now() - timedelta(minutes=2)}
    aws.client("cloudwatch").put_metric_data(Namespace="AWS/Lambda", MetricData=[datum])
    return {"function": "enrich"}, [lambda check: check.run()]


def backup(aws: FakeAws) -> tuple[dict[str, Any], Acts]:
    where = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
    aws.client("s3").create_bucket(Bucket="backups", **where)
    aws.client("s3").put_object(Bucket="backups", Key="db/1", Body=b"1")
    return {"path": "s3://backups/db/"}, [lambda check: check.run()]


def report(aws: FakeAws) -> tuple[dict[str, Any], Acts]:
    where = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
    aws.client("s3").create_bucket(Bucket="reports", **where)
    body = b'<testsuite tests="1"><testcase name="a"/></testsuite>'
    aws.client("s3").put_object(Bucket="reports", Key="junit.xml", Body=body)
    return {"path": "s3://reports/junit.xml"}, [lambda check: check.run()]


def topic(aws: FakeAws) -> tuple[dict[str, Any], Acts]:
    arn = str(aws.client("sns").create_topic(Name="oncall")["TopicArn"])
    return {"topic": {"command": ["echo", arn]}}, [lambda told: told.dry_run(), lambda told: told.notify(event())]


def metrics(aws: FakeAws) -> tuple[dict[str, Any], Acts]:
    datum = {"MetricName": "DataQualityScore", "Value": 0.9, "Timestamp": now() - timedelta(minutes=2)}
    aws.client("cloudwatch").put_metric_data(Namespace="Platform", MetricData=[datum])
    return {}, [lambda source: source.instant("Platform:DataQualityScore")]


def logs(aws: FakeAws) -> tuple[dict[str, Any], Acts]:
    FakeLogs().answer_by(aws).put(GROUP, round(now().timestamp() * 1000), "one")
    aws.answers["logs.StartQuery"] = lambda asked: {"queryId": "q-1"}
    aws.answers["logs.GetQueryResults"] = lambda asked: {"status": "Running", "results": []}
    aws.answers["logs.StopQuery"] = lambda asked: {"success": True}

    async def left(adapter: Any) -> None:
        search = adapter.search("fields @message", since=now() - timedelta(hours=1), until=now(), limit=9)
        async for _ in search:
            break
        await search.aclose()

    async def followed(adapter: Any) -> None:
        lines = adapter.follow(LogQuery(limit=1))
        async with asyncio.timeout(20):
            async for _ in lines:
                break
        await lines.aclose()

    config = {"groups": [GROUP], "live_tail": True, "max_scan": "1GB"}
    return config, [lambda adapter: adapter.query(LogQuery()), left, followed]


def alarms(aws: FakeAws) -> tuple[dict[str, Any], Acts]:
    fake = FakeAlarms().answer_by(aws)
    fake.put("errors")
    fake.turned("errors", "ALARM", now() - timedelta(minutes=5))
    matchers = (Matcher(name="alarm", value="errors"),)

    async def muted(adapter: Any) -> None:
        until = now() + timedelta(hours=1)
        await adapter.silence(matchers, until=until, by="me", comment="x", ack=True, order="A1")

    async def ended(adapter: Any) -> None:
        fake.refuses_past_ends = True
        await adapter.expire("teal-ack-A1")

    look: Acts = [lambda adapter: adapter.alerts(), lambda adapter: adapter.events(now() - timedelta(hours=1), now())]
    return {}, [*look, muted, lambda adapter: adapter.alerts(), ended]


def glue(aws: FakeAws) -> tuple[dict[str, Any], Acts]:
    fake = FakeGlue().answer_by(aws)
    fake.add(FakeJob("etl", ends=None))
    was = fake.ran("etl", "SUCCEEDED", now() - timedelta(hours=1))
    return {}, [
        lambda adapter: adapter.runs(),
        lambda adapter: adapter.task_log("etl", was),
        lambda adapter: adapter.events(now() - timedelta(hours=9), now()),
        lambda adapter: adapter.pipeline("etl"),
        lambda adapter: adapter.trigger("etl", "r1", {}),
        lambda adapter: adapter.cancel("etl", "r1"),
        lambda adapter: adapter.set_paused("etl", paused=True),
        lambda adapter: adapter.set_paused("etl", paused=False),
    ]


def step_functions(aws: FakeAws) -> tuple[dict[str, Any], Acts]:
    fake, fast = FakeStates().answer_by(aws), "/aws/vendedlogs/states/fast"
    FakeLogs().answer_by(aws).groups[f"arn:aws:logs:{HERE}:log-group:{fast}"] = []
    fake.add(FakeMachine("fast", type="EXPRESS", log_group=fast), "")
    fake.add(FakeMachine("slow", fails=None))

    async def again(adapter: Any) -> None:
        await adapter.cancel("slow", "r1")
        await adapter.retry("slow", "r1")

    return {}, [
        lambda adapter: adapter.runs(),
        lambda adapter: adapter.pipelines(),
        lambda adapter: adapter.trigger("slow", "r1", {}),
        lambda adapter: adapter.tasks("slow", "r1"),
        again,
        lambda adapter: adapter.set_paused("slow", paused=True),
        lambda adapter: adapter.set_paused("slow", paused=False),
    ]


def mwaa(aws: FakeAws) -> tuple[dict[str, Any], Acts]:
    runs = {"dag_runs": [], "total_entries": 0}
    said = {"/version": {"version": "2.10.5"}, "/dags": {"dags": [], "total_entries": 0}}
    aws.answers["mwaa.InvokeRestApi"] = lambda asked: {
        "RestApiStatusCode": 200, "RestApiResponse": said.get(asked["Path"], runs),
    }  # fmt: skip
    aws.answers["mwaa.GetEnvironment"] = lambda asked: ENVIRONMENT
    return {"mwaa": "prod"}, [lambda adapter: adapter.runs()]


def quality(aws: FakeAws) -> tuple[dict[str, Any], Acts]:
    glue = FakeGlue().answer_by(aws)
    glue.add(FakeJob("etl"))
    FakeDataQuality(aws).put(1, now(), JobName="etl", JobRunId=glue.ran("etl", "SUCCEEDED", now()))
    return {"pipelines": "glue"}, [lambda adapter: adapter.scores()]


ENTRIES = {
    "checks sqs": sqs, "checks kinesis": kinesis, "checks lambda": function, "checks backup": backup,
    "checks report": report,
    "notify sns": topic, "metrics cloudwatch": metrics, "logs cloudwatch": logs, "alerts cloudwatch": alarms,
    "pipelines glue": glue, "pipelines step-functions": step_functions, "pipelines airflow": mwaa,
    "quality glue": quality,
}  # fmt: skip
ELSEWHERE = {"airflow:CreateWebLoginToken", "airflow:ListEnvironments"}
"""Tried where they are needed: `test_mwaa.py`, `tests/console/config/test_found_aws.py`."""
QUIET = {"airflow:GetEnvironment", "glue:GetJobRun of quality", "logs:StopQuery"}
"""Without them less is told, or a query goes on to its end: only `teal doctor` says why."""
MADE_ONCE = {
    "checks sqs", "checks kinesis", "checks lambda", "checks backup", "checks report", "notify sns",
    "metrics cloudwatch",
}  # fmt: skip
"""Those whose things are moto's, and stay as they are."""
OF_WHAT_IS_MISSING = {"checks report": {"s3:ListBucket"}}
"""Only AWS itself asks for them, of an object that is not there."""


def test_every_row_is_tried() -> None:
    assert set(ENTRIES) == set(told())


@pytest.mark.parametrize("entry", ENTRIES)
async def test_the_rights_of_the_page_are_enough_and_one_less_is_named(
    aws: FakeAws, connect: Connect, entry: str
) -> None:
    """With a new adapter each time, which has read nothing yet."""
    row, rights = told()[entry], Rights()
    made = ENTRIES[entry](aws)

    async def tried(allowed: set[str]) -> tuple[str, set[str]]:
        """What was said by all that it does, whatever became of the one before, and the rights that were seen to be
        missing."""
        aws.rights = None
        config, acts = made if entry in MADE_ONCE else ENTRIES[entry](aws)
        aws.rights = rights
        rights.allow([{"Action": sorted(allowed)}])
        adapter, said = connect(*entry.split(), **config), []
        with witnessed(Witness()) as seen:
            for act in acts:
                try:
                    said.append(str(await act(adapter)))
                except BackendError as error:
                    said.append(f"{error.kind}: {error.message}: {error.fix}")
        return "\n".join(said), {each.lower() for each in seen.missing}

    said, missing = await tried(row)
    assert (missing, rights.denied, "auth: " in said) == (set(), set(), False), said
    elsewhere = ELSEWHERE | OF_WHAT_IS_MISSING.get(entry, set())
    assert row - rights.asked == row & elsewhere, "each is used"
    for right in sorted(row - elsewhere):
        said, missing = await tried(row - elsewhere - {right})
        assert right.lower() in missing, (right, said)
        quiet = right in QUIET or f"{right} of {entry.split()[0]}" in QUIET
        assert quiet or f"no right {right}".lower() in said.lower(), (right, said)
