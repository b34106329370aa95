"""Orders to Glue: each sent once. Glue has no idempotency, so what was not answered is looked for."""

import asyncio
from typing import Any

from backends.aws.account import Account
from backends.aws.lost import is_lost, unless_done
from backends.aws.wire import told
from backends.errors import BackendError
from backends.pipelines.glue.reading import Reading
from backends.pipelines.glue.wire import RUN_ID_ARGUMENT, Run, StopAnswer, Trigger, arguments_of
from backends.text import clean

LOOK_EVERY_S = 1.0
LOOKS = 8
_FULL = ("ConcurrentRunsExceededException", "ResourceNumberLimitExceededException")


class GlueOrders:
    """Start, retry, stop, pause."""

    def __init__(self, account: Account, reading: Reading) -> None:
        self._account = account
        self._reading = reading
        self._starting = asyncio.Lock()

    async def start(self, job: str, run_id: str, params: dict[str, Any]) -> None:
        """Raises `not_found`, `conflict`, and what is in doubt as `timeout`."""
        wanted = arguments_of(params)
        async with self._starting:  # the same order twice: the second one finds the run of the first
            await self._reading.job(job)
            found = await self._reading.run_or_none(job, run_id)
            if found is not None:
                if any(found.asked.get(name) != value for name, value in wanted.items()):
                    raise BackendError("conflict", clean(f"run {run_id} of {job} is there with other arguments"))
                return
            self._reading.touched(job)
            arguments = {**wanted, RUN_ID_ARGUMENT: run_id}
            try:
                await self._account.write("glue", "start_job_run", JobName=job, Arguments=arguments)
            except BackendError as error:
                await self._after(error, job, run_id)

    async def ended_run(self, job: str, run_id: str) -> Run:
        """Raises `not_found`, and `conflict` while it is open."""
        run = await self._reading.run(job, run_id)
        if run.is_open:
            words = clean(f"run {run_id} of {job} is {run.last.job_run_state}")
            raise BackendError("conflict", words, fix="cancel it first, or wait")
        return run

    async def retry(self, job: str, run_id: str) -> None:
        """Raises `not_found`, and `conflict` while it is open."""
        run = await self.ended_run(job, run_id)
        if run.last.state == "success":
            return
        self._reading.touched(job)
        try:
            asked = {"JobName": job, "JobRunId": run.last.id, "Arguments": run.last.arguments}
            await self._account.write("glue", "start_job_run", **asked)
        except BackendError as error:
            await self._after(error, job, run_id, than=run.last.attempt)

    async def stop(self, job: str, run_id: str) -> None:
        """Raises `not_found`, and what Glue says of the one run that it was asked for."""
        run = await self._reading.run(job, run_id)
        if not run.is_open:
            return
        self._reading.touched(job)
        try:
            answer = await self._account.write("glue", "batch_stop_job_run", JobName=job, JobRunIds=[run.last.id])
        except BackendError as error:
            if is_lost(error) and await self._is_stopping(job, run_id):
                return
            raise
        errors = told(answer, StopAnswer, self._account.where).errors
        if errors and not await self._is_stopping(job, run_id):
            said = errors[0].get("ErrorDetail") or {}
            words = f"{said.get('ErrorCode', 'refused')}: {said.get('ErrorMessage', '')}".rstrip(": ")
            raise BackendError("failed", clean(f"run {run_id} of {job} is not stopped: {words}", 300), status=200)

    async def set_paused(self, job: str, paused: bool) -> None:
        """Raises `not_found`, and `config` for a job that no trigger starts by the clock."""
        await self._reading.job(job)
        mine = [trigger for trigger in await self._reading.triggers(fresh=True) if trigger.starts(job)]
        if not mine:
            words = clean(f"no trigger starts {job} by the clock")
            raise BackendError("config", words, fix="pause what starts it, where that is")
        for trigger in mine:
            if trigger.rests != paused:
                await self._set(trigger, paused)
        await self._reading.triggers(fresh=True)

    async def _set(self, trigger: Trigger, paused: bool) -> None:
        async def is_set() -> bool:
            now = await self._reading.triggers(fresh=True)
            return any(each.rests == paused for each in now if each.name == trigger.name)

        operation = "stop_trigger" if paused else "start_trigger"
        await unless_done(self._account.write("glue", operation, Name=trigger.name), is_set)

    async def _after(self, error: BackendError, job: str, run_id: str, *, than: int = -1) -> None:
        """What became of a start that failed or was not answered: the run, or an error."""
        if any(code in error.message for code in _FULL):
            words = f"{error.message}: as many run as may"
            raise BackendError("conflict", words, fix="wait for one to end, or raise its concurrency") from None
        if not is_lost(error):
            raise error
        for _ in range(LOOKS):
            found = await self._reading.run_or_none(job, run_id)
            if found is not None and found.last.attempt > than:
                return
            await asyncio.sleep(LOOK_EVERY_S)
        words = f"{error.message}; no run {run_id} of {job} is there {LOOKS * LOOK_EVERY_S:g} s later: it is in doubt"
        raise BackendError(error.kind, clean(words, 400), fix="look at the job before it is started again")

    async def _is_stopping(self, job: str, run_id: str) -> bool:
        run = await self._reading.run(job, run_id)
        return not run.is_open or run.last.job_run_state == "STOPPING"
