"""AWS Glue: job runs of many jobs, their attempts as one row, their logs, and orders to them.

```toml
[[contexts.production.pipelines]]
type = "glue"
jobs = ["prod-*"]                       # globs; default: all
aws = { region = "eu-central-1" }
```
Glue has no list over all jobs: what runs, or was started from here, is read each time, other jobs in their turn; a row
that is older says so. It has no idempotency either: a run that is started from here has its id in the argument
`--teal_run_id`, by which it is looked for where the answer is lost, and never started again.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from backends.aws.access import AwsAccess
from backends.aws.account import account_of
from backends.aws.wire import told
from backends.aws.witness import Look
from backends.errors import BackendError
from backends.identifiers import as_sent, identifier
from backends.models import LogEntry, PipelineRun, TaskRun, TimelineEvent
from backends.pipelines.following import follow_by_reading
from backends.pipelines.glue.events import crawl_of, firings_of
from backends.pipelines.glue.logs import logs_of
from backends.pipelines.glue.models import model_of, task_of
from backends.pipelines.glue.orders import GlueOrders
from backends.pipelines.glue.reading import Reading
from backends.pipelines.glue.wire import Crawler, JobRun, Run, Trigger
from backends.pipelines.groups import Group, aged, newest, shown
from backends.ports import Approval, PipelineInfo, RunInputs
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean
from backends.together import together

FOLLOW_S = 3.0


class GlueConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs of an account and region.

    jobs: globs of their names.
    aws: how AWS is reached.
    timeout: of one request.
    """

    jobs: tuple[str, ...] = ("*",)
    aws: AwsAccess = AwsAccess()
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if not self.jobs or not all(self.jobs):
            raise ValueError("jobs: one or more, none of them empty")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")


class GluePipelines:
    """`Pipelines` of the jobs of one account and region."""

    api = 1
    Config = GlueConfig

    def __init__(self, config: GlueConfig, context: AdapterContext) -> None:
        self._name = context.name
        self._account = account_of(config.aws, context.base_dir, timeout_s=config.timeout)
        self._reading = Reading(self._account, config.jobs)
        self._orders = GlueOrders(self._account, self._reading)
        self._region = clean(config.aws.region, 40)

    # ---- reading

    async def runs(self, *, since: datetime | None = None, limit: int = 100) -> list[PipelineRun]:
        """The newest `limit` runs, of those of each job that Glue gave last; always what is open, and the last of each
        job. Attempts of a run are one row."""
        known = dict(await self._reading.read())  # as it is now: some of it may be read anew meanwhile
        ages = {job: self._reading.turns.age_s(job) for job in known}

        def made(job: str, run: Run) -> PipelineRun:
            return aged(known[job].shown(run, partial(self._model, job, group=known[job])), ages[job])

        return await shown(newest(known, since=since, limit=limit), made)

    async def run(self, pipeline: str, run_id: str) -> PipelineRun:
        """One run now. Raises `not_found`."""
        job = as_sent(pipeline)
        run = await self._reading.run(job, as_sent(run_id))
        return self._model(job, run, group=await self._reading.fresh(job))

    async def good_before(self, pipeline: str, run_id: str, limit: int = 5) -> list[PipelineRun]:
        """Of the newest runs of the job those that succeeded and began before that one. Raises `not_found`."""
        job = as_sent(pipeline)
        run, group = await self._reading.run(job, as_sent(run_id)), await self._reading.fresh(job)
        good = [each for each in group.runs if each.state == "success" and each.began < run.began]
        return [self._model(job, each, group=group) for each in good[:limit]]

    async def inputs(self, pipeline: str, run_id: str) -> RunInputs:
        """The arguments that it was started with, beside those of its job; Glue keeps no version of a script. Raises
        `not_found`."""
        run = await self._reading.run(as_sent(pipeline), as_sent(run_id))
        return RunInputs(params={name.removeprefix("--"): value for name, value in run.asked.items()})

    async def tasks(self, pipeline: str, run_id: str) -> list[TaskRun]:
        """The runs of other jobs that a trigger waited for, and the job itself: Glue shows nothing inside of a job."""
        job = as_sent(pipeline)
        run = await self._reading.run(job, as_sent(run_id))
        before = await self._before(job, run)
        names = tuple(identifier(attempt.job_name) for attempt in before)
        return [*(task_of(each.job_name, each, ()) for each in before), task_of(job, run.last, names)]

    async def task_log(self, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        """What the driver wrote to the groups `/output` and `/error`; nothing where the job writes elsewhere."""
        job = as_sent(pipeline)
        run = await self._reading.run(job, as_sent(run_id))
        every = [*await self._before(job, run), *run.attempts]
        wanted = [each for each in every if task is None or identifier(each.job_name or job) == task]
        if not wanted:
            raise BackendError("not_found", clean(f"run {run_id} of {pipeline} has no task {task}"))
        return await logs_of(self._account, job, wanted)

    def follow_log(self, pipeline: str, run_id: str, task: str | None = None) -> AsyncIterator[LogEntry]:
        """As the port says; CloudWatch has a line some seconds after it was written."""

        async def ended() -> bool:
            return not (await self._reading.run(as_sent(pipeline), as_sent(run_id))).is_open

        return follow_by_reading(lambda: self.task_log(pipeline, run_id, task), ended, FOLLOW_S)

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """What triggers have started, of the runs that were read, and the last crawl of each crawler: who started and
        stopped what, only CloudTrail knows."""
        answer, known = await together(self._account.pages("glue", "get_crawlers", "Crawlers"), self._reading.known())
        found = [
            *(crawl_of(crawler, self._name) for crawler in told(answer, list[Crawler], self._account.where)),
            *firings_of(known, self._name, since),
        ]
        within = (event for event in found if event is not None and since <= event.at <= until)
        return sorted(within, key=lambda event: (event.at, event.ref))

    async def pipelines(self) -> list[PipelineInfo]:
        """All jobs, without their params."""
        names, (triggers, note) = await together(self._reading.jobs(), self._triggers())
        return [_info(name, triggers, note) for name in names]

    async def pipeline(self, pipeline: str) -> PipelineInfo:
        """One job with its default arguments. Raises `not_found`."""
        job = await self._reading.job(as_sent(pipeline))
        info = _info(job.name, *(await self._triggers()))
        return replace(info, params=job.params(), note="; ".join(filter(None, (job.note(), info.note))))

    # ---- orders

    async def trigger(self, pipeline: str, run_id: str, params: dict[str, Any]) -> None:
        """Start the job; `params` become arguments, which are text. Where the answer is lost the run is looked for, and
        otherwise it is said to be in doubt. Raises `conflict` where as many run as may."""
        await self._orders.start(as_sent(pipeline), run_id, params)

    async def retry_preview(self, pipeline: str, run_id: str) -> list[str]:
        """The job itself: it runs again as a whole."""
        job = as_sent(pipeline)
        run = await self._orders.ended_run(job, as_sent(run_id))
        return [] if run.last.state == "success" else [identifier(job)]

    async def retry(self, pipeline: str, run_id: str) -> None:
        """Start the run again as its next attempt, with the arguments that it had."""
        await self._orders.retry(as_sent(pipeline), as_sent(run_id))

    async def cancel(self, pipeline: str, run_id: str) -> None:
        """Ask Glue to stop it; it is STOPPING for a while."""
        await self._orders.stop(as_sent(pipeline), as_sent(run_id))

    async def set_paused(self, pipeline: str, paused: bool) -> None:
        """Stop or start the triggers that start the job by the clock, and whatever else they start. Raises `config`
        where there is none."""
        await self._orders.set_paused(as_sent(pipeline), paused)

    async def approvals(self, pipeline: str, run_id: str) -> list[Approval]:
        """None: nothing in Glue waits for a person. Raises `not_found`."""
        await self._reading.run(as_sent(pipeline), as_sent(run_id))
        return []

    async def approve(self, pipeline: str, run_id: str, comment: str) -> None:
        """Raises `not_found`, else `conflict`: nothing waits."""
        await self._reading.run(as_sent(pipeline), as_sent(run_id))
        raise BackendError("conflict", clean(f"nothing in run {run_id} of {pipeline} waits for an approval"))

    def looks(self) -> list[Look]:
        """What is asked for events, params and one run."""
        found = [Look("glue", "get_triggers", {"MaxResults": 1}), Look("glue", "get_crawlers", {"MaxResults": 1})]
        return [*found, *(Look("glue", "get_job", {"JobName": job}) for job in self._reading.known_jobs()[:1])]

    async def aclose(self) -> None:
        """The account is shared; nothing of its own is open."""

    # ---- inside

    async def _triggers(self) -> tuple[list[Trigger], str]:
        """The triggers, and what is to be said where we may not look at them."""
        try:
            return await self._reading.triggers(), ""
        except BackendError as error:
            if error.kind != "auth":
                raise
            return [], f"what starts it is not known: {error.message}"

    def _model(self, job: str, run: Run, *, group: Group[Run]) -> PipelineRun:
        return model_of(job, run, group, self._name, self._region)

    async def _before(self, job: str, run: Run) -> list[JobRun]:
        """The runs that a trigger waited for, as far as they can be read."""
        own = await self._reading.attempt(job, run.last.id)
        found = []
        for each in own.predecessor_runs:
            try:
                attempt = await self._reading.attempt(each.job_name, each.run_id)
            except BackendError as error:
                if error.kind != "not_found":
                    raise
                continue
            found.append(attempt)
        return found


def _info(job: str, triggers: list[Trigger], note: str) -> PipelineInfo:
    mine = [trigger for trigger in triggers if trigger.starts(job)]
    return PipelineInfo(
        pipeline=identifier(job),
        schedule=clean(", ".join(trigger.schedule for trigger in mine), 200),
        paused=bool(mine) and all(trigger.rests for trigger in mine),
        note=note,
    )
