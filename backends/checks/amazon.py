"""What the checks of AWS services share: one look, its time judged, and which failures are the system's own."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from backends.aws.account import Account
from backends.aws.wire import FIX
from backends.checks.findings import Findings, critical
from backends.checks.latency import LatencyLimits, judge_latency
from backends.errors import BackendError
from backends.models import CheckResult
from backends.settings import Duration
from backends.stopwatch import timed

READS = 2
"""A check answers within seconds: it asks once more, not twice."""

Look = Callable[[Findings], Awaitable[str]]
"""Asks and judges; what it returns is said where nothing is wrong."""

_COULD_NOT_LOOK = ("auth", "config", "internal", "malformed", "rate_limited")


class Timed(Protocol):
    """What a config says of time: `warn` and `crit` of an answer, `timeout` of the whole look."""

    @property
    def warn(self) -> Duration | None:
        """An answer that takes longer is a warning."""

    @property
    def crit(self) -> Duration | None:
        """One that takes longer is critical."""

    @property
    def timeout(self) -> Duration:
        """Of the whole look."""


def refuse_times(config: Timed, window: Duration | None = None) -> None:
    """ValueError for times that make no sense; `window`: how far back CloudWatch is looked at."""
    if config.timeout <= 0:
        raise ValueError("timeout: more than 0s")
    if window is not None and window < 60:
        raise ValueError("window: 1m or more")
    LatencyLimits(config.warn, config.crit)


async def looked(
    name: str, look: Look, account: Account, services: Sequence[str], *, what: str, config: Timed
) -> CheckResult:
    """The outcome of `look` at `what`, which asks `services`. Raises BackendError where nobody could look: that says
    nothing about the system."""
    findings, limits = Findings(name), LatencyLimits(config.warn, config.crit)
    try:
        await account.open(*services)
        async with timed(config.timeout) as watch:
            summary = await look(findings)
            took = watch.took()
    except TimeoutError:
        return critical(name, f"{what}: no answer in {config.timeout}")
    except BackendError as error:
        if error.kind in _COULD_NOT_LOOK:
            raise
        return critical(name, f"{what}: {error.message}")
    except (KeyError, TypeError, ValueError) as error:  # an answer without what AWS always says
        raise BackendError("malformed", f"{what}: no answer of AWS ({type(error).__name__})", fix=FIX) from None
    state, latency, datum = judge_latency(took.seconds, limits, late_s=took.late_s)
    findings.add(state, f"answered in {latency}", datum)
    return findings.result(f"{summary}, answered in {latency}", seconds=took.seconds)
