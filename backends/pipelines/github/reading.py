"""Reads of one repository that several parts of the adapter need; what cannot change any more is read once."""

from collections import OrderedDict
from collections.abc import Sequence
from urllib.parse import quote

from backends.errors import BackendError
from backends.identifiers import identifier
from backends.pipelines.github.api import PAGE, GitHubApi
from backends.pipelines.github.dispatch import Dispatches
from backends.pipelines.github.wire import ContentFile, Job, Jobs, Repository, Run, Runs, Workflow, Workflows
from backends.pipelines.github.workflow import WorkflowFile, read_workflow
from backends.text import clean

MAX_JOBS = 500
MAX_WORKFLOWS = 500
KEPT = 200
KEPT_LOGS = 30
KEPT_LOG_BYTES = 4 * 2**20


class Reading:
    """Caches by what identifies an attempt: what has ended does not change."""

    def __init__(self, server: GitHubApi, dispatches: Dispatches) -> None:
        self._server = server
        self._dispatches = dispatches
        self._jobs: OrderedDict[tuple[int, int], Sequence[Job]] = OrderedDict()
        self._files: OrderedDict[tuple[str, str], WorkflowFile] = OrderedDict()
        self._texts: OrderedDict[int, list[bytes]] = OrderedDict()

    async def workflows(self) -> list[Workflow]:
        """All of the repository."""
        found: list[Workflow] = []
        while len(found) < MAX_WORKFLOWS:
            params = {"per_page": PAGE, "page": len(found) // PAGE + 1}
            page = await self._server.get("/actions/workflows", Workflows, params)
            found += page.workflows
            if len(page.workflows) < PAGE:
                break
        return found

    async def workflow(self, pipeline: str) -> Workflow:
        """Raises `not_found`."""
        for workflow in await self.workflows():
            if identifier(workflow.pipeline) == pipeline:
                return workflow
        raise BackendError("not_found", clean(f"no workflow {pipeline}"), fix="`teal run list` names those there are")

    async def workflow_of(self, pipeline: str, run_id: str) -> Workflow:
        """The workflow of a run, also one that the repository does not list: it was deleted, or is of another
        repository. Raises `not_found`."""
        try:
            return await self.workflow(pipeline)
        except BackendError as missing:
            if missing.kind != "not_found" or not _is_number(run_id):
                raise
            run = await self._server.get(f"/actions/runs/{run_id}", Run)
            if identifier(run.file) != pipeline:
                raise
            return Workflow(id=run.workflow_id, name=run.file, path=run.path.partition("@")[0])

    async def page(self, number: int) -> Sequence[Run]:
        """A page of the runs of all workflows, newest first, by no filter: filtered lists lag behind."""
        params = {"per_page": PAGE, "page": number, "exclude_pull_requests": "true"}
        return (await self._server.get("/actions/runs", Runs, params)).workflow_runs

    async def in_state(self, word: str) -> Sequence[Run]:
        """The newest runs of a status or conclusion. Such a list lags behind by minutes: it adds to the pages."""
        params = {"per_page": PAGE, "status": word, "exclude_pull_requests": "true"}
        return (await self._server.get("/actions/runs", Runs, params)).workflow_runs

    async def last(self, workflow: Workflow) -> Sequence[Run]:
        """The last run of one workflow, if it ever ran."""
        params = {"per_page": 1, "exclude_pull_requests": "true"}
        return (await self._server.get(f"/actions/workflows/{workflow.id}/runs", Runs, params)).workflow_runs

    async def of_workflow(self, workflow_id: int) -> Sequence[Run]:
        """The newest runs of one workflow, by no filter."""
        params = {"per_page": PAGE, "exclude_pull_requests": "true"}
        return (await self._server.get(f"/actions/workflows/{workflow_id}/runs", Runs, params)).workflow_runs

    async def run(self, pipeline: str, run_id: str) -> Run:
        """Raises `not_found`."""
        found = await self.run_or_none(await self.workflow_of(pipeline, run_id), run_id)
        if found is None:
            words = clean(f"run {run_id} of {pipeline} was dispatched a moment ago, and is not there yet")
            raise BackendError("not_found", words, fix="look again in a minute")
        return found

    async def run_or_none(self, workflow: Workflow, run_id: str) -> Run | None:
        """By our id or GitHub's number; None for one that was dispatched a moment ago and is not shown yet."""
        try:
            dispatch = (await self._dispatches.all()).get(run_id)
        except BackendError:
            if not _is_number(run_id):
                raise  # whether there is such a run is not known
            dispatch = None
        if dispatch is not None and dispatch.workflow != workflow.id:
            dispatch = None
        number = await self._dispatches.find(dispatch) if dispatch is not None else None
        if number is None and _is_number(run_id):
            number = int(run_id)
        missing = BackendError("not_found", clean(f"no run {run_id} of {workflow.pipeline}"))
        try:
            if number is not None:
                run = await self._server.get(f"/actions/runs/{number}", Run)
                if run.workflow_id != workflow.id:
                    raise missing
                return run
        except BackendError as error:
            if error.kind != "not_found" or dispatch is None or not dispatch.may_appear:
                raise
            return None
        if dispatch is not None and dispatch.may_appear:
            return None
        raise missing

    async def jobs(self, run: Run) -> Sequence[Job]:
        """Of its newest attempt, with those that an earlier one left as they were."""
        key = run.id, run.run_attempt
        if (kept := self._jobs.get(key)) is not None:
            return kept
        found: list[Job] = []
        while len(found) < MAX_JOBS:
            params = {"filter": "latest", "per_page": PAGE, "page": len(found) // PAGE + 1}
            page = await self._server.get(f"/actions/runs/{run.id}/jobs", Jobs, params)
            found += page.jobs
            if len(page.jobs) < PAGE:
                break
        if run.is_ended and all(job.is_ended for job in found):
            self._jobs[key] = found
            if len(self._jobs) > KEPT:
                self._jobs.popitem(last=False)
        return found

    async def log(self, job: Job) -> list[bytes]:
        """The last lines of a job that has ended; none where GitHub has deleted it, or it ran nothing."""
        if (kept := self._texts.get(job.id)) is not None:
            return kept
        try:
            lines = await self._server.log(job.id)
        except BackendError as error:
            if error.kind != "not_found":
                raise
            return []
        if sum(map(len, lines)) < KEPT_LOG_BYTES:
            self._texts[job.id] = lines
            if len(self._texts) > KEPT_LOGS:
                self._texts.popitem(last=False)
        return lines

    async def file_of(self, run: Run) -> WorkflowFile:
        """The workflow file as that run had it; empty where it cannot be read, which costs the order of its jobs."""
        path = run.path.partition("@")[0]
        key = path, run.head_sha
        if (kept := self._files.get(key)) is not None:
            return kept
        found = await self.file(path, run.head_sha)
        self._files[key] = found
        if len(self._files) > KEPT:
            self._files.popitem(last=False)
        return found

    async def file(self, path: str, ref: str) -> WorkflowFile:
        """The workflow file at a commit or a branch; empty where there is none, or the token may not read it."""
        if not path.startswith(".github/"):
            return WorkflowFile()
        try:
            found = await self._server.get(f"/contents/{quote(path)}", ContentFile, {"ref": ref})
        except BackendError as error:
            if error.kind not in ("not_found", "auth"):
                raise
            return WorkflowFile()
        return read_workflow(found.content)

    async def default_branch(self) -> str:
        """Of the repository."""
        return (await self._server.get("", Repository)).default_branch


def _is_number(run_id: str) -> bool:
    return run_id.isascii() and run_id.isdecimal() and len(run_id) < 20
