"""`cloudwatch` metrics against moto's server: the contract, its query language, and every fault on a real socket."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actions.judging.evidence import Reading, Stage
from actions.judging.judge import judge
from actions.judging.metric_gates import Subject, gates_of, queries
from backends.aws.access import AwsAccess
from backends.aws.account import account_of
from backends.aws.datapoints import Stat, datapoints
from backends.deployments.alb.places import dimensions
from backends.errors import BackendError
from backends.http import Http
from backends.metrics.cloudwatch.metrics import CloudWatchMetrics
from backends.metrics.cloudwatch.query import Binary, Constant, Metric, parse
from backends.registry import AdapterContext, build
from backends.testing.metrics import Asked, Lose, MetricsContract, Put, now
from tests.backends.faulty_server import FAULTS, FaultyServer
from tests.fake_aws import FakeAws, fake_aws
from tests.live.moto import KEYS, REGION, MotoServer, moto

NAMESPACE = "Platform"
Connect = Callable[..., CloudWatchMetrics]

pytestmark = pytest.mark.xdist_group("cloudwatch")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    with moto(tmp_path_factory.mktemp("moto")) as found:
        yield found


@pytest.fixture
async def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    http = Http()
    built: list[CloudWatchMetrics] = []

    def connected(url: str, **config: Any) -> CloudWatchMetrics:
        context = AdapterContext("cw", tmp_path, tmp_path, http)
        given = {"aws": {"endpoint_url": url, "region": REGION}, "timeout": "20s", **config}
        built.append(build("metrics", "cloudwatch", given, context))
        return built[-1]

    yield connected
    for adapter in built:
        await adapter.aclose()
    await http.aclose()


@pytest.fixture
def adapter(server: MotoServer, connect: Connect) -> CloudWatchMetrics:
    server.reset()
    return connect(server.endpoint_url)


@pytest.fixture
def put(server: MotoServer) -> Put:
    client = server.client("cloudwatch")

    def put_one(value: float, at: datetime, name: str = "requests", **labels: str) -> None:
        dimensions = [{"Name": key, "Value": text} for key, text in labels.items()]
        datum = {"MetricName": name, "Timestamp": at, "Value": value, "Dimensions": dimensions}
        client.put_metric_data(Namespace=NAMESPACE, MetricData=[datum])

    return put_one


class TestCloudWatchMetrics(MetricsContract):
    @pytest.fixture
    def metric(self) -> str:
        return f"{NAMESPACE}:requests"

    @pytest.fixture
    def asked(self) -> Asked:
        return Asked(f"{NAMESPACE}:a + ", "or a number is wanted, the query ends", "0 / 0", "NaN")

    @pytest.fixture
    def lose(self, tmp_path: Path, connect: Connect, adapter: CloudWatchMetrics) -> Lose:
        """The server is shared: this adapter is shown to a port that nobody listens on any more."""
        nobody = connect("http://127.0.0.1:9")

        def lost() -> None:
            adapter._account = nobody._account

        return lost


async def test_dimensions_are_exact_and_statistics_are_named(adapter: CloudWatchMetrics, put: Put) -> None:
    at = now() - timedelta(minutes=1)
    for value in (2, 4):
        put(value, at, color="green", zone="a")
    put(100, at, color="blue", zone="a")
    side = f'{NAMESPACE}:requests{{color="green", zone="a"}}'
    told = {
        statistic: (await adapter.instant(f"{side}.{statistic}"))[0].value
        for statistic in ("Sum", "Average", "Minimum", "Maximum", "SampleCount")
    }
    assert told == {"Sum": 6, "Average": 3, "Minimum": 2, "Maximum": 4, "SampleCount": 2}
    assert await adapter.instant(f'{NAMESPACE}:requests{{color="green"}}.Sum') == []
    assert adapter.names(side) == (side,)
    assert await adapter.series_exist(side) is True
    assert await adapter.series_exist(f'{NAMESPACE}:requests{{color="red", zone="a"}}') is False


async def test_no_data_point_is_not_zero_unless_it_is_said_to_be(adapter: CloudWatchMetrics, put: Put) -> None:
    at = now() - timedelta(minutes=1)
    put(50, at, color="green")
    errors, requests = f'{NAMESPACE}:errors{{color="green"}}.Sum', f'{NAMESPACE}:requests{{color="green"}}.Sum'
    assert await adapter.instant(f"{errors} / {requests}") == []
    (none,) = await adapter.instant(f"({errors} or 0) / {requests}")
    assert none.value == 0
    assert adapter.names(f"({errors} or 0) / {requests}") == (f'{NAMESPACE}:requests{{color="green"}}',)
    put(5, at, "errors", color="green")
    (some,) = await adapter.instant(f"({errors} or 0) / {requests}")
    assert some.value == pytest.approx(0.1)


async def test_a_period_that_has_not_ended_is_not_read(adapter: CloudWatchMetrics, put: Put) -> None:
    put(7, now())
    assert await adapter.instant(f"{NAMESPACE}:requests") == []
    assert await adapter.range(f"{NAMESPACE}:requests", start=now(), end=now(), step=60) == []


async def test_arithmetic_goes_by_dimensions(adapter: CloudWatchMetrics, put: Put) -> None:
    at = now() - timedelta(minutes=1)
    for color, requests in (("blue", 10), ("green", 0)):
        put(requests, at, color=color)
        put(1, at, "errors", color=color)
    found = await adapter.instant(f"{NAMESPACE}:errors.Sum / {NAMESPACE}:requests.Sum * 100")
    told = {sample.labels["color"]: (sample.value, sample.reason) for sample in found}
    assert told == {"blue": (10, ""), "green": (None, "+Inf")}


@pytest.mark.parametrize(
    ("query", "node"),
    [
        ("A/B:C.D", Metric("A/B", "C.D", None, "Average", None)),
        ("A:C.Sum[5m]", Metric("A", "C", None, "Sum", 300)),
        ('A:C{X="a\\"b", B=""}.p99.9[10s]', Metric("A", "C", (("B", ""), ("X", 'a"b')), "p99.9", 10)),
        ("1 + A:b * 2", Binary("+", Constant(1), Binary("*", Metric("A", "b", None, "Average", None), Constant(2)))),
        ("1 - 2 - 3", Binary("-", Binary("-", Constant(1), Constant(2)), Constant(3))),
    ],
)
def test_what_a_query_means(query: str, node: Any) -> None:
    assert parse(query) == node


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "the query ends"), ("requests", '"requests" is neither'), ("(A:b", "not closed"),
        ("A:b A:c", '"A:c" is not understood'), ("A:b{x=y}", "dimensions are"), ("A:b[7s]", "no period"),
        ('A:b{}.Median', "no statistic"), ("A:b / ", "the query ends"),
    ],
)  # fmt: skip
async def test_a_query_that_is_none_is_refused_in_words(connect: Connect, query: str, words: str) -> None:
    adapter = connect("http://127.0.0.1:9")
    with pytest.raises(BackendError, match=words) as caught:
        await adapter.instant(query)
    assert caught.value.kind == "config"


async def test_two_periods_are_refused(connect: Connect) -> None:
    with pytest.raises(BackendError, match="two periods"):
        await connect("http://127.0.0.1:9").instant("A:b[60s] / A:c[5m]")


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "slow"])
async def test_each_fault_is_one_error_in_time_without_a_secret(connect: Connect, fault: str) -> None:
    await asyncio.to_thread(__import__, "boto3")  # its import is not the server's fault
    async with FaultyServer(fault=fault) as faulty:
        adapter = connect(faulty.url, timeout="3s")
        began = time.monotonic()
        with pytest.raises(BackendError) as caught:
            await adapter.instant('A:b{C="d"}')
    assert time.monotonic() - began < 30
    error = caught.value
    assert error.message.startswith("CloudWatch eu-central-1: ")
    assert error.message.isprintable()
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in error.message + error.fix
    assert error.kind in ("unreachable", "timeout", "malformed", "auth", "not_found", "rate_limited", "conflict")


async def test_a_broken_config_is_refused() -> None:
    with pytest.raises(BackendError, match="more than 0s"):
        build("metrics", "cloudwatch", {"timeout": "0s"}, AdapterContext("cw", Path(), Path(), Http()))


ELB = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:"
BEHIND = {
    "rules": [f"{ELB}listener-rule/app/model/50dc6c49/f2f7dc8e/9683b2d0"],
    "target_groups": {color: f"{ELB}targetgroup/model-{color}/{color[0]}1" for color in ("blue", "green")},
}


@pytest.mark.parametrize(
    ("preset", "wanted"),
    [("alb-error-rate", 5 / 40), ("alb-5xx", 2 / 100)],
)
async def test_the_presets_of_a_load_balancer_ask_what_it_counts(
    adapter: CloudWatchMetrics, server: MotoServer, preset: str, wanted: float
) -> None:
    """Errors of a side are what its targets answer and what they refuse; a counter that has no data point is none."""
    client, at = server.client("cloudwatch"), now() - timedelta(minutes=1)
    whole = {"Name": "LoadBalancer", "Value": "app/model/50dc6c49"}

    def put(name: str, value: float, *color: str) -> None:
        of = [whole, *({"Name": "TargetGroup", "Value": f"targetgroup/model-{c}/{c[0]}1"} for c in color)]
        # The newest 2 minutes that have ended, whenever this runs.
        data = [{"MetricName": name, "Timestamp": at - timedelta(minutes=2 * back), "Value": value, "Dimensions": of}
                for back in (0, 1)]  # fmt: skip
        client.put_metric_data(Namespace="AWS/ApplicationELB", MetricData=data)

    for name, value, *color in (
        ("RequestCount", 40, "green"), ("HTTPCode_Target_5XX_Count", 3, "green"),
        ("TargetConnectionErrorCount", 2, "green"), ("RequestCount", 100), ("HTTPCode_ELB_5XX_Count", 2),
        ("RequestCount", 60, "blue"),
    ):  # fmt: skip
        put(name, value, *color)
    (gate,) = gates_of((), [preset], stage_time_s=600, metrics="cw")
    assert float(gate.window) >= 120
    sides = [Subject(service="model", color=color, **dimensions(BEHIND, color)) for color in ("green", "blue")]
    asked = queries(gate, *sides)
    (sample,) = await adapter.instant(asked.candidate)
    assert sample.value == pytest.approx(wanted)
    (counted,) = await adapter.instant(asked.requests)
    assert counted.value == (100 if preset == "alb-5xx" else 40)
    if asked.production:
        (theirs,) = await adapter.instant(asked.production)
        assert theirs.value == 0.0
    server.reset()
    assert await adapter.instant(asked.candidate) == []  # no requests: no data, and not no errors


class FakeResponseTimes:
    """What a load balancer measures of its targets, which moto gives no percentiles of: each request's seconds by color
    and the number of whole minutes since it came."""

    def __init__(self, aws: FakeAws) -> None:
        self.requests: list[tuple[str, float, float]] = []
        aws.answers["cloudwatch.GetMetricData"] = lambda asked: {
            "MetricDataResults": [self._result(query, asked) for query in asked["MetricDataQueries"]]
        }

    def came(self, color: str, minutes_ago: float, *seconds: float) -> None:
        at = time.time() // 60 * 60 - 60 * minutes_ago + 1
        self.requests += [(color, at, each) for each in seconds]

    def _result(self, query: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        wanted, period = query["MetricStat"], query["MetricStat"]["Period"]
        of = {each["Name"]: each["Value"] for each in wanted["Metric"]["Dimensions"]}
        periods: dict[float, list[float]] = {}
        for color, at, seconds in self.requests:
            if of["TargetGroup"] == f"targetgroup/model-{color}/{color[0]}1" and asked["StartTime"] <= at:
                periods.setdefault(at // period * period, []).append(seconds)
        found = {at: self._of(wanted, each) for at, each in sorted(periods.items()) if at < asked["EndTime"]}
        return {"Id": query["Id"], "Timestamps": list(found), "Values": list(found.values()), "StatusCode": "Complete"}

    @staticmethod
    def _of(wanted: dict[str, Any], seconds: list[float]) -> float:
        if wanted["Metric"]["MetricName"] == "RequestCount":
            return float(len(seconds)) if wanted["Stat"] == "Sum" else 1.0
        share = float(wanted["Stat"].removeprefix("p")) / 100  # ValueError for what is no percentile
        return sorted(seconds)[math.ceil(share * len(seconds)) - 1]


async def test_latency_behind_a_load_balancer_is_a_percentile_of_its_side(connect: Connect) -> None:
    """Few slow answers of many are seen, which no average tells; an empty newest period is no data, and no 0 s."""
    (gate,) = gates_of((), ["alb-latency-p95"], stage_time_s=600, metrics="cw")
    asked = queries(gate, *(Subject(service="model", color=c, **dimensions(BEHIND, c)) for c in ("green", "blue")))
    with fake_aws() as aws:
        times, adapter = FakeResponseTimes(aws), connect(aws.endpoint_url)
        for minutes_ago in (1, 2, 3, 4):  # the newest two minutes that have ended, whenever this runs
            times.came("green", minutes_ago, *[0.2] * 90, *[1.4] * 10)
            times.came("blue", minutes_ago, *[0.3] * 97, *[5.0] * 3)
        (sample,), (theirs,) = [await adapter.instant(query) for query in (asked.candidate, asked.production or "")]
        (counted,) = await adapter.instant(asked.requests)
        assert (sample.value, theirs.value, counted.value) == (1.4, 0.3, 200)
        assert {each["MetricDataQueries"][0]["MetricStat"]["Period"] for _, each in aws.calls} == {120}
        assert sample.at is not None
        reading = Reading(
            at=sample.at, candidate=sample.value, requests=200, production=theirs.value,
            production_requests=200,
        )  # fmt: skip
        stage = Stage(share=50, began=reading.at - timedelta(hours=1), time_s=600)
        assert judge(gate, [reading], stage).word == "fail", "1.5 times production's, though its average is better"
        times.requests.clear()
        times.came("green", 30, 0.1)
        assert await adapter.instant(asked.candidate) == []


def test_a_gate_of_a_load_balancer_is_none_where_there_is_none() -> None:
    (gate,) = gates_of((), ["alb-5xx"], stage_time_s=600, metrics="cw")
    side = Subject(service="model", color="green", **dimensions({"servers": {"green": ["g"]}}, "green"))
    with pytest.raises(BackendError) as caught:
        queries(gate, side, side)
    assert (caught.value.kind, "{load_balancer}" in caught.value.message) == ("config", True)


@pytest.mark.parametrize("ends", [True, False])
async def test_a_part_of_the_data_is_not_all_of_it(connect: Connect, ends: bool) -> None:
    """PartialData promises another page; where none comes, nothing is judged by what is there."""
    at = time.time() // 60 * 60 - 60
    with fake_aws() as aws:

        def answer(asked: dict[str, Any]) -> dict[str, Any]:
            is_last = "NextToken" in asked
            name = asked["MetricDataQueries"][0]["Id"]
            values = {"Timestamps": [at - 60 * is_last], "Values": [1.0 + is_last]}
            status = "Complete" if is_last and ends else "PartialData"
            more = {} if is_last else {"NextToken": "more"}
            return {"MetricDataResults": [{"Id": name, **values, "StatusCode": status}], **more}

        aws.answers["cloudwatch.GetMetricData"] = answer
        source = connect(aws.endpoint_url).instant("Platform:Score{}.Maximum[1m]")
        access = AwsAccess(endpoint_url=aws.endpoint_url, region=REGION)
        of_checks = datapoints(
            account_of(access, Path(), timeout_s=20), {"age": Stat("Platform", "Score", (), "Maximum")}, last_s=300
        )
        if ends:
            assert [sample.value for sample in await source] == [1.0]
            assert [value for _, value in (await of_checks)["age"]] == [2.0, 1.0]
            return
        for asking in (source, of_checks):
            with pytest.raises(BackendError, match="a part of the data") as caught:
                await asking
            assert caught.value.kind == "unreachable"


async def test_what_any_account_has_is_asked_to_see_that_it_answers(adapter: CloudWatchMetrics) -> None:
    assert await adapter.series_exist(adapter.usual) is False
