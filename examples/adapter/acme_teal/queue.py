"""Depth of a job queue. Source: https://jobs.example.com/docs/api#queues."""

import time

from msgspec import Struct

from backends.checks.findings import critical
from backends.checks.latency import LatencyLimits, judge_latency
from backends.errors import BackendError
from backends.models import CheckResult
from backends.registry import AdapterContext
from backends.settings import Duration


class QueueConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job server, and how many jobs may wait there.

    url: the server's base URL.
    deepest: more jobs that wait are critical.
    warn: an answer that takes longer is a warning.
    crit: one that takes longer is critical.
    timeout: no answer within this is critical.
    """

    url: str
    deepest: int = 1000
    warn: Duration | None = None
    crit: Duration | None = None
    timeout: Duration = Duration(5)


class _Queue(Struct):  # the wire: only the fields that are read
    depth: int


class QueueCheck:
    """`Check` of the depth of one queue."""

    api = 1
    Config = QueueConfig

    def __init__(self, config: QueueConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._http = context.http
        self._limits = LatencyLimits(config.warn, config.crit)

    async def run(self) -> CheckResult:
        """Look once. Raises BackendError(config) where nobody could look."""
        began = time.monotonic()
        try:
            answer = await self._http.request("GET", f"{self._config.url}/queue", timeout=self._config.timeout)
            depth = answer.decode(_Queue).depth
        except BackendError as error:
            if error.kind in ("config", "internal"):
                raise
            return critical(self._name, error.message)
        seconds = time.monotonic() - began
        state, words, datum = judge_latency(seconds, self._limits)
        return CheckResult(
            ref=self._name,
            name=self._name,
            state="critical" if depth > self._config.deepest else state,
            message=f"{depth} jobs wait, answered in {words}",
            latency_ms=seconds * 1000,
            perfdata=(datum,),
        )

    async def aclose(self) -> None:
        """The HTTP client is shared; nothing of its own is open."""
