"""Freshness of data: the newest time that an SQL query finds, or the oldest of those that a metric tells.

```toml
[[contexts.production.checks]]
name = "orders"
type = "freshness"
url = { env = "WAREHOUSE_URL" }         # any database that SQLAlchemy speaks to, see quality `sql`
query = "select max(updated_at) from orders"
warn = "1h"
crit = "2h"
[[contexts.production.checks]]
name = "feeds"
type = "freshness"
metrics = "prom"                        # the name of a metrics source of this context
query = "max by (feed) (feed_last_success_timestamp_seconds)"
```
SQL returns one row; its first column is the time: with an offset or in UTC, or seconds since the epoch. Of a metric
each sample is one time, in seconds since the epoch.
"""

import time
from datetime import UTC, datetime

from msgspec import Struct

from backends.checks.age import age_limits, measure_age
from backends.checks.findings import Findings, critical
from backends.errors import BackendError
from backends.models import CheckResult
from backends.registry import AdapterContext
from backends.settings import Duration, Secret, refuse_password_in_url
from backends.sql import Database
from backends.stopwatch import timed
from backends.text import clean
from backends.times import parse_time


class FreshnessCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to ask for the newest time (`url` or `metrics`), and how old it may be.

    query: SQL: one row, its first column is the time; of metrics: each sample is one time, in seconds.
    url: an SQLAlchemy URL without a password, or a reference to one.
    metrics: the metrics entry of that name, instead of `url`.
    warn: what is older is a warning.
    crit: what is older is critical.
    timeout: of one query.
    """

    query: str
    url: str | Secret | None = None
    metrics: str | None = None
    warn: Duration = Duration(3600)
    crit: Duration = Duration(7200)
    timeout: Duration = Duration(5)

    def __post_init__(self) -> None:
        if (self.url is None) == (self.metrics is None):
            raise ValueError("url, metrics: one of them")
        if isinstance(self.url, str):
            refuse_password_in_url(self.url)
        if not self.query.strip():
            raise ValueError("query: it is empty")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        age_limits(self.warn, self.crit)


class FreshnessCheck:
    """`Check` by one read-only query. What cannot be asked is an error: it says nothing about the data."""

    api = 1
    Config = FreshnessCheckConfig

    def __init__(self, config: FreshnessCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._metrics = context.metrics
        self._limits = age_limits(config.warn, config.crit)
        self._database: Database | None = None
        if config.url is not None:
            self._database = Database(config.url, base_dir=context.base_dir, timeout_s=config.timeout)

    async def run(self) -> CheckResult:
        """Look once. Raises BackendError as `Database.rows` and `Metrics.instant`, and `malformed` for no time."""
        if self._database is not None:
            return await self._by_sql(self._database)
        return await self._by_metric(self._config.metrics or "")

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        if self._database is not None:
            await self._database.aclose()

    async def _by_sql(self, database: Database) -> CheckResult:
        began = time.monotonic()
        rows = await database.rows(self._config.query, limit=2)
        seconds = time.monotonic() - began
        if len(rows) > 1:
            raise BackendError(
                "config", f"{database.where}: more than one row", fix="write a query like select max(updated_at) …"
            )
        value = next(iter(rows[0].values()), None) if rows else None
        if value is None:
            return critical(self._name, f"{database.where}: there is no data at all", seconds=seconds)
        newest = parse_time(value)
        if newest is None:
            raise BackendError(
                "malformed", f"{database.where}: {clean(repr(value), 80)} is no time", fix="cast it in the query"
            )
        findings = Findings(self._name)
        age_s = (datetime.now(UTC) - newest).total_seconds()
        return findings.result(measure_age(findings, age_s, "the newest row", self._limits), seconds=seconds)

    async def _by_metric(self, name: str) -> CheckResult:
        began = time.monotonic()
        try:
            async with timed(self._config.timeout):
                samples = await self._metrics(name).instant(self._config.query)
        except TimeoutError:
            raise BackendError("timeout", f"metrics.{name}: no answer in {self._config.timeout}") from None
        seconds = time.monotonic() - began
        times = [(sample.value, sample) for sample in samples if sample.value is not None]
        if not samples or len(times) < len(samples):
            found = "nothing" if not samples else "a value that is no time"
            raise BackendError(
                "not_found", f"metrics.{name}: the query finds {found}", fix="try it in the system itself"
            )
        at, oldest = min(times, key=lambda timed: timed[0])
        labels = ", ".join(f"{key}={value}" for key, value in oldest.labels.items() if key != "__name__")
        findings = Findings(self._name)
        for warning in oldest.warnings:
            findings.fault("unknown", f"metrics.{name}: the answer may be incomplete: {warning}")
        words = measure_age(findings, time.time() - at, labels or "the newest", self._limits)
        findings.measured("series", len(samples))
        return findings.result(words, seconds=seconds)
