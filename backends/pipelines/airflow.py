"""Apache Airflow 2.x (REST v1) and 3.x (REST v2), told apart by what the server answers.

```toml
[[contexts.production.pipelines]]
type = "airflow"
url = "https://airflow.internal/prod"      # with the path of the deployment, without /api/…
auth = { username = "oncall", password = { env = "AIRFLOW_PASSWORD" } }   # 2.x: basic; 3.x: a JWT is got with it
# auth = { token = { env = "AIRFLOW_TOKEN" } }                            # Astronomer, or any bearer token
# auth = { token = { command = ["gcloud", "auth", "print-identity-token"] } }   # Composer; asked anew after a 401
window = "7d"                              # how far back runs are looked at
failed_logs = 3                            # of so many newest failures the log is read for the line that says why
```
Runs over all DAGs are one window, newest first. Without `auth`, a 3.x server that hands a token to everybody is asked
for one. Airflow has no word for a cancelled run: cancelling marks it failed, and leaves a note by which it is known.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from backends.errors import BackendError
from backends.models import LogEntry, PipelineRun, TaskRun, TimelineEvent
from backends.pipelines.airflow_details import Details
from backends.pipelines.airflow_events import EventLogs, event_of, versions_of, within
from backends.pipelines.airflow_http import PAGE, AirflowAccess, AirflowApi, path_of
from backends.pipelines.airflow_models import models_of, params_of, tasks_of
from backends.pipelines.airflow_orders import Orders
from backends.pipelines.airflow_tasklogs import TaskLogs
from backends.pipelines.airflow_wire import (
    ENDED,
    Dag,
    DagRun,
    DagRuns,
    Dags,
    ImportErrors,
)
from backends.ports import Approval, PipelineInfo
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean

MAX_DAGS = 2000
MAX_EVENTS = 500
KEPT_RUNS = 2000


class AirflowConfig(AirflowAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server, how it is entered, how much of it is looked at."""

    window: Duration = Duration(7 * 86400)
    failed_logs: Annotated[int, msgspec.Meta(ge=0, le=20)] = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window <= 0:
            raise ValueError("window: more than 0s")


class AirflowPipelines:
    """`Pipelines` of one deployment."""

    api = 1
    Config = AirflowConfig

    def __init__(self, config: AirflowConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._server = AirflowApi(config, context)
        self._details = Details(self._server, config.failed_logs)
        self._logs = TaskLogs(self._server, self._details)
        self._orders = Orders(self._server, self._details)
        self._seen: dict[tuple[str, str], DagRun] = {}

    # ---- reading

    async def runs(self, *, since: datetime | None = None, limit: int = 100) -> list[PipelineRun]:
        """The newest `limit` runs of the window, of which those that started after `since`, those that are open and
        the last of each DAG are returned. Where the newest do not reach back to `since`, the failed and open ones since
        then are asked for too: many runs must not hide the one that failed.
        """
        now = datetime.now(UTC)
        opens = min(filter(None, (now - timedelta(seconds=self._config.window), since)))
        found = await self._window(opens, max(limit, PAGE))
        reaches = found[-1].began if found else None
        if since is not None and len(found) >= max(limit, PAGE) and (reaches is None or reaches > since):
            known = {(run.dag_id, run.dag_run_id) for run in found}
            states = {"state": ["failed", "running", "queued"]}
            more = await self._window(since, PAGE, states)
            found += [run for run in more if (run.dag_id, run.dag_run_id) not in known]
        self._remember(found, opens)
        base = await self._server.base()
        by_dag = models_of(self._newest_first(), self._name, base, now)
        models = {(each.pipeline, each.run_id): each for group in by_dag.values() for each in group}
        wanted: list[DagRun] = []
        last: set[str] = set()
        for number, run in enumerate(found):
            is_last, is_open = run.dag_id not in last, run.mapped not in ENDED
            last.add(run.dag_id)
            after = number < limit if since is None else (run.began is not None and run.began >= since)
            if is_last or is_open or after:
                wanted.append(run)
        plain = [models[clean(run.dag_id, 250), clean(run.dag_run_id, 250)] for run in wanted]
        return await self._details.told(wanted, plain, list(self._seen.values()))

    async def run(self, pipeline: str, run_id: str) -> PipelineRun:
        """One run now. Raises `not_found`."""
        found = await self._server.get(path_of("dags", pipeline, "dagRuns", run_id), DagRun)
        self._seen[pipeline, run_id] = found
        now = datetime.now(UTC)
        by_dag = models_of(self._newest_first(), self._name, await self._server.base(), now)
        model = next(each for each in by_dag[found.dag_id] if each.run_id == clean(found.dag_run_id, 250))
        return (await self._details.told([found], [model], list(self._seen.values())))[0]

    async def tasks(self, pipeline: str, run_id: str) -> list[TaskRun]:
        """The tasks of one run. Raises `not_found`."""
        instances = await self._details.instances(pipeline, run_id)
        return tasks_of(instances, await self._details.tasks(pipeline))

    async def task_log(self, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        """The last lines of all tries of one task, or of all tasks. Raises `not_found`."""
        return await self._logs.read(pipeline, run_id, task)

    def follow_log(self, pipeline: str, run_id: str, task: str | None = None) -> AsyncIterator[LogEntry]:
        """The same, and what is added, until the task or the run has ended."""
        return self._logs.follow(pipeline, run_id, task)

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """From the audit log, and new versions of DAGs. A user who may not read the audit log gets `auth`."""
        params = {
            "after": since.isoformat(), "before": until.isoformat(), "limit": PAGE, "order_by": "-event_log_id",
        }  # fmt: skip
        found: list[TimelineEvent] = []
        for offset in range(0, MAX_EVENTS, PAGE):
            page = await self._server.get("/eventLogs", EventLogs, {**params, "offset": offset})
            found += [event for log in page.event_logs if (event := event_of(log, self._name)) is not None]
            if len(page.event_logs) < PAGE:
                break
        return within([*found, *versions_of(self._seen.values(), self._name)], since, until)

    async def pipelines(self) -> list[PipelineInfo]:
        """All DAGs that can run, without their params."""
        found: list[Dag] = []
        while len(found) < MAX_DAGS:
            page = await self._server.get("/dags", Dags, {"limit": PAGE, "offset": len(found), "order_by": "dag_id"})
            found += page.dags
            if not page.dags or len(found) >= (page.total_entries or 0):
                break
        return [self._info(dag) for dag in found]

    async def pipeline(self, pipeline: str) -> PipelineInfo:
        """One DAG with its params. Raises `not_found`."""
        return self._info(await self._server.get(path_of("dags", pipeline, "details"), Dag))

    async def import_errors(self) -> list[str]:
        """`file.py: RuntimeError: …` of each file of DAGs that does not load."""
        found = await self._server.get("/importErrors", ImportErrors, {"limit": PAGE})
        return [error.words for error in found.import_errors]

    # ---- orders

    async def trigger(self, pipeline: str, run_id: str, params: dict[str, Any]) -> None:
        """`params` become the conf. Where the answer is lost, the run is looked for, and nothing is sent again."""
        await self._orders.trigger(pipeline, run_id, params)

    async def retry_preview(self, pipeline: str, run_id: str) -> list[str]:
        """What a clear would clear, by Airflow's own dry run."""
        return await self._orders.retry_preview(pipeline, run_id)

    async def retry(self, pipeline: str, run_id: str) -> None:
        """Clear what did not succeed; dry run first, and nothing but this run may be in it."""
        await self._orders.retry(pipeline, run_id)

    async def cancel(self, pipeline: str, run_id: str) -> None:
        """Mark the run failed, which ends its tasks, with a note that it was cancelled."""
        await self._orders.cancel(pipeline, run_id)

    async def set_paused(self, pipeline: str, paused: bool) -> None:
        """Pause or unpause the DAG. Raises `not_found`."""
        await self._orders.set_paused(pipeline, paused)

    async def approvals(self, pipeline: str, run_id: str) -> list[Approval]:
        """The tasks of a run that ask a person (3.1 and newer)."""
        return await self._orders.approvals(pipeline, run_id)

    async def approve(self, pipeline: str, run_id: str, comment: str) -> None:
        """Choose what approves, for each of them. Airflow keeps no comment."""
        await self._orders.approve(pipeline, run_id)

    async def aclose(self) -> None:
        """Nothing is held: the HTTP client is shared."""

    # ---- inside

    def _info(self, dag: Dag) -> PipelineInfo:
        note = "import error: its last good version runs" if dag.has_import_errors else ""
        return PipelineInfo(
            pipeline=clean(dag.dag_id, 250),
            schedule=dag.schedule,
            paused=bool(dag.is_paused),
            params=params_of(dag.params),
            note=note,
        )

    async def _window(self, opens: datetime, limit: int, more: dict[str, Any] | None = None) -> list[DagRun]:
        """At most `limit` runs from `opens` on, newest first. v1 orders by what v2 calls the logical date."""
        is_v2 = await self._server.is_v2()
        bounds = {"order_by": "-run_after", "run_after_gte": opens.isoformat()} if is_v2 else {
            "order_by": "-execution_date", "execution_date_gte": opens.isoformat(),
        }  # fmt: skip
        found: list[DagRun] = []
        while len(found) < limit:
            asked = {**bounds, **(more or {}), "limit": min(PAGE, limit - len(found)), "offset": len(found)}
            try:
                page = await self._server.get(path_of("dags", "~", "dagRuns"), DagRuns, asked)
            except BackendError as error:
                if error.kind == "not_found":
                    self._server.forget()
                raise
            found += page.dag_runs
            if not page.dag_runs or len(found) >= (page.total_entries or 0):
                break
        return found

    def _remember(self, found: list[DagRun], opens: datetime) -> None:
        """Runs of earlier windows make history and usual durations longer than one window is."""
        for run in found:
            self._seen[run.dag_id, run.dag_run_id] = run
        newest = self._newest_first()
        self._seen = {
            (run.dag_id, run.dag_run_id): run
            for run in newest[:KEPT_RUNS]
            if run.began is None or run.began >= opens
        }  # fmt: skip

    def _newest_first(self) -> list[DagRun]:
        oldest = datetime.min.replace(tzinfo=UTC)
        return sorted(self._seen.values(), key=lambda run: run.began or oldest, reverse=True)
