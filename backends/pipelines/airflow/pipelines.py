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
from backends.identifiers import as_sent, identifier
from backends.models import LogEntry, PipelineRun, TaskRun, TimelineEvent
from backends.pipelines.airflow.details import Details
from backends.pipelines.airflow.events import EventLogs, event_of, versions_of, within
from backends.pipelines.airflow.http import PAGE, AirflowAccess, AirflowApi, is_last, path_of
from backends.pipelines.airflow.models import models_of, params_of, tasks_of, version_words
from backends.pipelines.airflow.orders import AirflowOrders
from backends.pipelines.airflow.task_logs import TaskLogs
from backends.pipelines.airflow.wire import (
    ENDED,
    Dag,
    DagRun,
    DagRuns,
    Dags,
    ImportErrors,
)
from backends.ports import Approval, PipelineInfo, RunInputs
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.together import together

MAX_DAGS = 2000
MAX_EVENTS = 500
KEPT_RUNS = 2000


class AirflowConfig(AirflowAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server, how it is entered, how much of it is looked at.

    window: how far back runs are looked at.
    failed_logs: of so many newest failures the log is read for the line that says why.
    """

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
        self._orders = AirflowOrders(self._server, self._details)
        self._seen: dict[tuple[str, str], DagRun] = {}

    # ---- reading

    async def runs(self, *, since: datetime | None = None, limit: int = 100) -> list[PipelineRun]:
        """The newest `limit` runs of the window, and, since a run may be of long ago by its date, whatever is open, or
        ended in the window. Of these, those that began or ended after `since`, the open ones and the last of each DAG
        are returned. Many runs must not hide the one that failed: those are asked for too where there are many.
        """
        now = datetime.now(UTC)
        opens = min(filter(None, (now - timedelta(seconds=self._config.window), since)))
        found = await self._found(opens, max(limit, PAGE))
        self._remember(found, opens)
        base = await self._server.page()
        by_dag = models_of(self._newest_first(), self._name, base, now)
        models = {(each.pipeline, each.run_id): each for group in by_dag.values() for each in group}
        wanted: list[DagRun] = []
        last: set[str] = set()
        for number, run in enumerate(found):
            is_last, is_open = run.dag_id not in last, run.mapped not in ENDED
            last.add(run.dag_id)
            after = number < limit if since is None else any(at is not None and at >= since for at in run.span)
            if is_last or is_open or after:
                wanted.append(run)
        plain = [models[identifier(run.dag_id), identifier(run.dag_run_id)] for run in wanted]
        return await self._details.told(wanted, plain, list(self._seen.values()))

    async def run(self, pipeline: str, run_id: str) -> PipelineRun:
        """One run now. Raises `not_found`."""
        found = await self._server.get(path_of("dags", as_sent(pipeline), "dagRuns", as_sent(run_id)), DagRun)
        self._seen[found.dag_id, found.dag_run_id] = found
        now = datetime.now(UTC)
        by_dag = models_of(self._newest_first(), self._name, await self._server.page(), now)
        model = next(each for each in by_dag[found.dag_id] if each.run_id == identifier(found.dag_run_id))
        return (await self._details.told([found], [model], list(self._seen.values())))[0]

    async def good_before(self, pipeline: str, run_id: str, limit: int = 5) -> list[PipelineRun]:
        """The newest successes of the DAG that began before that run. Raises `not_found`."""
        dag = as_sent(pipeline)
        run = await self._server.get(path_of("dags", dag, "dagRuns", as_sent(run_id)), DagRun)
        before = run.began or datetime.now(UTC)
        query = {"state": ["success"], "order_by": "-start_date", "start_date_lte": before.isoformat()}
        page = await self._server.get(path_of("dags", dag, "dagRuns"), DagRuns, {**query, "limit": limit + 1})
        good = [each for each in page.dag_runs if each.dag_run_id != run.dag_run_id and each.mapped == "success"]
        models = models_of(good[:limit], self._name, await self._server.page(), datetime.now(UTC))
        return [each for group in models.values() for each in group]

    async def inputs(self, pipeline: str, run_id: str) -> RunInputs:
        """Its conf, and the version of its DAG where Airflow keeps versions (3.x). Raises `not_found`."""
        run = await self._server.get(path_of("dags", as_sent(pipeline), "dagRuns", as_sent(run_id)), DagRun)
        return RunInputs(params=run.conf or {}, code=version_words(run))

    async def tasks(self, pipeline: str, run_id: str) -> list[TaskRun]:
        """The tasks of one run. Raises `not_found`."""
        dag = as_sent(pipeline)
        instances = await self._details.instances(dag, as_sent(run_id))
        return tasks_of(instances.found, await self._details.tasks(dag), instances.unread)

    async def task_log(self, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        """The last lines of all tries of one task, or of all tasks. Raises `not_found`."""
        return await self._logs.read(as_sent(pipeline), as_sent(run_id), task and as_sent(task))

    def follow_log(self, pipeline: str, run_id: str, task: str | None = None) -> AsyncIterator[LogEntry]:
        """The same, and what is added, until the task or the run has ended."""
        return self._logs.follow(as_sent(pipeline), as_sent(run_id), task and as_sent(task))

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """From the audit log, and new versions of DAGs. A user who may not read the audit log gets `auth`."""
        params = {
            "after": since.isoformat(), "before": until.isoformat(), "limit": PAGE, "order_by": "-event_log_id",
        }  # fmt: skip
        found: list[TimelineEvent] = []
        read = 0
        while read < MAX_EVENTS:
            page = await self._server.get("/eventLogs", EventLogs, {**params, "offset": read})
            found += [event for log in page.event_logs if (event := event_of(log, self._name)) is not None]
            read += len(page.event_logs)
            if is_last(len(page.event_logs), read, page.total_entries):
                break
        return within([*found, *versions_of(self._seen.values(), self._name)], since, until)

    async def pipelines(self) -> list[PipelineInfo]:
        """All DAGs that can run, without their params."""
        found: list[Dag] = []
        while len(found) < MAX_DAGS:
            page = await self._server.get("/dags", Dags, {"limit": PAGE, "offset": len(found), "order_by": "dag_id"})
            found += page.dags
            if is_last(len(page.dags), len(found), page.total_entries):
                break
        return [self._info(dag) for dag in found]

    async def pipeline(self, pipeline: str) -> PipelineInfo:
        """One DAG with its params. Raises `not_found`."""
        return self._info(await self._server.get(path_of("dags", as_sent(pipeline), "details"), Dag))

    async def import_errors(self) -> list[str]:
        """`file.py: RuntimeError: …` of each file of DAGs that does not load."""
        found = await self._server.get("/importErrors", ImportErrors, {"limit": PAGE})
        return [error.words for error in found.import_errors]

    # ---- orders

    async def trigger(self, pipeline: str, run_id: str, params: dict[str, Any]) -> None:
        """`params` become the conf. Where the answer is lost, the run is looked for, and nothing is sent again."""
        conf = {as_sent(name): value for name, value in params.items()}
        await self._orders.trigger(as_sent(pipeline), as_sent(run_id), conf)

    async def retry_preview(self, pipeline: str, run_id: str) -> list[str]:
        """What a clear would clear, by Airflow's own dry run."""
        return await self._orders.retry_preview(as_sent(pipeline), as_sent(run_id))

    async def retry(self, pipeline: str, run_id: str) -> None:
        """Clear what did not succeed; dry run first, and nothing but this run may be in it."""
        await self._orders.retry(as_sent(pipeline), as_sent(run_id))

    async def cancel(self, pipeline: str, run_id: str) -> None:
        """Mark the run failed, which ends its tasks, with a note that it was cancelled."""
        await self._orders.cancel(as_sent(pipeline), as_sent(run_id))

    async def set_paused(self, pipeline: str, paused: bool) -> None:
        """Pause or unpause the DAG. Raises `not_found`."""
        await self._orders.set_paused(as_sent(pipeline), paused)

    async def approvals(self, pipeline: str, run_id: str) -> list[Approval]:
        """The tasks of a run that ask a person (3.1 and newer)."""
        return await self._orders.approvals(as_sent(pipeline), as_sent(run_id))

    async def approve(self, pipeline: str, run_id: str, comment: str) -> None:
        """Choose what approves, for each of them. Airflow keeps no comment."""
        await self._orders.approve(as_sent(pipeline), as_sent(run_id))

    async def aclose(self) -> None:
        """Nothing is held: the HTTP client is shared."""

    # ---- inside

    def _info(self, dag: Dag) -> PipelineInfo:
        note = "import error: its last good version runs" if dag.has_import_errors else ""
        return PipelineInfo(
            pipeline=identifier(dag.dag_id),
            schedule=dag.schedule,
            paused=bool(dag.is_paused),
            params=params_of(dag.params),
            note=note,
        )

    async def _found(self, opens: datetime, limit: int) -> list[DagRun]:
        """Newest first. The date of a run says little of when it runs: v1 calls the begin of its data interval so,
        which of a monthly one is a month ago, and a backfill or a cleared run is of any time."""
        date = "run_after" if await self._server.is_v2() else "execution_date"
        since = opens.isoformat()
        dated, open_, ended = await together(
            self._pages({"order_by": f"-{date}", f"{date}_gte": since}, limit),
            self._pages({"order_by": "-start_date", "state": ["running", "queued"]}, limit),
            self._pages({"order_by": "-end_date", "end_date_gte": since}, PAGE),
        )
        failed: list[DagRun] = []
        if len(ended) >= PAGE:
            failed = await self._pages({"order_by": "-end_date", "end_date_gte": since, "state": ["failed"]}, limit)
        found = {(run.dag_id, run.dag_run_id): run for run in (*dated, *ended, *failed, *open_)}
        return sorted(found.values(), key=_began, reverse=True)

    async def _pages(self, query: dict[str, Any], limit: int) -> list[DagRun]:
        """At most `limit` runs that `query` asks for, in its order."""
        found: list[DagRun] = []
        while len(found) < limit:
            asked = {**query, "limit": min(PAGE, limit - len(found)), "offset": len(found)}
            try:
                page = await self._server.get(path_of("dags", "~", "dagRuns"), DagRuns, asked)
            except BackendError as error:
                if error.kind == "not_found":
                    self._server.forget()
                raise
            found += page.dag_runs
            if is_last(len(page.dag_runs), len(found), page.total_entries):
                break
        return found

    def _remember(self, found: list[DagRun], opens: datetime) -> None:
        """Runs of earlier windows make history and usual durations longer than one window is."""
        now = {(run.dag_id, run.dag_run_id): run for run in found}
        before = [run for run in self._newest_first() if run.began is None or run.began >= opens]
        self._seen = {(run.dag_id, run.dag_run_id): run for run in before[:KEPT_RUNS]} | now

    def _newest_first(self) -> list[DagRun]:
        return sorted(self._seen.values(), key=_began, reverse=True)


def _began(run: DagRun) -> datetime:
    return run.began or datetime.min.replace(tzinfo=UTC)
