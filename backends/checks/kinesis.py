"""Health of a stream of Kinesis: is it read, how far behind, and is anybody throttled.

```toml
[[contexts.production.checks]]
name = "events"
type = "kinesis"
stream = "events"
consumer = "enricher"                   # of enhanced fan-out; without it, whoever reads by GetRecords
aws = { region = "eu-central-1" }
```
A record that nobody has read is gone when it is as old as the stream's retention: the age of the last record that was
read is judged as a share of it. CloudWatch has no data point where nobody reads, which is not 0.
API: https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html
"""

from typing import Literal

from msgspec import Struct

from backends.aws.access import AwsAccess
from backends.aws.account import account_of
from backends.aws.datapoints import METRIC_LOOK, Points, Stat, datapoints
from backends.aws.witness import Look
from backends.checks.amazon import READS, looked, refuse_times
from backends.checks.findings import Findings, Limits, refuse_crossed
from backends.models import CheckResult
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean, counted

Aspect = Literal["age", "throttles"]
NAMESPACE = "AWS/Kinesis"
_THROTTLES = {
    "writes": ("WriteProvisionedThroughputExceeded", "writes that were throttled"),
    "reads": ("ReadProvisionedThroughputExceeded", "reads that were throttled"),
}


class KinesisCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stream, who reads it, and how far behind they may be.

    stream: its name, or its ARN.
    consumer: of enhanced fan-out; empty: all that read by GetRecords, a Lambda function too.
    idle: true where it may be that nobody reads: else that is critical.
    aws: how AWS is reached.
    window: how far back CloudWatch is looked at; no data point in it means that nobody reads.
    age_warn: percent of the stream's retention; the last record that was read is older: a warning.
    age_crit: the same, critical.
    throttles_warn: more throttled reads or writes in the window are a warning.
    throttles_crit: the same, critical.
    skip: what is not looked at.
    warn: an answer that takes longer is a warning.
    crit: one that takes longer is critical.
    timeout: of the whole look.
    """

    stream: str
    consumer: str = ""
    idle: bool = False
    aws: AwsAccess = AwsAccess()
    window: Duration = Duration(600)
    age_warn: float = 10
    age_crit: float = 50
    throttles_warn: int | None = 0
    throttles_crit: int | None = None
    skip: tuple[Aspect, ...] = ()
    warn: Duration | None = None
    crit: Duration | None = None
    timeout: Duration = Duration(5)

    def __post_init__(self) -> None:
        if not self.stream.strip():
            raise ValueError("stream: not empty")
        refuse_times(self, self.window)
        refuse_crossed(self, "throttles")
        if not 0 < self.age_warn <= self.age_crit <= 100:
            raise ValueError("age_warn, age_crit: percent, warn not more than crit")


class KinesisCheck:
    """`Check` by `DescribeStreamSummary` and the stream's metrics."""

    api = 1
    Config = KinesisCheckConfig

    def __init__(self, config: KinesisCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._where = f"Kinesis {clean(config.stream.rpartition('/')[2], 120)}"
        self._account = account_of(config.aws, context.base_dir, timeout_s=config.timeout, reads=READS)

    async def run(self) -> CheckResult:
        """Look once. Raises BackendError where nobody could look, as for a missing right."""
        services = ("kinesis", "cloudwatch") if self._stats() else ("kinesis",)
        return await looked(self._name, self._look, self._account, services, what=self._where, config=self._config)

    def looks(self) -> list[Look]:
        """The metrics, which are asked for where the stream has answered."""
        return [METRIC_LOOK] if self._stats() else []

    async def aclose(self) -> None:
        """The account is shared; nothing of its own is open."""

    async def _look(self, findings: Findings) -> str:
        stream = self._config.stream
        asked = {"StreamARN": stream} if stream.startswith("arn:") else {"StreamName": stream}
        summary = (await self._account.read("kinesis", "describe_stream_summary", **asked))["StreamDescriptionSummary"]
        status = clean(summary["StreamStatus"], 40)
        if status not in ("ACTIVE", "UPDATING"):
            findings.fault("critical" if status == "DELETING" else "unknown", f"the stream is {status}")
        words = [counted(summary["OpenShardCount"], "open shard")]
        stats = self._stats()
        if stats:
            found = await datapoints(self._account, stats, last_s=self._config.window)
            if "age" in found:
                words += self._judge_age(findings, found["age"], summary["RetentionPeriodHours"] * 3600.0)
            self._judge_throttles(findings, found)
        return ", ".join(words)

    def _stats(self) -> dict[str, Stat]:
        name = self._config.stream.rpartition("/")[2]
        dimensions: tuple[tuple[str, str], ...] = (("StreamName", name),)
        stats: dict[str, Stat] = {}
        if "age" not in self._config.skip:
            if self._config.consumer:
                both = (*dimensions, ("ConsumerName", self._config.consumer))
                stats["age"] = Stat(NAMESPACE, "SubscribeToShardEvent.MillisBehindLatest", both, "Maximum")
            else:
                stats["age"] = Stat(NAMESPACE, "GetRecords.IteratorAgeMilliseconds", dimensions, "Maximum")
        if "throttles" not in self._config.skip:
            stats |= {key: Stat(NAMESPACE, metric, dimensions, "Sum") for key, (metric, _) in _THROTTLES.items()}
        return stats

    def _judge_age(self, findings: Findings, points: Points, retention_s: float) -> list[str]:
        who = clean(self._config.consumer, 120) or "anybody"
        if not points:
            words = f"no sign that {who} reads in the last {self._config.window}"
            findings.fault("ok" if self._config.idle else "critical", words)
            return [words]
        age_s = points[-1][1] / 1000
        limits = Limits(retention_s * self._config.age_warn / 100, retention_s * self._config.age_crit / 100)
        words = f"{Duration(round(age_s, 3))} behind"
        lost = f"{age_s / retention_s:.0%} of the {Duration(retention_s)} that records are kept"
        findings.measured("age", age_s, f"{words}: {lost}", limits=limits, unit="s", max=retention_s)
        return [words]

    def _judge_throttles(self, findings: Findings, found: dict[str, Points]) -> None:
        limits = Limits(self._config.throttles_warn, self._config.throttles_crit)
        for key, (_, what) in _THROTTLES.items():
            if key in found:  # CloudWatch has no point for a minute in which nothing happened
                count = sum(value for _, value in found[key])
                words = f"{count:.0f} {what} in {self._config.window}"
                findings.measured(f"throttled_{key}", count, words, limits=limits)
