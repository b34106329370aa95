"""Freshness of data: the newest time that a query finds.

```toml
[[contexts.production.checks]]
name = "orders"
type = "freshness"
url = { env = "WAREHOUSE_URL" }         # any database that SQLAlchemy speaks to, see quality `sql`
query = "select max(updated_at) from orders"
warn = "1h"
crit = "2h"
```
The query returns one row; its first column is the time: with an offset or in UTC, or seconds since the epoch.
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
from backends.text import clean
from backends.times import parse_time


class FreshnessCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to ask for the newest time, and how old it may be."""

    url: str | Secret
    query: str
    warn: Duration = Duration(3600)
    crit: Duration = Duration(7200)
    timeout: Duration = Duration(5)

    def __post_init__(self) -> None:
        if isinstance(self.url, str):
            refuse_password_in_url(self.url)
        if not self.query.strip():
            raise ValueError("query: it is empty")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        age_limits(self.warn, self.crit)


class FreshnessCheck:
    """`Check` by one read-only query. A database that cannot be asked is an error: it says nothing about the data."""

    api = 1
    Config = FreshnessCheckConfig

    def __init__(self, config: FreshnessCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._database = Database(config.url, base_dir=context.base_dir, timeout_s=config.timeout)

    async def run(self) -> CheckResult:
        """Look once. Raises BackendError as `Database.rows`, and `malformed` for what is no time."""
        began = time.monotonic()
        rows = await self._database.rows(self._config.query, limit=2)
        seconds = time.monotonic() - began
        if len(rows) > 1:
            raise BackendError(
                "config",
                f"{self._database.where}: more than one row",
                fix="write a query like select max(updated_at) …",
            )
        value = next(iter(rows[0].values()), None) if rows else None
        if value is None:
            return critical(self._name, f"{self._database.where}: there is no data at all", seconds=seconds)
        newest = parse_time(value)
        if newest is None:
            raise BackendError(
                "malformed", f"{self._database.where}: {clean(repr(value), 80)} is no time", fix="cast it in the query"
            )
        findings = Findings(self._name)
        limits = age_limits(self._config.warn, self._config.crit)
        words = measure_age(findings, (datetime.now(UTC) - newest).total_seconds(), "the newest row", limits)
        return findings.result(words, seconds=seconds)

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        await self._database.aclose()
