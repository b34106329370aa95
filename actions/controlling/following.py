"""Following a change that a controller makes, to its end: its stages, its pauses, what is ordered meanwhile."""

import asyncio
import contextlib
import time

from actions.controlling.giving import Orders
from actions.controlling.smoking import Smoking
from actions.endings import Failed, PreconditionFailed
from actions.ids import now
from actions.journal.rows import baseline_of
from actions.judging.stages import Judge, StageJudge
from actions.kinds import kind_of
from actions.models import ActionError
from actions.switching.held_back import against
from actions.switching.probing import Prober
from actions.targets import ControllerTarget
from actions.work import Work
from backends.command_line import command
from backends.errors import BackendError
from backends.ports import Operation, Order

LOOK_S = 0.5
TELL_S = 10.0
UNREAD_S = 60.0
"""For how long a controller may be unreadable before the action is held."""
_UNREAD = "unread"


class Following:
    """One change of one action. `forward`: people and gates may steer it."""

    def __init__(
        self, work: Work, target: ControllerTarget, orders: Orders, prober: Prober, judge: Judge | None = None
    ) -> None:
        self._work = work
        self._target = target
        self._adapter = target.adapter
        self._orders = orders
        self._prober = prober
        self._judge = judge
        self._smoking = Smoking(work, target)
        self._stage: StageJudge | None = None
        self._share = 0
        self._stage_at = 0.0
        self._told: tuple[str, float] = ("", 0.0)
        self._paused = ""
        self._continued = ""
        self._unread_at: float | None = None

    async def run(self, step: str, operation: str, *, forward: bool, arrival: bool = False) -> Operation:
        """Returns the operation as it ended, or, with `arrival`, as soon as all traffic is where it goes and the other
        side only waits to be taken down. Raises Failed where a metric gate says no. While it can not be read nothing is
        ordered, and after a minute, or at the action's own deadline, the action is held until it can."""
        work = self._work
        await work.begin(step)
        while True:
            try:
                found = await self._adapter.operation(operation)
            except BackendError as error:
                await self._unread(step, error, forward)
            else:
                await self._read(forward)
                await self._tell(step, found.detail)
                if forward and self._smoking.due(found):
                    await self._smoked(step, found)
                    continue
                if not found.open or (arrival and found.arrived and not found.back):
                    await work.released("it goes on")
                    return found
                if forward:
                    work.all_there = found.shares.get("candidate", 0) == 100
                    await self._look(step, found)
                elif found.pause is not None and found.pause.id != self._continued:
                    self._continued = found.pause.id
                    await self._continue(found)
            await asyncio.sleep(LOOK_S)

    def baked(self, judge: Judge) -> tuple[StageJudge, float]:
        """The judge of the stage at 100 percent, and for how many seconds it has looked by now."""
        stage = self._stage_of(judge, 100)
        return stage, time.monotonic() - self._stage_at

    async def _unread(self, step: str, error: BackendError, forward: bool) -> None:
        work, at = self._work, time.monotonic()
        self._unread_at = at if self._unread_at is None else self._unread_at
        work.blind = True
        await self._tell(step, f"not seen: {error.message}")
        if self._paused == _UNREAD or (at - self._unread_at < UNREAD_S and not work.late):
            return
        words = f"{self._target.entry.type} can not be read, and may go on by itself: {error.message}"
        self._paused = _UNREAD
        work.steering.next_stage()  # what was ordered before nobody could see it was meant for what was seen then
        await work.held(words, None)
        ways = f"{error.fix}; " if error.fix else ""
        ways += "it goes on as soon as it can be read"
        back = f", or {command('deploy rollback', work.plan.service)}" if forward else ""
        await self._show(ActionError(kind="held", message=f"held: {words}", fix=f"{ways}{back}"), forward)

    async def _read(self, forward: bool) -> None:
        """The controller can be read: a hold for that ends."""
        self._unread_at, self._work.blind = None, False
        if self._paused == _UNREAD:
            self._paused = ""
            self._work.steering.next_stage()
            await self._work.released("it can be read again")
            await self._show(None, forward)

    async def _show(self, error: ActionError | None, forward: bool) -> None:
        """Say how it stands, and why; what is on its way back stays so."""
        if not forward and kind_of(self._work.plan.kind).forward:
            await self._work.set("rolling_back", None, error)
        else:
            await self._work.stand(error)

    async def _smoked(self, step: str, found: Operation) -> None:
        """Tested where it waits; whoever promotes that pause, does so afterwards."""
        if self._paused:
            self._paused = ""
            await self._work.released("it goes on")
            await self._work.stand()
        await self._smoking.run(found)
        await self._work.begin(step)

    async def _look(self, step: str, found: Operation) -> None:
        await self._judged(step, found)
        if self._work.steering.promoted:
            standing = await against(self._work)
            await (self._promote(found) if standing is None else self._work.no_way_on(standing.text))
        await self._stand(found)

    async def _promote(self, found: Operation) -> None:
        if found.pause is not None:
            await self._continue(found)
        self._work.steering.next_stage()

    async def _continue(self, found: Operation) -> None:
        """End its pause. On a way back no person is asked: there may be none."""
        with contextlib.suppress(PreconditionFailed):  # it may have gone on by itself: the next look says
            await self._orders.give("promote", Order(order="promote", operation=found.id))

    async def _stand(self, found: Operation) -> None:
        """A pause of the controller is a hold of the action: until when, and what comes then, is told to everybody."""
        work, pause = self._work, found.pause
        if pause is None:
            if self._paused:
                self._paused = ""
                await work.released("it goes on")
            await work.stand()
            return
        words = pause.words
        if self._paused != pause.id:
            self._paused = pause.id
            left_s = (pause.until - now()).total_seconds() if pause.until and pause.then == "rollback" else None
            await work.held(words, left_s)
        promote, back = command("action promote", work.action_id), command("deploy rollback", work.plan.service)
        await work.stand(ActionError(kind="held", message=f"held: {words}", fix=f"{promote}, or {back}"))

    async def _judged(self, step: str, found: Operation) -> None:
        """Metric gates, beside what the controller judges by itself, while its candidate has traffic."""
        share = found.shares.get("candidate", 0)
        if self._judge is None or not share:
            return
        stage = self._stage_of(self._judge, share)
        if stage.due_s > 0:
            return
        verdict = await stage.look()
        await self._work.progress(step, f"{found.detail}; {verdict.detail}", data=verdict.data)
        if verdict.word == "fail":
            raise Failed(verdict.detail, "gate_failed")

    def _stage_of(self, judge: Judge, share: int) -> StageJudge:
        """The stage of `share` percent; a new one, with a judge of its own, where the share has changed."""
        if self._stage is None or share != self._share:
            self._share, self._stage_at = share, time.monotonic()
            seconds = float(self._target.settings.bake if share == 100 else self._target.settings.stage_time)
            self._stage = judge.stage(share, seconds, baseline_of(self._work.history))
        return self._stage

    async def _tell(self, step: str, detail: str) -> None:
        before, at = self._told
        if detail != before or (self._prober.running and time.monotonic() - at >= TELL_S):
            self._told = (detail, time.monotonic())
            plan = self._work.plan
            old = plan.from_ if self._work.all_there else ""  # one that keeps a share never answers last
            times = self._prober.times(old, plan.to) if self._prober.running else None
            await self._work.progress(step, detail, times)
