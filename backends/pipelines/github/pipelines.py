"""GitHub Actions of one repository, on github.com or GitHub Enterprise.

```toml
[[contexts.production.pipelines]]
name = "github"
type = "github-actions"
repo = "example/analytics"
auth = { token = { env = "GH_TOKEN" } }          # or { command = ["gh", "auth", "token"] }; asked anew after a 401
url = "https://github.example.com/api/v3"        # of GitHub Enterprise; default: https://api.github.com
ref = "main"                                     # what is dispatched; default: the default branch
window = "7d"                                    # how far back runs are looked at
failed_jobs = 5                                  # of so many newest failures the job and the step are named
run_id_input = "teal_run_id"                     # the input, where a workflow has it, that is given the id of the run
```
A workflow is called by its file (`deploy.yml`). Runs are listed without any filter: filtered lists of GitHub lag, and
leave some out. A run that was started from here keeps the id that it was given, on this host; with `run-name: ${{
inputs.teal_run_id }}` it is known for certain also where GitHub's answer was lost. Steps have no log of their own, and
a job has one once it has ended.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from backends.errors import BackendError
from backends.identifiers import as_sent, identifier
from backends.models import LogEntry, PipelineRun, TaskRun, TimelineEvent
from backends.pipelines.following import follow_by_reading
from backends.pipelines.github.api import PAGE, GitHubAccess, GitHubApi
from backends.pipelines.github.dispatch import DISPATCH, Dispatches
from backends.pipelines.github.events import events_of_runs, read_deployments
from backends.pipelines.github.models import (
    OLDEST,
    below,
    job_of,
    labels,
    log_entry,
    model_of,
    ordered,
    tasks_of,
    with_jobs,
)
from backends.pipelines.github.orders import GitHubOrders
from backends.pipelines.github.reading import Reading
from backends.pipelines.github.wire import Job, Run, Workflow
from backends.pipelines.telling import most_telling, unread
from backends.ports import Approval, PipelineInfo, RunInputs
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean
from backends.together import together

MAX_PAGES = 10
KEPT_RUNS = 3000
LASTS_AT_ONCE = 20
AGAIN = ("in_progress", "queued", "waiting", "failure")
MAX_LOG_JOBS = 20
FOLLOW_S = 3.0
SIDE_BY_SIDE = 4


class GitHubActionsConfig(GitHubAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The repository, and how much of it is looked at.

    ref: the branch or tag that is dispatched; by default the default branch.
    window: how far back runs are looked at.
    failed_jobs: of so many newest failures the job and the step are named.
    run_id_input: the input that is given the id of the run, where a workflow has it.
    """

    ref: str = ""
    window: Duration = Duration(7 * 86400)
    failed_jobs: Annotated[int, msgspec.Meta(ge=0, le=50)] = 5
    run_id_input: str = "teal_run_id"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window <= 0:
            raise ValueError("window: more than 0s")


class GitHubActionsPipelines:
    """`Pipelines` of one repository."""

    api = 1
    Config = GitHubActionsConfig

    def __init__(self, config: GitHubActionsConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._server = GitHubApi(config, context)
        path = context.state_dir / f"{context.name}-{config.repo.replace('/', '-')}.dispatches.json"
        self._dispatches = Dispatches(self._server, path, config.run_id_input)
        self._reading = Reading(self._server, self._dispatches)
        self._orders = GitHubOrders(self._server, self._reading)
        self._seen: dict[int, Run] = {}

    # ---- reading

    async def runs(self, *, since: datetime | None = None, limit: int = 100) -> list[PipelineRun]:
        """The newest `limit` runs of the window, and, since one of long ago may have been run again, those that are
        open or failed. Of these, those that began or ended after `since`, the open ones and the last of each workflow
        are returned."""
        opens = min(filter(None, (datetime.now(UTC) - timedelta(seconds=self._config.window), since)))
        workflows = await self._reading.workflows()
        found: list[Run] = []
        for number in range(1, MAX_PAGES + 1):
            page = await self._reading.page(number)
            found += page
            if len(page) < PAGE or len(found) >= max(limit, PAGE) or (page[-1].began or OLDEST) < opens:
                break
        found += await self._last_of_others(workflows, {run.workflow_id for run in found})
        found += await self._again({run.id for run in found}, opens)
        self._remember(found)
        wanted: list[Run] = []
        last: set[int] = set()
        for number, run in enumerate(sorted(found, key=_began, reverse=True)):
            is_last = run.workflow_id not in last
            last.add(run.workflow_id)
            after = number < limit if since is None else max(_began(run), run.ended or OLDEST) >= since
            if is_last or not run.is_ended or after:
                wanted.append(run)
        return await self._models(wanted)

    async def run(self, pipeline: str, run_id: str) -> PipelineRun:
        """One run now. Raises `not_found`. One that was dispatched a moment ago may not be there yet: it is queued."""
        found = await self._reading.run_or_none(await self._reading.workflow_of(pipeline, run_id), run_id)
        if found is None:
            return PipelineRun(
                ref=f"{self._name}/{pipeline}/{clean(run_id, 250)}", backend=self._name, pipeline=pipeline,
                run_id=clean(run_id, 250), state="queued", raw_state="dispatched", note="GitHub shows no run of it yet",
            )  # fmt: skip
        self._remember([found])
        return (await self._models([found]))[0]

    async def good_before(self, pipeline: str, run_id: str, limit: int = 5) -> list[PipelineRun]:
        """Of the newest hundred of the workflow those that succeeded on the same branch and began before that run.
        Raises `not_found`."""
        run = await self._reading.run(pipeline, run_id)
        good = [
            each
            for each in await self._reading.of_workflow(run.workflow_id)
            if each.state == "success" and each.head_branch == run.head_branch and _began(each) < _began(run)
        ]
        self._remember(good)
        return await self._models(sorted(good, key=_began, reverse=True)[:limit])

    async def inputs(self, pipeline: str, run_id: str) -> RunInputs:
        """Its branch and commit; the inputs of a dispatch are known where it was sent from here: GitHub tells none.
        Raises `not_found`."""
        run = await self._reading.run(pipeline, run_id)
        code = clean(f"{run.head_branch or ''} {run.head_sha[:7]}".strip(), 120)
        if run.event != DISPATCH:
            return RunInputs(params={}, code=code)
        return RunInputs(params=await self._dispatches.inputs_of(run.id), code=code)

    async def tasks(self, pipeline: str, run_id: str) -> list[TaskRun]:
        """Jobs, each followed by its steps. Raises `not_found`."""
        run = await self._reading.run(pipeline, run_id)
        jobs, file = await together(self._reading.jobs(run), self._reading.file_of(run))
        return tasks_of(jobs, file.needs)

    async def task_log(self, pipeline: str, run_id: str, task: str | None = None) -> list[LogEntry]:
        """The log of the newest attempt. Raises `not_found`, also for a job that has not ended: it has none before."""
        run = await self._reading.run(pipeline, run_id)
        jobs = await self._reading.jobs(run)
        if task is None:
            ended = [job for job in jobs if job.is_ended and job.state != "skipped"]
            read = most_telling(ended, lambda job: job.state == "failed", MAX_LOG_JOBS)
            return [*unread(pipeline, len(ended), len(read), "jobs"), *await self._logs(read)]
        job = job_of(task, jobs)
        if job is None:
            raise BackendError("not_found", clean(f"run {run_id} of {pipeline} has no job {task}"))
        if not job.is_ended:
            words = clean(f"job {job.name} has not ended: GitHub has its log once it has")
            raise BackendError("not_found", words, fix=f"see it run at {clean(run.html_url, 200)}")
        return await self._logs([job])

    def follow_log(self, pipeline: str, run_id: str, task: str | None = None) -> AsyncIterator[LogEntry]:
        """Job after job as they end: GitHub has no log of a job that runs."""

        async def job() -> Job | None:
            jobs = await self._reading.jobs(await self._reading.run(pipeline, run_id))
            return job_of(task, jobs) if task is not None else None

        async def ended() -> bool:
            if (await self._reading.run(pipeline, run_id)).is_ended:
                return True
            found = await job() if task is not None else None
            return found is not None and found.is_ended

        async def read() -> list[LogEntry]:
            found = await job() if task is not None else None
            if found is not None and not found.is_ended:
                return []
            return await self.task_log(pipeline, run_id, task)

        return follow_by_reading(read, ended, FOLLOW_S)

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """Who dispatched and reran what (of the runs that were looked at), and the deployments of the repository."""
        names = {workflow.id: workflow.pipeline for workflow in await self._reading.workflows()}
        ids, _ = await self._ids()
        found = events_of_runs(self._seen.values(), names, ids, self._name)
        found += await read_deployments(self._server, self._name, since, until)
        within = (event for event in found if since <= event.at <= until)
        return sorted(within, key=lambda event: (event.at, event.ref))

    async def pipelines(self) -> list[PipelineInfo]:
        """All workflows, without their inputs."""
        low = str(self._server.limit) if self._server.limit is not None and self._server.limit.is_low else ""
        return [
            PipelineInfo(pipeline=identifier(workflow.pipeline), paused=workflow.is_paused, note=low)
            for workflow in await self._reading.workflows()
        ]

    async def pipeline(self, pipeline: str) -> PipelineInfo:
        """One workflow with the inputs that its file declares. Raises `not_found`."""
        workflow = await self._reading.workflow(pipeline)
        file = await self._reading.file(workflow.path, await self._ref())
        own = tuple(param for param in file.inputs if param.name != self._config.run_id_input)
        note = "" if file.is_dispatched else "it has no workflow_dispatch: GitHub starts it on events only"
        return PipelineInfo(
            pipeline=identifier(workflow.pipeline),
            schedule=file.schedule,
            paused=workflow.is_paused,
            params=own,
            note=note,
        )  # fmt: skip

    # ---- orders

    async def trigger(self, pipeline: str, run_id: str, params: dict[str, Any]) -> None:
        """Dispatch the workflow; `params` become its inputs, which are text. Raises `config` for what it refuses."""
        workflow = await self._reading.workflow(pipeline)
        ref = await self._ref()
        inputs = {as_sent(name): _text(value) for name, value in params.items()}
        file = await self._reading.file(workflow.path, ref)
        if any(param.name == self._config.run_id_input for param in file.inputs):
            inputs[self._config.run_id_input] = run_id
        await self._dispatches.trigger(workflow, run_id, ref, inputs)

    async def retry_preview(self, pipeline: str, run_id: str) -> list[str]:
        """The jobs that failed or were cancelled, and those that need them."""
        run = await self._orders.ended_run(pipeline, run_id)
        if run.state in ("success", "skipped"):
            return []
        jobs, file = await together(self._reading.jobs(run), self._reading.file_of(run))
        bad = {job.id for job in jobs if job.state not in ("success", "skipped")}
        again = below({job.name for job in jobs if job.id in bad}, jobs, file.needs)
        doubled, shown = {job.name for job in jobs if job.id in bad}, labels(jobs)
        wanted = (job for job in ordered(jobs, file.needs) if job.name in again)
        return [shown[job.id] for job in wanted if job.id in bad or job.name not in doubled]

    async def retry(self, pipeline: str, run_id: str) -> None:
        """Run the failed jobs again, in a new attempt of the same run."""
        await self._orders.retry(pipeline, run_id)

    async def cancel(self, pipeline: str, run_id: str) -> None:
        """GitHub asks the runners to stop; jobs with `if: always()` still run."""
        await self._orders.cancel(pipeline, run_id)

    async def set_paused(self, pipeline: str, paused: bool) -> None:
        """Disable or enable the workflow: a disabled one cannot be dispatched either. Raises `not_found`."""
        workflow = await self._reading.workflow(pipeline)
        await self._server.write("PUT", f"/actions/workflows/{workflow.id}/{'disable' if paused else 'enable'}")

    async def approvals(self, pipeline: str, run_id: str) -> list[Approval]:
        """The environments that wait for a review."""
        return await self._orders.approvals(pipeline, run_id)

    async def approve(self, pipeline: str, run_id: str, comment: str) -> None:
        """Approve those that this token may approve."""
        await self._orders.approve(pipeline, run_id, comment)

    async def aclose(self) -> None:
        """Nothing is held: the HTTP client is shared."""

    # ---- inside

    async def _ref(self) -> str:
        return self._config.ref or await self._reading.default_branch()

    async def _ids(self) -> tuple[dict[int, str], str]:
        """GitHub's numbers of the runs that were started from here, to their ids; and why nobody knows, where so."""
        try:
            known = await self._dispatches.all()
        except BackendError as error:
            return {}, f"by which id it was started from here is not known: {error.message}"
        return {each.number: each.run_id for each in known.values() if each.number is not None}, ""

    async def _last_of_others(self, workflows: Sequence[Workflow], seen: set[int]) -> list[Run]:
        """The last run of each workflow that is in no page; of many, those that were never seen first."""
        if self._server.limit is not None and self._server.limit.is_low:
            return [run for run in self._seen.values() if run.workflow_id not in seen]
        known = {run.workflow_id for run in self._seen.values()}
        missing = sorted((each for each in workflows if each.id not in seen), key=lambda each: each.id in known)
        limit = asyncio.Semaphore(SIDE_BY_SIDE)

        async def last(workflow: Workflow) -> Sequence[Run]:
            async with limit:
                return await self._reading.last(workflow)

        return [run for runs in await together(*map(last, missing[:LASTS_AT_ONCE])) for run in runs]

    async def _again(self, known: set[int], opens: datetime) -> list[Run]:
        """Runs of before these pages that go on, or that began or failed in the window: lists are in the order in
        which runs were made, whatever was run again since."""
        if self._server.limit is not None and self._server.limit.is_low:
            return []
        some = await together(*(self._reading.in_state(word) for word in AGAIN))
        runs = {run.id: run for each in some for run in each if run.id not in known}
        return [run for run in runs.values() if not run.is_ended or max(_began(run), run.ended or OLDEST) >= opens]

    def _remember(self, found: Sequence[Run]) -> None:
        self._seen |= {run.id: run for run in found}
        if len(self._seen) > KEPT_RUNS:
            newest = sorted(self._seen.values(), key=_began, reverse=True)[:KEPT_RUNS]
            self._seen = {run.id: run for run in newest}

    async def _models(self, runs: Sequence[Run]) -> list[PipelineRun]:
        """Newest first, those that failed or are open with their jobs."""
        now, (ids, trouble) = datetime.now(UTC), await self._ids()
        names = {workflow.id: workflow.pipeline for workflow in await self._reading.workflows()}
        groups: dict[int, list[Run]] = {}
        for run in sorted(self._seen.values(), key=_began, reverse=True):
            groups.setdefault(run.workflow_id, []).append(run)
        detailed = await self._detailed(runs)
        found = []
        for run in runs:
            pipeline = identifier(names.get(run.workflow_id) or run.file)
            model = model_of(run, groups[run.workflow_id], self._name, pipeline, ids.get(run.id, str(run.id)), now)
            if trouble and run.event == DISPATCH:
                model = msgspec.structs.replace(model, note="; ".join(filter(None, (model.note, trouble))))
            found.append(with_jobs(model, detailed[run.id]) if run.id in detailed else model)
        return found

    async def _detailed(self, runs: Sequence[Run]) -> dict[int, Sequence[Job]]:
        if self._server.limit is not None and self._server.limit.is_low:
            return {}
        wanted = [run for run in runs if run.state == "failed"][: self._config.failed_jobs]
        wanted += [run for run in runs if run.state in ("running", "waiting")][: self._config.failed_jobs]
        limit = asyncio.Semaphore(SIDE_BY_SIDE)

        async def jobs(run: Run) -> Sequence[Job] | None:
            async with limit:
                try:
                    return await self._reading.jobs(run)
                except BackendError:
                    return None  # they only say more of it

        found = await together(*map(jobs, wanted))
        return {run.id: each for run, each in zip(wanted, found, strict=True) if each is not None}

    async def _logs(self, jobs: Sequence[Job]) -> list[LogEntry]:
        limit = asyncio.Semaphore(SIDE_BY_SIDE)

        async def lines(job: Job) -> list[LogEntry]:
            async with limit:
                return [log_entry(line, job.name) for line in await self._reading.log(job)]

        entries = [entry for found in await together(*map(lines, jobs)) for entry in found]
        timed: list[tuple[int, LogEntry]] = []
        at = 0
        for entry in entries:  # a line without a time stays with the one before it
            at = int(entry.at_ns) if entry.at_ns else at
            timed.append((at, entry))
        return [entry for _, entry in sorted(timed, key=lambda pair: pair[0])]


def _began(run: Run) -> datetime:
    return run.began or OLDEST


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
