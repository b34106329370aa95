"""Which jobs there are and what ran: Glue lists no runs over all jobs, so each job is a call, in its turn."""

import asyncio
import time
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from backends.aws.account import MAX_PAGES, Account
from backends.aws.wire import told
from backends.errors import BackendError
from backends.pipelines.glue.wire import Job, JobRun, OneJob, OneRun, Run, RunsPage, Trigger, folded
from backends.pipelines.groups import Group
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
        self._known: dict[str, Group[Run]] = {}
        self._reads = asyncio.Lock()
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

    async def read(self) -> dict[str, Group[Run]]:
        """The runs of all jobs, of which those that are due are read now. Raises BackendError."""
        async with self._reads:
            names = await self.jobs()
            there = set(names)
            self._known = {name: group for name, group in self._known.items() if name in there}
            await self.turns.refresh(names, self.fresh, self._known)
            return self._known

    async def known(self) -> dict[str, Group[Run]]:
        """The same as they were read last; now, where they never were. Raises BackendError."""
        async with self._reads:
            known = self._known
        return known or await self.read()

    async def fresh(self, job: str) -> Group[Run]:
        """The newest runs of one job now. Raises BackendError, `not_found`."""
        before = self._known.get(job)

        def made(answer: dict[str, Any]) -> Group[Run]:
            group = Group(folded(told(answer, RunsPage, self._account.where).job_runs))
            return before if before is not None and before.runs == group.runs else group

        group = await self._account.first("glue", "get_job_runs", "JobRuns", made, JobName=job, MaxResults=RUNS)
        self._known[job] = group
        self.turns.read(job, is_open=group.is_open, is_empty=not group.runs)
        return group

    async def run_or_none(self, job: str, run_id: str) -> Run | None:
        """One run now, by Glue's id or by the one that it was started under. Raises BackendError."""
        if run_id.startswith("jr_"):
            try:
                first = await self.attempt(job, run_id)
            except BackendError as error:
                if error.kind == "not_found":
                    return None
                raise
            others = [run for run in (await self.fresh(job)).runs if run.last.root == first.root]
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
