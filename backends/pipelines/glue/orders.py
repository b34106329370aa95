"""Orders to Glue: each sent once. Glue has no idempotency, so what was not answered is looked for."""

import asyncio
from contextlib import suppress
from functools import partial
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
            asked = {"JobName": job, "Arguments": {**wanted, RUN_ID_ARGUMENT: run_id}}
            await self._start(asked, job, run_id)

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
        asked = {"JobName": job, "JobRunId": run.last.id, "Arguments": run.last.arguments}
        await self._start(asked, job, run_id, than=run.last.attempt)

    async def stop(self, job: str, run_id: str) -> None:
        """Raises `not_found`, and what Glue says of the one run that it was asked for."""
        run = await self._reading.run(job, run_id)
        if not run.is_open:
            return
        self._reading.touched(job)
        refused: list[dict[str, Any]] = []

        async def stop() -> None:
            answer = await self._account.write("glue", "batch_stop_job_run", JobName=job, JobRunIds=[run.last.id])
            refused.extend(told(answer, StopAnswer, self._account.where).errors)

        await unless_done(stop(), partial(self._is_stopping, job, run_id))
        if refused and not await self._is_stopping(job, run_id):
            said = refused[0].get("ErrorDetail") or {}
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
        with suppress(BackendError):  # it is done, also where nobody can see it
            await self._reading.triggers(fresh=True)

    async def _set(self, trigger: Trigger, paused: bool) -> None:
        async def is_set() -> bool:
            now = await self._reading.triggers(fresh=True)
            return any(each.rests == paused for each in now if each.name == trigger.name)

        operation = "stop_trigger" if paused else "start_trigger"
        await unless_done(self._account.write("glue", operation, Name=trigger.name), is_set)

    async def _start(self, asked: dict[str, Any], job: str, run_id: str, *, than: int = -1) -> None:
        """Raises `conflict` where as many run as may, and what is in doubt as `timeout`. `than`: the attempt that was
        there before."""

        async def is_there() -> bool:
            found = await self._reading.run_or_none(job, run_id)
            return found is not None and found.last.attempt > than

        self._reading.touched(job)
        try:
            starting = self._account.write("glue", "start_job_run", **asked)
            await unless_done(starting, is_there, looks=LOOKS, every_s=LOOK_EVERY_S)
        except BackendError as error:
            if any(code in error.message for code in _FULL):
                words = f"{error.message}: as many run as may"
                raise BackendError("conflict", words, fix="wait for one to end, or raise its concurrency") from None
            if not is_lost(error):
                raise
            words = f"run {run_id} of {job} was not seen within {LOOKS * LOOK_EVERY_S:g} s: {error.message}"
            raise BackendError(
                error.kind, clean(words, 400), fix="look at the job before it is started again"
            ) from None

    async def _is_stopping(self, job: str, run_id: str) -> bool:
        run = await self._reading.run(job, run_id)
        return not run.is_open or run.last.job_run_state == "STOPPING"
