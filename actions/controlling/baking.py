"""The bake of the entry, after a controller's change has arrived: its metric gates are judged for as long, whether the
controller itself waits, bakes, or moves all traffic at once."""

import asyncio
import time

from actions.endings import Failed
from actions.judging.stages import StageJudge, StageVerdict
from actions.switching.holding import Missing, PhaseHold
from actions.targets import ControllerTarget
from actions.work import Work
from backends.errors import BackendError
from backends.ports import Operation

LOOK_S = 0.5
GAP_S = 10.0
"""Whoever takes it over after more than that begins anew: samples with a gap between them are not one window."""
BAKE = "bake"


class Baking:
    """The last window of one release. `judge`: of the stage at 100 percent, which may have begun `for_s` ago."""

    def __init__(self, work: Work, target: ControllerTarget, judge: StageJudge, for_s: float = 0.0) -> None:
        self._work = work
        self._target = target
        self._judge = judge
        self._seconds = float(target.settings.bake)
        self._left_s = max(0.0, self._seconds - for_s)
        self._hold = PhaseHold(work, full=True)
        self._told = ""

    async def run(self, operation: str) -> Operation | None:
        """None as soon as it has passed; else the operation, where that goes back or ended otherwise meanwhile. Raises
        Failed where a gate says no."""
        work = self._work
        until = time.monotonic() + await self._begin()
        verdict: StageVerdict | None = None
        work.all_there = True
        try:
            while True:
                found, unread = await self._read(operation)
                if found is not None and (found.back or found.state not in ("open", "succeeded")):
                    await work.end(BAKE, "failed", found.detail or found.state)
                    return found
                over = time.monotonic() >= until or work.steering.promoted
                if verdict is None or over or self._judge.due_s <= 0:
                    verdict = await self._judge.look()
                await self._tell(verdict, unread)
                if verdict.word == "fail":
                    raise await self._failed(verdict)
                by_hand = work.steering.accepted or work.steering.promoted
                good = by_hand or (verdict.word == "pass" and not unread)
                if over and good and not work.steering.paused:
                    await self._succeed(verdict)
                    return None
                await self._hold.told(self._missing(verdict, unread, over))
                await asyncio.sleep(LOOK_S)
        finally:
            work.all_there = False

    async def _begin(self) -> float:
        """Seconds that are left."""
        work = self._work
        if work.steps.begun(BAKE) and work.steps.last_seen(BAKE) > GAP_S:
            await work.end(BAKE, "pending", "nobody looked for a while: it starts anew")
        return await work.begin(BAKE, f"{self._seconds:g}s", lasts_s=self._left_s)

    async def _read(self, operation: str) -> tuple[Operation | None, str]:
        """The operation, or why it can not be read."""
        try:
            return await self._target.adapter.operation(operation), ""
        except BackendError as error:
            return None, f"{self._target.entry.type} can not be read: {error.message}"

    def _missing(self, verdict: StageVerdict, unread: str, over: bool) -> Missing | None:
        if self._work.steering.accepted:
            return None
        if verdict.word == "inconclusive":
            return self._hold.missing(verdict.detail)
        if unread and over:
            return self._hold.missing(unread)
        if self._work.late:
            return self._hold.missing("the time of this action is over, and its gates have not passed yet")
        return None

    async def _tell(self, verdict: StageVerdict, unread: str) -> None:
        detail = "; ".join(filter(None, (verdict.detail, unread)))
        if detail != self._told:
            self._told = detail
            await self._work.progress(BAKE, detail, data=verdict.data)

    async def _failed(self, verdict: StageVerdict) -> Failed:
        await self._work.end(BAKE, "failed", verdict.detail)
        return Failed(f"{BAKE} failed: {verdict.detail}", "gate_failed")

    async def _succeed(self, verdict: StageVerdict) -> None:
        work = self._work
        await work.released("the evidence is there")
        await work.stand()
        how = "promoted by hand" if work.steering.promoted else f"{self._seconds:g}s"
        if work.steering.accepted and verdict.word != "pass":
            how += ", accepted by hand"
        await work.end(BAKE, "succeeded", "; ".join(filter(None, (how, verdict.detail))), **verdict.data)
        work.steering.next_stage()
