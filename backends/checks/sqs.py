"""Health of a queue of SQS: how many messages wait, how old the oldest is, and what its dead-letter queue holds.

```toml
[[contexts.production.checks]]
name = "orders"
type = "sqs"
queue = "orders"                        # its name, URL or ARN
aws = { region = "eu-central-1" }
depth_warn = 1000
depth_crit = 10_000
```
The age of the oldest message is a metric of CloudWatch, which is a minute or more behind, and has none for a queue that
nobody used for six hours. A message that gets older than the queue's retention is deleted without a word.
API: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
"""

from typing import Any, Literal

from msgspec import Struct

from backends.aws.access import AwsAccess
from backends.aws.account import account_of
from backends.aws.datapoints import METRIC_LOOK, Stat, datapoints
from backends.aws.witness import Look
from backends.checks.amazon import READS, looked, refuse_times
from backends.checks.findings import Findings, Limits, refuse_crossed
from backends.json_text import decode_text
from backends.models import CheckResult
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean, counted

Aspect = Literal["depth", "age", "dead-letters"]
AGE_LOOKBACK_S = 900.0
AGE_WARN_SHARE, AGE_CRIT_SHARE = 0.5, 0.8
_DEPTHS = {
    "waiting": "ApproximateNumberOfMessages",
    "in_flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


class SqsCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The queue, and how much may wait in it for how long.

    queue: its name, its URL or its ARN.
    aws: how AWS is reached.
    depth_warn: more messages that wait are a warning.
    depth_crit: the same, critical.
    age_warn: an oldest message that is older is a warning; by default half of the queue's retention.
    age_crit: the same, critical; by default 80 % of it: what is older than the retention is deleted.
    dead_letters_warn: more messages in the dead-letter queue that this one names are a warning.
    dead_letters_crit: the same, critical.
    skip: what is not looked at.
    warn: an answer that takes longer is a warning.
    crit: one that takes longer is critical.
    timeout: of the whole look.
    """

    queue: str
    aws: AwsAccess = AwsAccess()
    depth_warn: int | None = None
    depth_crit: int | None = None
    age_warn: Duration | None = None
    age_crit: Duration | None = None
    dead_letters_warn: int | None = 0
    dead_letters_crit: int | None = None
    skip: tuple[Aspect, ...] = ()
    warn: Duration | None = None
    crit: Duration | None = None
    timeout: Duration = Duration(5)

    def __post_init__(self) -> None:
        if not self.queue.strip():
            raise ValueError("queue: not empty")
        refuse_times(self)
        refuse_crossed(self, "depth", "age", "dead_letters")


class SqsCheck:
    """`Check` by `GetQueueAttributes` and one metric."""

    api = 1
    Config = SqsCheckConfig

    def __init__(self, config: SqsCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._urls: dict[str, str] = {}
        self._where = f"SQS {clean(config.queue.rpartition('/')[2].rpartition(':')[2], 80)}"
        self._account = account_of(config.aws, context.base_dir, timeout_s=config.timeout, reads=READS)

    async def run(self) -> CheckResult:
        """Look once. Raises BackendError where nobody could look, as for a missing right."""
        services = ("sqs",) if "age" in self._config.skip else ("sqs", "cloudwatch")
        return await looked(self._name, self._look, self._account, services, what=self._where, config=self._config)

    def looks(self) -> list[Look]:
        """The metric, which is asked for where the queue has answered."""
        return [] if "age" in self._config.skip else [METRIC_LOOK]

    async def aclose(self) -> None:
        """The account is shared; nothing of its own is open."""

    async def _look(self, findings: Findings) -> str:
        told = await self._attributes(self._config.queue)
        counts = {name: int(told[attribute]) for name, attribute in _DEPTHS.items()}
        words = [f"{counted(counts['waiting'], 'message')} waiting, {counts['in_flight']} in flight"]
        if "depth" not in self._config.skip:
            limits = Limits(self._config.depth_warn, self._config.depth_crit)
            findings.measured("depth", counts["waiting"], f"{words[0]}", limits=limits)
            findings.measured("in_flight", counts["in_flight"])
        if "age" not in self._config.skip:
            words += await self._judge_age(findings, told)
        if "dead-letters" not in self._config.skip and (policy := told.get("RedrivePolicy")):
            await self._judge_dead_letters(findings, policy)
        return ", ".join(words)

    async def _judge_age(self, findings: Findings, told: dict[str, str]) -> list[str]:
        name = told["QueueArn"].rpartition(":")[2]
        stat = Stat("AWS/SQS", "ApproximateAgeOfOldestMessage", (("QueueName", name),), "Maximum")
        points = (await datapoints(self._account, {"age": stat}, last_s=AGE_LOOKBACK_S))["age"]
        if not points:
            if int(told[_DEPTHS["waiting"]]):
                ago = Duration(AGE_LOOKBACK_S)
                findings.fault("unknown", f"how old the oldest message is, CloudWatch did not say for {ago}")
            return []
        retention_s = float(told["MessageRetentionPeriod"])
        limits = Limits(
            self._config.age_warn if self._config.age_warn is not None else retention_s * AGE_WARN_SHARE,
            self._config.age_crit if self._config.age_crit is not None else retention_s * AGE_CRIT_SHARE,
        )
        age_s = points[-1][1]
        words = f"the oldest {Duration(age_s)}"
        kept = f"deleted at {Duration(retention_s)}"
        findings.measured("age", age_s, f"the oldest message is {Duration(age_s)} old, {kept}", limits=limits, unit="s")
        return [words]

    async def _judge_dead_letters(self, findings: Findings, policy: str) -> None:
        arn = str(decode_text(policy, dict[str, Any])["deadLetterTargetArn"])
        count = int((await self._attributes(arn))[_DEPTHS["waiting"]])
        words = f"{counted(count, 'message')} in {clean(arn.rpartition(':')[2], 80)}"
        limits = Limits(self._config.dead_letters_warn, self._config.dead_letters_crit)
        findings.measured("dead_letters", count, words, limits=limits)

    async def _attributes(self, queue: str) -> dict[str, str]:
        wanted = [*_DEPTHS.values(), "QueueArn", "MessageRetentionPeriod", "RedrivePolicy"]
        url = await self._url(queue)
        answer = await self._account.read("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=wanted)
        found: dict[str, str] = answer["Attributes"]
        return found

    async def _url(self, queue: str) -> str:
        if queue.startswith(("https://", "http://")):
            return queue
        asked: dict[str, str] = {"QueueName": queue}
        if queue.startswith("arn:"):
            account, name = queue.split(":")[-2:]
            asked = {"QueueName": name, "QueueOwnerAWSAccountId": account}
        if queue not in self._urls:
            self._urls[queue] = str((await self._account.read("sqs", "get_queue_url", **asked))["QueueUrl"])
        return self._urls[queue]
