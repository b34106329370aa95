"""Health of a Lambda function: the share of its calls that fail, throttles, dead letters, concurrency.

```toml
[[contexts.production.checks]]
name = "enrich"
type = "lambda"
function = "enrich"                     # name or ARN, with `:alias` where one is meant
aws = { region = "eu-central-1" }
```
An error that the caller sees as a throttle is no invocation, and not in the share. No call at all is said, and is not
wrong by itself; `least` says how many there are at least.
API: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
"""

from typing import Any, Literal

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

Aspect = Literal["errors", "throttles", "dead-letters", "concurrency"]
_METRICS = {
    "calls": ("Invocations", "Sum"),
    "errors": ("Errors", "Sum"),
    "throttles": ("Throttles", "Sum"),
    "dead_letters_lost": ("DeadLetterErrors", "Sum"),
    "undelivered": ("DestinationDeliveryFailures", "Sum"),
    "dropped": ("AsyncEventsDropped", "Sum"),
    "concurrent": ("ConcurrentExecutions", "Maximum"),
}
_LOST = {
    "dead_letters_lost": "failed events that the dead-letter queue did not take",
    "undelivered": "results that the destination did not take",
    "dropped": "events that were dropped without being processed",
}


class LambdaCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The function, and what may go wrong with it.

    function: its name or ARN; with `:alias` or `:version`, only the calls of that one.
    aws: how AWS is reached.
    window: how far back CloudWatch is looked at.
    least: fewer calls in the window are critical.
    errors_warn: percent of the calls that fail; more are a warning.
    errors_crit: the same, critical.
    throttles_warn: more throttled calls in the window are a warning.
    throttles_crit: the same, critical.
    concurrency_warn: percent of the concurrency that the function may have; more is a warning.
    concurrency_crit: the same, critical.
    skip: what is not looked at.
    warn: an answer that takes longer is a warning.
    crit: one that takes longer is critical.
    timeout: of the whole look.
    """

    function: str
    aws: AwsAccess = AwsAccess()
    window: Duration = Duration(900)
    least: int = 0
    errors_warn: float = 1
    errors_crit: float = 5
    throttles_warn: int | None = 0
    throttles_crit: int | None = None
    concurrency_warn: float = 80
    concurrency_crit: float = 95
    skip: tuple[Aspect, ...] = ()
    warn: Duration | None = None
    crit: Duration | None = None
    timeout: Duration = Duration(5)

    def __post_init__(self) -> None:
        if not self.function.strip():
            raise ValueError("function: not empty")
        refuse_times(self, self.window)
        refuse_crossed(self, "throttles")
        for what in ("errors", "concurrency"):
            if not 0 <= getattr(self, f"{what}_warn") <= getattr(self, f"{what}_crit") <= 100:
                raise ValueError(f"{what}_warn, {what}_crit: percent, warn not more than crit")


class LambdaCheck:
    """`Check` by `GetFunctionConfiguration`, its limits of concurrency, and the function's metrics."""

    api = 1
    Config = LambdaCheckConfig

    def __init__(self, config: LambdaCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._function, self._qualifier = _parts(config.function)
        self._where = f"Lambda {clean(self._function.rpartition(':')[2], 120)}"
        self._account = account_of(config.aws, context.base_dir, timeout_s=config.timeout, reads=READS)

    async def run(self) -> CheckResult:
        """Look once. Raises BackendError where nobody could look, as for a missing right."""
        services = ("lambda", "cloudwatch") if self._wanted() else ("lambda",)
        return await looked(self._name, self._look, self._account, services, what=self._where, config=self._config)

    def looks(self) -> list[Look]:
        """What is asked where the function has answered, and has been called."""
        if not self._wanted():
            return []
        found = [METRIC_LOOK]
        if "concurrency" not in self._config.skip:
            found.append(Look("lambda", "get_function_concurrency", {"FunctionName": self._function}))
            found.append(Look("lambda", "get_account_settings"))
        return found

    async def aclose(self) -> None:
        """The account is shared; nothing of its own is open."""

    async def _look(self, findings: Findings) -> str:
        qualifier = {"Qualifier": self._qualifier} if self._qualifier else {}
        told = await self._read("get_function_configuration", **qualifier)
        _judge_state(findings, told)
        wanted = self._wanted()
        if not wanted:
            return clean(f"{told.get('Runtime') or 'an image'}", 60)
        stats = {key: self._stat(key, told["FunctionName"]) for key in wanted}
        found = await datapoints(self._account, stats, last_s=self._config.window)
        totals = {key: sum(value for _, value in points) for key, points in found.items() if key != "concurrent"}
        words = f"{counted(round(totals.get('calls', 0)), 'call')} in {self._config.window}"
        if "calls" in totals:
            self._judge_errors(findings, totals, words)
        if "throttles" in totals:
            limits = Limits(self._config.throttles_warn, self._config.throttles_crit)
            throttled = f"{totals['throttles']:.0f} calls throttled in {self._config.window}"
            findings.measured("throttles", totals["throttles"], throttled, limits=limits)
        for key, what in _LOST.items():
            if key in totals:
                findings.measured(key, totals[key], f"{totals[key]:.0f} {what}", limits=Limits(crit=0))
        if "concurrent" in found:
            await self._judge_concurrency(findings, found["concurrent"])
        return words

    async def _read(self, operation: str, **more: str) -> dict[str, Any]:
        return await self._account.read("lambda", operation, FunctionName=self._function, **more)

    def _wanted(self) -> list[str]:
        aspects: dict[Aspect, tuple[str, ...]] = {
            "errors": ("calls", "errors"),
            "throttles": ("throttles",),
            "dead-letters": tuple(_LOST),
            "concurrency": ("concurrent",),
        }
        return [key for aspect, keys in aspects.items() if aspect not in self._config.skip for key in keys]

    def _stat(self, key: str, function: str) -> Stat:
        metric, statistic = _METRICS[key]
        dimensions: tuple[tuple[str, str], ...] = (("FunctionName", function),)
        if self._qualifier:
            dimensions = (*dimensions, ("Resource", f"{function}:{self._qualifier}"))
        return Stat("AWS/Lambda", metric, dimensions, statistic)

    def _judge_errors(self, findings: Findings, totals: dict[str, float], words: str) -> None:
        calls, errors = totals["calls"], totals["errors"]
        findings.measured("calls", calls, f"only {words}", limits=Limits(crit=self._config.least, at_least=True))
        if calls:
            share = errors / calls * 100
            limits = Limits(self._config.errors_warn, self._config.errors_crit)
            failed = f"{share:.1f} % of {words} failed"
            findings.measured("errors", round(share, 3), failed, limits=limits, unit="%", max=100)

    async def _judge_concurrency(self, findings: Findings, points: Points) -> None:
        if not points:
            return
        whose = "its reserved concurrency"
        most: int | None = (await self._read("get_function_concurrency")).get("ReservedConcurrentExecutions")
        if most is None:
            limit = (await self._account.read("lambda", "get_account_settings"))["AccountLimit"]
            most, whose = int(limit["UnreservedConcurrentExecutions"]), "what all functions of the account may have"
        used = max(value for _, value in points)
        if most == 0:
            findings.fault("critical", "its reserved concurrency is 0: every call is throttled")
            return
        limits = Limits(most * self._config.concurrency_warn / 100, most * self._config.concurrency_crit / 100)
        words = f"{used:.0f} calls at once, {used / most:.0%} of {whose}"
        findings.measured("concurrent", used, words, limits=limits, max=most)


def _judge_state(findings: Findings, told: dict[str, Any]) -> None:
    state = clean(told.get("State", "Active"), 40)
    if state not in ("Active", "Inactive"):  # an inactive one is made ready by its next call
        why = clean(told.get("StateReason", ""), 200)
        findings.fault("warning" if state == "Pending" else "critical", f"its state is {state}" + (why and f": {why}"))
    if told.get("LastUpdateStatus") == "Failed":
        why = clean(told.get("LastUpdateStatusReason", ""), 200)
        findings.fault("warning", "its last update failed" + (why and f": {why}"))


def _parts(function: str) -> tuple[str, str]:
    """Name (or ARN) and qualifier: `name`, `name:alias`, `arn:aws:lambda:region:account:function:name[:alias]`."""
    parts = function.split(":")
    own = 7 if function.startswith("arn:") else 1
    return ":".join(parts[:own]), ":".join(parts[own:])
