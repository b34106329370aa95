"""Is Airflow itself alive: its database, scheduler, triggerer and DAG processor, and do all files of DAGs load.

```toml
[[contexts.production.checks]]
name = "airflow"
type = "airflow"
url = "https://airflow.internal/prod"
auth = { username = "oncall", password = { env = "AIRFLOW_PASSWORD" } }
warn = "1m"                              # since the scheduler's last heartbeat
crit = "5m"
```
The health page answers 200 whatever it says; a component that is not deployed has no status, and is left out.
"""

import time
from datetime import UTC, datetime

from backends.checks.findings import Findings, Limits, critical
from backends.errors import BackendError
from backends.models import CheckResult, Health
from backends.pipelines.airflow.http import AirflowAccess, AirflowApi
from backends.pipelines.airflow.wire import Component, ImportErrors, ServerHealth
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean

_NEEDED: dict[str, Health] = {
    "metadatabase": "critical", "scheduler": "critical", "dag_processor": "warning", "triggerer": "warning",
}  # fmt: skip


class AirflowCheckConfig(AirflowAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server, and how long ago the scheduler may have been alive.

    warn: a scheduler's heartbeat that is older is a warning.
    crit: one that is older is critical.
    """

    warn: Duration = Duration(60)
    crit: Duration = Duration(300)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.warn <= self.crit:
            raise ValueError("warn, crit: more than 0s, and warn at most crit")


class AirflowCheck:
    """`Check` of one deployment."""

    api = 1
    Config = AirflowCheckConfig

    def __init__(self, config: AirflowCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._server = AirflowApi(config, context)

    async def run(self) -> CheckResult:
        """Look once. A server that does not answer is critical; one that does not let us in is an error."""
        began = time.monotonic()
        try:
            path = "/monitor/health" if await self._server.is_v2() else "/health"
            health = await self._server.get(path, ServerHealth)
            seconds = time.monotonic() - began
            broken = await self._server.get("/importErrors", ImportErrors, {"limit": 20})
        except BackendError as error:
            if error.kind in ("unreachable", "timeout"):
                return critical(self._name, error.message)
            raise
        found = Findings(self._name)
        self._components(health, found)
        count = broken.total_entries if broken.total_entries is not None else len(broken.import_errors)
        first = f": {broken.import_errors[0].words}" if broken.import_errors else ""
        words = f"{count} file{'s' if count != 1 else ''} of DAGs {'does' if count == 1 else 'do'} not load{first}"
        found.measured("import_errors", count, words, limits=Limits(warn=0))
        version = (await self._server.version()).version
        return found.result(f"Airflow {version}: scheduler alive, all DAGs load", seconds=seconds)

    def _components(self, health: ServerHealth, found: Findings) -> None:
        parts: dict[str, Component | None] = {
            "metadatabase": health.metadatabase, "scheduler": health.scheduler,
            "dag_processor": health.dag_processor, "triggerer": health.triggerer,
        }  # fmt: skip
        for name, part in parts.items():
            if part is not None and part.status is not None and part.status.casefold() != "healthy":
                found.fault(_NEEDED[name], f"{name.replace('_', ' ')} {clean(part.status, 40)}")
        if health.metadatabase.status is None or health.scheduler.status is None:
            found.fault("unknown", "the server does not say how its scheduler is")
        at = health.scheduler.heartbeat
        if at is not None:
            age = max(0.0, (datetime.now(UTC) - at).total_seconds())
            limits = Limits(self._config.warn, self._config.crit)
            found.measured(
                "scheduler_heartbeat",
                age,
                f"the scheduler's last heartbeat is {age:.0f} s old",
                limits=limits,
                unit="s",
            )

    async def aclose(self) -> None:
        """Nothing is held: the HTTP client is shared."""
