"""Which jobs there are and what ran: Glue lists no runs over all jobs, so each job is a call, in its turn."""

import time
from collections.abc import AsyncIterator, Iterable
from fnmatch import fnmatchcase

from msgspec import Struct

from backends.aws.account import MAX_PAGES, Account
from backends.aws.wire import told
from backends.errors import BackendError
from backends.pipelines.glue.wire import Job, JobRun, OneJob, OneRun, Run, RunsPage, Trigger, folded
from backends.pipelines.turns import Turns
from backends.text import clean

RUNS = 50
JOBS_EVERY_S, TRIGGERS_EVERY_S = 60.0, 60.0
SEARCHED_PAGES = 4


class _Names(Struct, frozen=True, rename="pascal"):
    job_names: tuple[str, ...]
    next_token: str = ""


class Reading:
    """`names`: globs of the jobs that are looked at."""

    def __init__(self, account: Account, names: tuple[str, ...]) -> None:
        self._account = account
        self._names = names
        self.turns: Turns[str] = Turns()
        self._known: dict[str, list[Run]] = {}
        self._jobs: tuple[float, list[str]] | None = None
        self._triggers: tuple[float, list[Trigger]] | None = None

    def known_jobs(self) -> list[str]:
        """Those that were listed last."""
        return [] if self._jobs is None else self._jobs[1]

    async def jobs(self) -> list[str]:
        """The names of all that are looked at. Raises BackendError."""
        if self._jobs is None or time.monotonic() - self._jobs[0] > JOBS_EVERY_S:
            names = [name async for name in self._listed()]
            chosen = [name for name in names if any(fnmatchcase(name, wanted) for wanted in self._names)]
            self._jobs = (time.monotonic(), sorted(chosen))
        return self._jobs[1]

    async def _listed(self) -> AsyncIterator[str]:
        token: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            page = told(await self._account.read("glue", "list_jobs", **token), _Names, self._account.where)
            for name in page.job_names:
                yield name
            if not page.next_token:
                return
            token = {"NextToken": page.next_token}

    async def job(self, name: str) -> Job:
        """One as it is defined. Raises `not_found`."""
        if not any(fnmatchcase(name, wanted) for wanted in self._names):
            raise BackendError("not_found", f"no job {clean(name, 200)} among `jobs`", fix="`teal run trigger`")
        return told(await self._account.read("glue", "get_job", JobName=name), OneJob, self._account.where).job

    async def triggers(self, *, fresh: bool = False) -> list[Trigger]:
        """All. Raises BackendError."""
        if fresh or self._triggers is None or time.monotonic() - self._triggers[0] > TRIGGERS_EVERY_S:
            found = await self._account.pages("glue", "get_triggers", "Triggers")
            self._triggers = (time.monotonic(), told(found, list[Trigger], self._account.where))
        return self._triggers[1]

    async def read(self) -> dict[str, list[Run]]:
        """The runs of all jobs, newest first, of which those that are due are read now. Raises BackendError."""
        names = await self.jobs()
        there = set(names)
        self._known = {name: runs for name, runs in self._known.items() if name in there}
        await self.turns.refresh(names, self.fresh, self._known)
        return self._known

    async def fresh(self, job: str) -> list[Run]:
        """The newest runs of one job now. Raises BackendError, `not_found`."""
        answer = await self._account.read("glue", "get_job_runs", JobName=job, MaxResults=RUNS)
        runs = folded(told(answer, RunsPage, self._account.where).job_runs)
        self._known[job] = runs
        self.turns.read(job, is_open=any(run.is_open for run in runs), is_empty=not runs)
        return runs

    async def run_or_none(self, job: str, run_id: str) -> Run | None:
        """One run now, by Glue's id or by the one that it was started under. Raises BackendError."""
        if run_id.startswith("jr_"):
            try:
                first = await self.attempt(job, run_id)
            except BackendError as error:
                if error.kind == "not_found":
                    return None
                raise
            others = [run for run in await self.fresh(job) if run.last.root == first.root]
            return others[0] if others else Run((first,))
        token: dict[str, str] = {}
        attempts: list[JobRun] = []
        for _ in range(SEARCHED_PAGES):
            answer = await self._account.read("glue", "get_job_runs", JobName=job, MaxResults=200, **token)
            page = told(answer, RunsPage, self._account.where)
            attempts += page.job_runs
            found = next((run for run in folded(attempts) if run.run_id == run_id), None)
            if found is not None or not page.next_token:
                return found
            token = {"NextToken": page.next_token}
        return None

    async def run(self, job: str, run_id: str) -> Run:
        """The same. Raises `not_found`."""
        found = await self.run_or_none(job, run_id)
        if found is None:
            words = f"no run {clean(run_id, 200)} of {clean(job, 200)}"
            raise BackendError("not_found", words, fix="`teal run list`; Glue keeps runs for 90 days")
        return found

    async def attempt(self, job: str, glue_id: str) -> JobRun:
        """One attempt with the runs that it waited for. Raises `not_found`."""
        answer = await self._account.read("glue", "get_job_run", JobName=job, RunId=glue_id, PredecessorsIncluded=True)
        return told(answer, OneRun, self._account.where).job_run

    def touched(self, job: str) -> None:
        """Something of that job was started or ended from here."""
        self.turns.touched(job)


def newest_first(known: Iterable[tuple[str, list[Run]]]) -> list[tuple[str, Run]]:
    """All runs of all jobs."""
    every = [(name, run) for name, runs in known for run in runs]
    return sorted(every, key=lambda pair: (pair[1].began, pair[1].last.id), reverse=True)
