"""Checks of SQS, Kinesis, Lambda and backups in S3: against moto's server, every fault through the fake before it."""

import io
import time
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from backends.errors import BackendError
from backends.models import CheckResult
from backends.testing.checks import BuildCheck, CheckContract, System, consistent
from tests.backends.aws_fixtures import Connect, aws, connect
from tests.fake_aws import FakeAws
from tests.live.moto import KEYS, REGION
from tests.own_time import Watch

__all__ = ["aws", "connect"]

pytestmark = pytest.mark.xdist_group("moto")

ALL_OF = {
    "sqs": ["depth", "age", "dead-letters"],
    "kinesis": ["age", "throttles"],
    "lambda": ["errors", "throttles", "dead-letters", "concurrency"],
}


async def look(check: Any) -> CheckResult:
    result: CheckResult = await check.run()
    consistent(result)
    return result


def values(result: CheckResult) -> dict[str, float | None]:
    return {datum.label: datum.value for datum in result.perfdata if datum.label != "time"}


def put_metric(aws: FakeAws, namespace: str, name: str, value: float, *, minutes_ago: int = 2, **labels: str) -> None:
    """A data point of a service's own metric, which only the service itself may write: of moto anybody."""
    dimensions = [{"Name": key, "Value": text} for key, text in labels.items()]
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    datum = {"MetricName": name, "Timestamp": at, "Value": value, "Dimensions": dimensions}
    aws.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[datum])


@pytest.fixture
def system(aws: FakeAws) -> System:
    class Stoppable:
        async def stop(self) -> None:
            aws.stop()

    return Stoppable()


class AwsContract(CheckContract):
    """The part that all checks share, and what those of AWS have in common."""

    config: dict[str, Any]
    kind: str

    @pytest.fixture
    def build_check(self, connect: Connect, thing: Any) -> BuildCheck:
        return lambda **config: connect("checks", self.kind, skip=ALL_OF[self.kind], **self.config, **config)

    async def test_a_missing_right_is_no_state_of_the_system(self, aws: FakeAws, connect: Connect, thing: Any) -> None:
        words = "User: arn:aws:iam::1:user/me is not authorized to perform: sqs:GetThat"
        aws.fail(code="AccessDeniedException", message=words)
        with pytest.raises(BackendError, match="not authorized to perform: sqs:GetThat") as caught:
            await connect("checks", self.kind, **self.config).run()
        assert caught.value.kind == "auth"
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in caught.value.message + caught.value.fix

    async def test_throttled_is_asked_again_and_then_unknown(self, aws: FakeAws, connect: Connect, thing: Any) -> None:
        check = connect("checks", self.kind, **self.config)
        aws.fail(code="ThrottlingException", times=1)
        assert (await look(check)).latency_ms
        aws.fail(code="ThrottlingException")
        with pytest.raises(BackendError) as caught:
            await check.run()
        assert caught.value.kind == "rate_limited"

    async def test_what_is_not_there_is_critical(self, connect: Connect, thing: Any) -> None:
        missing = connect("checks", self.kind, **dict.fromkeys(self.config, "nowhere"))
        result = await look(missing)
        assert (result.state, "nowhere" in result.message) == ("critical", True)

    async def test_an_answer_that_never_comes_is_bounded(self, aws: FakeAws, connect: Connect, thing: Any) -> None:
        await connect("checks", self.kind, **self.config).run()
        check = connect("checks", self.kind, **self.config, timeout="300ms")
        aws.fail(how="hang")
        watch = Watch()
        assert (await look(check)).state == "critical"
        assert watch.seconds() < 5

    async def test_html_is_no_answer(self, aws: FakeAws, connect: Connect, thing: Any) -> None:
        aws.fail(how="html")
        with pytest.raises(BackendError) as caught:
            await connect("checks", self.kind, **self.config).run()
        assert caught.value.kind in ("malformed", "unreachable")


# ---- SQS


@pytest.fixture
def queue(aws: FakeAws) -> str:
    return str(aws.client("sqs").create_queue(QueueName="orders")["QueueUrl"])


def send(aws: FakeAws, queue: str, count: int) -> None:
    for number in range(count):
        aws.client("sqs").send_message(QueueUrl=queue, MessageBody=str(number))


class TestSqs(AwsContract):
    kind = "sqs"
    config: ClassVar = {"queue": "orders"}

    @pytest.fixture
    def thing(self, queue: str) -> str:
        return queue

    async def test_depth_and_age(self, aws: FakeAws, connect: Connect, queue: str) -> None:
        send(aws, queue, 3)
        aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=1)
        put_metric(aws, "AWS/SQS", "ApproximateAgeOfOldestMessage", 90, QueueName="orders")
        result = await look(connect("checks", "sqs", queue=queue))
        assert result.state == "ok"
        assert result.message.startswith("2 messages waiting, 1 in flight, the oldest 1m30s, answered in ")
        assert values(result) == {"depth": 2, "in_flight": 1, "age": 90}

    async def test_beyond_its_limits(self, aws: FakeAws, connect: Connect, queue: str) -> None:
        send(aws, queue, 2)
        put_metric(aws, "AWS/SQS", "ApproximateAgeOfOldestMessage", 90, QueueName="orders")
        result = await look(connect("checks", "sqs", queue="orders", depth_warn=1, age_warn="1m", age_crit="80s"))
        assert result.state == "critical"
        assert result.message == "the oldest message is 1m30s old, deleted at 4d; 2 messages waiting, 0 in flight"

    async def test_messages_that_are_soon_deleted_are_a_fault_by_themselves(
        self, aws: FakeAws, connect: Connect, queue: str
    ) -> None:
        put_metric(aws, "AWS/SQS", "ApproximateAgeOfOldestMessage", 3.5 * 86400, QueueName="orders")
        result = await look(connect("checks", "sqs", queue="orders"))
        assert (result.state, "3d12h old, deleted at 4d" in result.message) == ("critical", True)

    async def test_an_age_that_nobody_tells_is_unknown_only_where_something_waits(
        self, aws: FakeAws, connect: Connect, queue: str
    ) -> None:
        check = connect("checks", "sqs", queue="orders")
        assert (await look(check)).state == "ok"
        send(aws, queue, 1)
        result = await look(check)
        assert (result.state, "CloudWatch did not say for 15m" in result.message) == ("unknown", True)

    async def test_what_the_dead_letter_queue_holds(self, aws: FakeAws, connect: Connect, queue: str) -> None:
        dead = str(aws.client("sqs").create_queue(QueueName="orders-dead")["QueueUrl"])
        arn = f"arn:aws:sqs:{REGION}:123456789012:orders-dead"
        policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "3"}}'
        aws.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": policy})
        check = connect("checks", "sqs", queue=f"arn:aws:sqs:{REGION}:123456789012:orders")
        assert (await look(check)).state == "ok"
        send(aws, dead, 2)
        result = await look(check)
        assert (result.state, result.message) == ("warning", "2 messages in orders-dead")
        assert values(result)["dead_letters"] == 2
        assert (await look(connect("checks", "sqs", queue=queue, dead_letters_crit=1))).state == "critical"


# ---- Kinesis


@pytest.fixture
def stream(aws: FakeAws) -> str:
    aws.client("kinesis").create_stream(StreamName="events", ShardCount=2)
    return "events"


class TestKinesis(AwsContract):
    kind = "kinesis"
    config: ClassVar = {"stream": "events"}

    @pytest.fixture
    def thing(self, stream: str) -> str:
        return stream

    async def test_nobody_reads_is_not_zero(self, connect: Connect, stream: str) -> None:
        result = await look(connect("checks", "kinesis", stream="events"))
        assert (result.state, result.message) == ("critical", "no sign that anybody reads in the last 10m")
        assert "age" not in values(result)
        assert (await look(connect("checks", "kinesis", stream="events", idle=True))).state == "ok"

    @pytest.mark.parametrize(
        ("behind_s", "state", "words"),
        [
            (2, "ok", "2 open shards, 2s behind, answered in "),
            (3 * 3600, "warning", "3h behind: 12% of the 1d that records are kept"),
            (13 * 3600, "critical", "13h behind: 54% of the 1d that records are kept"),
        ],
    )
    async def test_behind_as_a_share_of_what_is_kept(
        self, aws: FakeAws, connect: Connect, stream: str, behind_s: float, state: str, words: str
    ) -> None:
        name = "GetRecords.IteratorAgeMilliseconds"
        put_metric(aws, "AWS/Kinesis", name, 1, minutes_ago=5, StreamName="events")
        put_metric(aws, "AWS/Kinesis", name, behind_s * 1000, StreamName="events")
        result = await look(connect("checks", "kinesis", stream="events"))
        assert (result.state, result.message.startswith(words)) == (state, True)
        assert values(result) == {"age": behind_s, "throttled_writes": 0, "throttled_reads": 0}

    async def test_a_consumer_of_its_own_and_an_arn(self, aws: FakeAws, connect: Connect, stream: str) -> None:
        labels = {"StreamName": "events", "ConsumerName": "enricher"}
        put_metric(aws, "AWS/Kinesis", "SubscribeToShardEvent.MillisBehindLatest", 4000, **labels)
        arn = f"arn:aws:kinesis:{REGION}:123456789012:stream/events"
        result = await look(connect("checks", "kinesis", stream=arn, consumer="enricher"))
        assert (result.state, values(result)["age"]) == ("ok", 4)
        other = await look(connect("checks", "kinesis", stream=arn, consumer="other"))
        assert (other.state, "that other reads" in other.message) == ("critical", True)

    async def test_throttles_of_the_window_are_summed(self, aws: FakeAws, connect: Connect, stream: str) -> None:
        for minutes in (2, 3):
            name = "WriteProvisionedThroughputExceeded"
            put_metric(aws, "AWS/Kinesis", name, 4, minutes_ago=minutes, StreamName="events")
        put_metric(aws, "AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds", 0, StreamName="events")
        result = await look(connect("checks", "kinesis", stream="events"))
        assert (result.state, result.message) == ("warning", "8 writes that were throttled in 10m")

    async def test_a_metric_that_may_not_be_read_is_said_by_its_words(
        self, aws: FakeAws, connect: Connect, stream: str
    ) -> None:
        def forbidden(asked: dict[str, Any]) -> dict[str, Any]:
            status = {"Id": asked["MetricDataQueries"][0]["Id"], "StatusCode": "Forbidden", "Values": []}
            said = [{"Code": "Forbidden", "Value": "cloudwatch:GetMetricData"}]
            return {"MetricDataResults": [{**status, "Timestamps": [], "Messages": said}]}

        aws.answers["cloudwatch.GetMetricData"] = forbidden
        with pytest.raises(BackendError, match="CloudWatch: Forbidden: cloudwatch:GetMetricData") as caught:
            await connect("checks", "kinesis", stream="events").run()
        assert caught.value.kind == "auth"

    async def test_data_points_that_come_in_pages(self, aws: FakeAws, connect: Connect, stream: str) -> None:
        at = datetime.now(UTC) - timedelta(minutes=3)

        def paged(asked: dict[str, Any]) -> dict[str, Any]:
            number = int(asked.get("NextToken", "0"))
            point = {"Timestamps": [at - timedelta(minutes=number)], "Values": [1000.0 * (number + 1)]}
            found = {"Id": "age", "StatusCode": "PartialData" if number < 2 else "Complete", **point}
            return {"MetricDataResults": [found], **({"NextToken": str(number + 1)} if number < 2 else {})}

        aws.answers["cloudwatch.GetMetricData"] = paged
        result = await look(connect("checks", "kinesis", stream="events"))
        assert values(result)["age"] == 1  # the newest, though it came first


# ---- Lambda


@pytest.fixture
def function(aws: FakeAws) -> str:
    role = aws.client("iam").create_role(RoleName="run", AssumeRolePolicyDocument="{}", Path="/")["Role"]["Arn"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("main.py", "def run(event, context): pass")
    aws.client("lambda").create_function(
        FunctionName="enrich", Runtime="python3.12", Role=role, Handler="main.run",
        Code={"ZipFile": packed.getvalue()},
    )  # fmt: skip
    return "enrich"


def calls(aws: FakeAws, **counts: float) -> None:
    for name, value in counts.items():
        put_metric(aws, "AWS/Lambda", name, value, FunctionName="enrich")


class TestLambda(AwsContract):
    kind = "lambda"
    config: ClassVar = {"function": "enrich"}

    @pytest.fixture
    def thing(self, function: str) -> str:
        return function

    @pytest.mark.parametrize(
        ("counts", "config", "state", "words"),
        [
            ({}, {}, "ok", "0 calls in 15m, answered in "),
            ({}, {"least": 1}, "critical", "only 0 calls in 15m"),
            ({"Invocations": 200, "Errors": 1}, {}, "ok", "200 calls in 15m, answered in "),
            ({"Invocations": 200, "Errors": 4}, {}, "warning", "2.0 % of 200 calls in 15m failed"),
            ({"Invocations": 200, "Errors": 20}, {}, "critical", "10.0 % of 200 calls in 15m failed"),
            ({"Throttles": 3}, {}, "warning", "3 calls throttled in 15m"),
            ({"DeadLetterErrors": 1}, {}, "critical", "1 failed events that the dead-letter queue did not take"),
            ({"AsyncEventsDropped": 2}, {}, "critical", "2 events that were dropped without being processed"),
        ],
    )
    async def test_what_is_wrong_with_its_calls(
        self, aws: FakeAws, connect: Connect, function: str, counts: dict[str, float], config: dict[str, Any],
        state: str, words: str,
    ) -> None:  # fmt: skip
        calls(aws, **counts)
        result = await look(connect("checks", "lambda", function="enrich", **config))
        assert (result.state, result.message.startswith(words)) == (state, True), result.message

    async def test_concurrency_against_what_it_may_have(self, aws: FakeAws, connect: Connect, function: str) -> None:
        limit = {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 100}}
        aws.answers["lambda.GetAccountSettings"] = lambda asked: limit
        check = connect("checks", "lambda", function=function)
        calls(aws, ConcurrentExecutions=9)
        assert (await look(check)).state == "ok"
        calls(aws, ConcurrentExecutions=96)
        result = await look(check)
        assert (result.state, result.message) == (
            "critical", "96 calls at once, 96% of what all functions of the account may have"
        )  # fmt: skip
        aws.client("lambda").put_function_concurrency(FunctionName="enrich", ReservedConcurrentExecutions=10)
        result = await look(check)
        assert (result.state, result.message) == ("critical", "96 calls at once, 960% of its reserved concurrency")
        aws.client("lambda").put_function_concurrency(FunctionName="enrich", ReservedConcurrentExecutions=0)
        assert (await look(check)).message == "its reserved concurrency is 0: every call is throttled"

    async def test_an_alias_has_calls_of_its_own(self, aws: FakeAws, connect: Connect, function: str) -> None:
        version = aws.client("lambda").publish_version(FunctionName="enrich")["Version"]
        aws.client("lambda").create_alias(FunctionName="enrich", Name="live", FunctionVersion=version)
        calls(aws, Invocations=100, Errors=100)
        put_metric(aws, "AWS/Lambda", "Invocations", 7, FunctionName="enrich", Resource="enrich:live")
        result = await look(connect("checks", "lambda", function="enrich:live"))
        assert (result.state, values(result)["calls"]) == ("ok", 7)

    @pytest.mark.parametrize(
        ("told", "state", "words"),
        [
            ({"State": "Failed", "StateReason": "no such image"}, "critical", "its state is Failed: no such image"),
            ({"State": "Inactive"}, "ok", ""),
            ({"LastUpdateStatus": "Failed"}, "warning", "its last update failed"),
        ],
    )
    async def test_a_function_that_can_not_run(
        self, aws: FakeAws, connect: Connect, function: str, told: dict[str, Any], state: str, words: str
    ) -> None:
        aws.answers["lambda.GetFunctionConfiguration"] = lambda asked: {"FunctionName": "enrich", **told}
        result = await look(connect("checks", "lambda", function="enrich"))
        assert (result.state, result.message.startswith(words)) == (state, True)


# ---- backups in S3


@pytest.fixture
def bucket(aws: FakeAws) -> Any:
    client = aws.client("s3")
    client.create_bucket(Bucket="backups", CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


def put(bucket: Any, key: str, size: int, **more: Any) -> None:
    bucket.put_object(Bucket="backups", Key=key, Body=b"x" * size, **more)


class TestBackup:
    async def test_the_newest_by_time_and_not_by_key(self, bucket: Any, connect: Connect) -> None:
        put(bucket, "lake/z.dump", 9_000)
        put(bucket, "lake/", 0)
        put(bucket, "other/w.dump", 1)
        time.sleep(1.1)  # S3's times are whole seconds
        put(bucket, "lake/a.dump", 10_000)
        result = await look(connect("checks", "backup", path="s3://backups/lake/", settle="0s"))
        assert (result.state, result.message.partition(" is ")[0]) == ("ok", "a.dump")
        assert {key: values(result)[key] for key in ("size", "files")} == {"size": 10_000, "files": 2}

    async def test_one_that_shrank_and_one_that_is_empty(self, bucket: Any, connect: Connect) -> None:
        put(bucket, "w-1.dump", 10_000)
        time.sleep(1.1)
        put(bucket, "w-2.dump", 4_000)
        put(bucket, "w-2.sum", 10)
        check = connect("checks", "backup", path="s3://backups/w-*.dump", settle="0s")
        assert (await look(check)).message == "w-2.dump has 4 kB, 40% of the one before"
        time.sleep(1.1)
        put(bucket, "w-3.dump", 0)
        assert (await look(check)).message == "w-3.dump is empty"

    async def test_one_that_must_be_restored_first(self, aws: FakeAws, bucket: Any, connect: Connect) -> None:
        put(bucket, "w.dump", 10, StorageClass="DEEP_ARCHIVE")
        result = await look(connect("checks", "backup", path="s3://backups/w"))
        words = "w.dump is in DEEP_ARCHIVE: it must be restored before it can be read"
        assert (result.state, result.message) == ("warning", words)
        assert (await look(connect("checks", "backup", path="s3://backups/w", archive=True))).state == "ok"
        put(bucket, "w.dump", 10, StorageClass="GLACIER_IR")
        assert (await look(connect("checks", "backup", path="s3://backups/w"))).state == "ok"

    async def test_more_than_one_page(self, bucket: Any, connect: Connect) -> None:
        for number in range(43):
            put(bucket, f"many/{number:04}", 1)
        result = await look(connect("checks", "backup", path="s3://backups/many/"))
        assert values(result)["files"] == 43

    async def test_none_and_no_bucket(self, bucket: Any, connect: Connect) -> None:
        result = await look(connect("checks", "backup", path="s3://backups/nothing/"))
        assert (result.state, result.message) == ("critical", "no object matches s3://backups/nothing/")
        with pytest.raises(BackendError, match="NoSuchBucket") as caught:
            await connect("checks", "backup", path="s3://nowhere/x").run()
        assert caught.value.kind == "not_found"

    async def test_nobody_answers(self, aws: FakeAws, connect: Connect) -> None:
        aws.stop()
        with pytest.raises(BackendError, match="connection refused"):
            await connect("checks", "backup", path="s3://backups/x").run()

    @pytest.mark.parametrize("path", [["s3://b/x", "/tmp/*"], "s3://", "s3:///"])
    def test_a_path_that_is_none(self, connect: Connect, path: Any) -> None:
        with pytest.raises(BackendError, match="path: "):
            connect("checks", "backup", path=path)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("sqs", {"queue": " "}), ("sqs", {"queue": "x", "depth_warn": 2, "depth_crit": 1}),
        ("sqs", {"queue": "x", "timeout": "0s"}), ("kinesis", {"stream": ""}),
        ("kinesis", {"stream": "x", "age_warn": 60}), ("kinesis", {"stream": "x", "window": "10s"}),
        ("lambda", {"function": ""}), ("lambda", {"function": "x", "errors_warn": 10}),
    ],
)  # fmt: skip
def test_a_config_that_makes_no_sense_is_refused(connect: Connect, kind: str, config: dict[str, Any]) -> None:
    with pytest.raises(BackendError) as caught:
        connect("checks", kind, **config)
    assert caught.value.kind == "config"


# ---- reports in S3


async def test_a_report_in_s3_is_as_old_as_its_object(aws: FakeAws, connect: Connect) -> None:
    client = aws.client("s3")
    client.create_bucket(Bucket="reports", CreateBucketConfiguration={"LocationConstraint": REGION})
    client.put_object(Bucket="reports", Key="nightly/junit.xml", Body=b"<testsuite><testcase/></testsuite>")
    check = connect("checks", "report", path="s3://reports/nightly/junit.xml")
    for _ in range(2):  # the second time it is not fetched again
        result = await look(check)
        assert (result.state, values(result)["tests"]) == ("ok", 1)
    client.put_object(Bucket="reports", Key="nightly/junit.xml", Body=b"<testsuite><testcase/></testsu")
    assert (await look(check)).state == "unknown"
    client.delete_object(Bucket="reports", Key="nightly/junit.xml")
    result = await look(check)
    assert (result.state, result.message) == ("unknown", "there is no junit.xml in s3://reports/nightly/")
    aws.fail(code="AccessDenied", message="Access Denied")
    with pytest.raises(BackendError) as caught:
        await check.run()
    assert caught.value.kind == "auth"
