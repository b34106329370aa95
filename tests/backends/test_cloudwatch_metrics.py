"""`cloudwatch` metrics against moto's server: the contract, its query language, and every fault on a real socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actions.judging.metric_gates import Subject, gates_of, queries
from backends.deployments.alb.places import dimensions
from backends.errors import BackendError
from backends.http import Http
from backends.metrics.cloudwatch.metrics import CloudWatchMetrics
from backends.metrics.cloudwatch.query import Binary, Constant, Metric, parse
from backends.registry import AdapterContext, build
from backends.testing.metrics import Asked, Lose, MetricsContract, Put, now
from tests.backends.faulty_server import FAULTS, FaultyServer
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
        put(name, value, *color)  # type: ignore[arg-type]
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


def test_latency_behind_a_load_balancer_is_a_percentile_of_its_side() -> None:
    """moto has no percentiles."""
    (gate,) = gates_of((), ["alb-latency-p95"], stage_time_s=600, metrics="cw")
    sides = [Subject(service="model", color=color, **dimensions(BEHIND, color)) for color in ("green", "blue")]
    node = parse(queries(gate, *sides).candidate)
    assert isinstance(node, Metric)
    assert (node.name, node.statistic, node.period_s) == ("TargetResponseTime", "p95", 120)
    assert dict(node.dimensions or ())["TargetGroup"] == "targetgroup/model-green/g1"


def test_a_gate_of_a_load_balancer_is_none_where_there_is_none() -> None:
    (gate,) = gates_of((), ["alb-5xx"], stage_time_s=600, metrics="cw")
    side = Subject(service="model", color="green", **dimensions({"servers": {"green": ["g"]}}, "green"))
    with pytest.raises(BackendError) as caught:
        queries(gate, side, side)
    assert (caught.value.kind, "{load_balancer}" in caught.value.message) == ("config", True)


async def test_what_any_account_has_is_asked_to_see_that_it_answers(adapter: CloudWatchMetrics) -> None:
    assert await adapter.series_exist(adapter.usual) is False
