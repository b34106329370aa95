"""CloudWatch metrics by `GetMetricData`; what a query looks like is in `cloudwatch_query`.

```toml
[[contexts.production.metrics]]
name = "cw"
type = "cloudwatch"
aws = { region = "eu-central-1", profile = "data-oncall" }
timeout = "10s"
```
No data point is no value, never 0: CloudWatch has none for a minute without requests, nor for one in which nobody
reads a stream. A period that has not ended has only a part of its data, and is not read. Metrics are billed by the
query: let a gate look each minute (`every = "60s"`).
API: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

import asyncio
import math
from collections.abc import Awaitable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from msgspec import Struct

from backends.aws.access import AwsAccess
from backends.aws.account import account_of
from backends.aws.datapoints import METRIC_LOOK, refuse_unfit
from backends.aws.wire import FIX as NO_ANSWER_FIX
from backends.aws.witness import Look
from backends.errors import BackendError
from backends.metrics.cloudwatch.query import FIX, Binary, Constant, Metric, Node, needed, parse, period_of
from backends.ports import Point, Sample, Series
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean, clean_labels

READS = 1  # who asks asks again, and each answer is billed
LOOKBACK_PERIODS, LOOKBACK_S = 5, 300.0
MAX_SETS = 500  # of one metric, and of one GetMetricData
MAX_PAGES = 20
EXISTS_WITHIN = timedelta(hours=3)  # as far as CloudWatch calls a metric recently active

Labels = tuple[tuple[str, str], ...]
Values = dict[Labels, dict[float, float]]
T = TypeVar("T")


class CloudWatchConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How AWS is reached.

    aws: region, profile or keys.
    timeout: of a whole query.
    """

    aws: AwsAccess = AwsAccess()
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")


class CloudWatchMetrics:
    """`Metrics` of one account and region."""

    api = 1
    Config = CloudWatchConfig

    def __init__(self, config: CloudWatchConfig, context: AdapterContext) -> None:
        self._timeout_s = float(config.timeout)
        self._account = account_of(config.aws, context.base_dir, timeout_s=config.timeout, reads=READS)
        self.where = f"CloudWatch {clean(config.aws.region, 40)}".strip()

    async def instant(self, query: str, *, at: datetime | None = None) -> list[Sample]:
        """As the port says: of the newest period that has ended and has data, at most 5 periods or 5 min back; its end
        is the sample's time."""
        node = parse(query)
        period = period_of(node)
        end = _floor((at or datetime.now(UTC)).timestamp(), period)
        span = _Span(end - max(LOOKBACK_S, LOOKBACK_PERIODS * period), end, period)
        found = await self._in_time(self._evaluate(node, span))
        return [_sample(labels, max(values), values[max(values)], period) for labels, values in found.items() if values]

    async def range(self, query: str, *, start: datetime, end: datetime, step: float) -> list[Series]:
        """As the port says; a point stands at the begin of its period, which is at least `step` long."""
        node = parse(query)
        period = max(period_of(node), math.ceil(step / 60) * 60)
        ended = min(end.timestamp() + period, _floor(datetime.now(UTC).timestamp(), period))
        span = _Span(_floor(start.timestamp(), period), ended, period)
        found = await self._in_time(self._evaluate(node, span))
        return [_series(labels, values) for labels, values in found.items() if values]

    async def series_exist(self, metric: str) -> bool:
        """As the port says; "now" is the last 3 hours, and a new metric is listed 15 minutes late."""
        node = parse(metric)
        if not isinstance(node, Metric):
            raise BackendError("config", f"{clean(metric, 80)}: a query, not the name of a metric", fix=FIX)
        if node.dimensions is None:
            return bool(await self._in_time(self._sets(node)))
        now = _floor(datetime.now(UTC).timestamp(), 300)
        span = _Span(now - EXISTS_WITHIN.total_seconds(), now + 300, 300)
        return any((await self._in_time(self._metric(node, span))).values())

    @property
    def usual(self) -> str:
        """Of CloudWatch itself: how often it is asked."""
        return 'AWS/Usage:CallCount{Class="None", Resource="GetMetricData", Service="CloudWatch", Type="API"}'

    def taken_at(self, query: str) -> str:
        """Empty: a sample has the end of its period."""
        return ""

    def names(self, query: str) -> tuple[str, ...]:
        """As the port says; not what an `or` has another answer for: an error counter is not there before an error."""
        try:
            return tuple(dict.fromkeys(str(metric) for metric in needed(parse(query))))
        except BackendError:
            return ()

    def looks(self) -> list[Look]:
        """Numbers, and what there is."""
        return [METRIC_LOOK, Look("cloudwatch", "list_metrics", {"Namespace": "AWS/SQS"})]

    async def aclose(self) -> None:
        """The account is shared; nothing of its own is open."""

    # ---- inside

    async def _in_time(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await work
        except TimeoutError:
            raise BackendError("timeout", f"{self.where}: no answer in {self._timeout_s:g} s") from None
        except BackendError as error:
            said = error.message.removeprefix(f"{self._account.where}: ").removeprefix(f"{self.where}: ")
            raise BackendError(error.kind, f"{self.where}: {said}", fix=error.fix, status=error.status) from None
        except (KeyError, TypeError, ValueError) as error:  # an answer without what AWS always says
            words = f"{self.where}: no answer of CloudWatch ({type(error).__name__})"
            raise BackendError("malformed", words, fix=NO_ANSWER_FIX) from None

    async def _evaluate(self, node: Node, span: "_Span") -> Values:
        if isinstance(node, Constant):
            return {(): dict.fromkeys(span.times(), node.value)}
        if isinstance(node, Metric):
            return await self._metric(node, span)
        left = await self._evaluate(node.left, span)
        if node.operator != "or":
            return _combined(node, left, await self._evaluate(node.right, span))
        if isinstance(node.right, Constant) and left:
            return {
                labels: {**dict.fromkeys(span.times(), node.right.value), **found} for labels, found in left.items()
            }
        return left if any(left.values()) else await self._evaluate(node.right, span)

    async def _metric(self, metric: Metric, span: "_Span") -> Values:
        sets = await self._sets(metric) if metric.dimensions is None else [metric.dimensions]
        if not sets or span.end <= span.start:
            return {}
        asked = {f"m{index}": labels for index, labels in enumerate(sets)}
        queries = [_query(name, metric, labels, span.period) for name, labels in asked.items()]
        results: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            answer = await self._account.read(
                "cloudwatch", "get_metric_data", MetricDataQueries=queries, StartTime=_time(span.start),
                EndTime=_time(span.end), ScanBy="TimestampAscending", **token,
            )  # fmt: skip
            results += answer["MetricDataResults"]
            token = {"NextToken": answer["NextToken"]} if answer.get("NextToken") else {}
            if not token:
                return self._values(asked, results, span)
        raise BackendError("malformed", f"{self.where}: more than {MAX_PAGES} pages", fix="a narrower query")

    def _values(self, asked: dict[str, Labels], results: Sequence[dict[str, Any]], span: "_Span") -> Values:
        refuse_unfit(results, self.where)
        values: Values = {}
        for result in results:
            points = zip(result["Timestamps"], result["Values"], strict=True)
            # An answer may reach beyond what was asked for: the period at its end has not ended.
            inside = {at.timestamp(): value for at, value in points if span.start <= at.timestamp() < span.end}
            if inside:
                values.setdefault(asked[result["Id"]], {}).update(inside)
        return values

    async def _sets(self, metric: Metric) -> list[Labels]:
        asked: dict[str, Any] = {"Namespace": metric.namespace, "MetricName": metric.name, "RecentlyActive": "PT3H"}
        sets: dict[Labels, None] = {}
        for _ in range(MAX_PAGES):
            page = await self._account.read("cloudwatch", "list_metrics", **asked)
            sets |= dict.fromkeys(_labels_of(found) for found in page.get("Metrics", ()))
            if not page.get("NextToken") or len(sets) > MAX_SETS:
                break
            asked["NextToken"] = page["NextToken"]
        if len(sets) > MAX_SETS:
            words = f"{metric} has {len(sets)} sets of dimensions"
            raise BackendError("config", f"{self.where}: {words}", fix=f"name the dimensions; at most {MAX_SETS}")
        return list(sets)


class _Span(Struct, frozen=True):
    """Whole periods from `start` to before `end`, seconds since 1970."""

    start: float
    end: float
    period: int

    def times(self) -> Iterable[float]:
        return (self.start + index * self.period for index in range(max(0, int((self.end - self.start) / self.period))))


def _combined(node: Binary, left: Values, right: Values) -> Values:
    """Operands of the same dimensions at the same times; a single operand without dimensions goes with all."""
    if set(left) == {()}:
        pairs = [(labels, left[()], found) for labels, found in right.items()]
    elif set(right) == {()}:
        pairs = [(labels, found, right[()]) for labels, found in left.items()]
    elif len(left) == len(right) == 1:
        pairs = [((), next(iter(left.values())), next(iter(right.values())))]
    else:
        pairs = [(labels, found, right[labels]) for labels, found in left.items() if labels in right]
    return {
        labels: {at: _calculated(node.operator, mine[at], theirs[at]) for at in mine if at in theirs}
        for labels, mine, theirs in pairs
    }


def _calculated(operator: str, left: float, right: float) -> float:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    if right == 0:
        return math.nan if left == 0 else math.copysign(math.inf, left)
    return left / right


def _query(name: str, metric: Metric, labels: Labels, period: int) -> dict[str, Any]:
    dimensions = [{"Name": key, "Value": value} for key, value in labels]
    asked = {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": asked, "Period": period, "Stat": metric.statistic}}


def _labels_of(found: dict[str, Any]) -> Labels:
    return tuple(sorted((each["Name"], each["Value"]) for each in found.get("Dimensions", ())))


def _sample(labels: Labels, begin: float, value: float, period: int) -> Sample:
    number, reason = (value, "") if math.isfinite(value) else (None, _word(value))
    at = _time(begin + period)
    return Sample(labels=clean_labels(dict(labels)), value=number, at=at, reason=reason)


def _series(labels: Labels, values: dict[float, float]) -> Series:
    points = (Point(_time(at), value if math.isfinite(value) else None) for at, value in sorted(values.items()))
    return Series(labels=clean_labels(dict(labels)), points=tuple(points))


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _floor(seconds: float, period: int) -> float:
    return seconds // period * period


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
