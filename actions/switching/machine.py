"""The way of a flip, a release and a rollback: one state machine over the journal. Whoever has the lease goes on in it.

    preflight → deploy → health → smoke → (shift → verify → analyse) for each stage → bake → succeeded

A flip has no deploy, health and smoke; a rollback is one stage without analysis and bake. What fails before traffic has
moved aborts, with the idle side put back and the live one proven untouched; what fails after it goes back.
"""

import asyncio
import contextlib
from functools import partial

from msgspec.structs import replace

from actions.endings import Conflict, Failed, InDoubt, OutOfTime, PartialWrite, PreconditionFailed
from actions.expected import SwitchExpected
from actions.journal.rows import baseline_of
from actions.journal.steering import begun_back
from actions.judging.stages import Judge, StageJudge, step_of
from actions.kinds import kind_of
from actions.models import ActionError
from actions.switching import way_back
from actions.switching.commands import Commands
from actions.switching.conditions import must_be_met
from actions.switching.deploying import Deploying
from actions.switching.held_back import against, let_on
from actions.switching.holding import HOLD_S
from actions.switching.impact import counted_data
from actions.switching.outside import ExternalEdits
from actions.switching.probing import Prober
from actions.switching.proof import Proof
from actions.switching.smoke import SMOKE_S, Smoke, template_values
from actions.switching.switch_plan import CAPACITY, IDLE_PROBES, SELF_TEST_PROBES, live_is_down, staged
from actions.switching.traffic import WRITE_TRIES, Traffic, patiently, same
from actions.switching.unmoved import Unmoved
from actions.switching.verifying import VERIFY_S, Verifying
from actions.switching.watching import Watching
from actions.switching.way_back import WayBack, abandon
from actions.targets import SwitchTarget
from actions.work import Ordered, Parked, Work
from backends.command_line import command
from backends.errors import BackendError
from backends.models import Finding
from backends.ports import SwitchState

PREFLIGHT_S = 60.0
HEALTH_S = 60.0
HEALTH_AGAIN_S = 1.0


class Switching:
    """One action on the traffic of one service. `run` returns when it has ended, or stopped in an open state."""

    def __init__(self, work: Work, target: SwitchTarget, judge: Judge | None = None) -> None:
        self._work = work
        self._target = target
        self._judge = judge
        self._settings = target.settings
        self._adapter = target.adapter
        plan = work.plan
        self._kind, self._from, self._to = kind_of(plan.kind), plan.from_, plan.to
        expected = plan.expecting(SwitchExpected)
        self._start, self._stages = expected.start, expected.stages
        self._version = plan.request.version or expected.holds or ""
        self._traffic = Traffic(work, target)
        self._proof = Proof(work, target, self._traffic)
        self._outside = ExternalEdits(work, target, self._traffic)
        self._commands = Commands(work)
        self._deploying = Deploying(work, target, self._traffic, self._commands)
        self._back = WayBack(work, target, self._traffic, self._proof, self._outside)
        self._unmoved = Unmoved(work, target, self._traffic, self._proof, self._commands, self._deploying)
        values = template_values(target, plan.service, plan.to, self._version)
        self._smoke = Smoke(target, self._commands, values)

    async def run(self) -> None:
        """From where the journal says it is. Raises LeaseLost."""
        try:
            returning = await self._onward()
            if returning is not None:
                await self._return(*returning)
        except Conflict as conflict:
            await self._in_conflict(conflict)
        except InDoubt as doubt:
            before = self._traffic.home or staged(self._settings, "", self._to, 100)
            fix = "; ".join(self._adapter.manual_commands(before))
            await self._work.break_off(str(doubt))
            await self._work.set("in_doubt", None, ActionError(kind="in_doubt", message=str(doubt), fix=fix))
        except Parked:
            await self._leave()
        if self._work.ended:
            await self._traffic.end()

    async def _onward(self) -> tuple[ActionError, bool] | None:
        """To the end of the way forward; else why it goes back, and whether a person ordered that."""
        if (begun := begun_back(self._work.history)) is not None:
            with contextlib.suppress(*(Conflict, InDoubt) if begun[1] else ()):
                await self._traffic.settle()
            return begun
        try:
            going = self._to_the_end()
            while True:
                await self._work.unless_ordered(going, self._outside.watch(), self._work.in_time())
                if await self._work.finish("succeeded"):
                    return None
                going = self._work.safe_point()
        except Ordered as order:
            await self._work.obeyed(order.command)
            await self._work.break_off(str(order))
            with contextlib.suppress(Conflict, InDoubt):  # a person has looked, and says what is to be done
                await self._traffic.settle()
            if order.command.word == "abandon":
                await self._commands.end()
                await abandon(self._work, self._traffic, order)
                return None
            return ActionError(kind="ordered", message=str(order)), True
        except OutOfTime as late:
            message = await self._work.break_off(str(late))
            await self._traffic.settle()
            return ActionError(kind="deadline", message=message, fix=self._again), False
        except PreconditionFailed as unmet:
            return unmet.error, False
        except Failed as failure:
            return failure.error, False

    async def _to_the_end(self) -> None:
        self._work.all_there = self._is_proven
        if self._kind.back:
            async with self._commands.ending():
                await self._traffic.settle()
                await self._forward()
        else:
            await self._commands.settle(wait=not self._traffic.moved)
            await self._traffic.settle()
            await self._forward()
        await self._work.safe_point()

    @property
    def _again(self) -> str:
        """What whoever ordered a way back that moved nothing has to do: nobody else brings traffic back."""
        if not self._kind.back or self._traffic.moved:
            return ""
        again = command("deploy rollback", self._work.plan.service, flags="-y")
        return f"nothing was moved back; with more time, or no --timeout: {again}"

    @property
    def _is_proven(self) -> bool:
        """Whether all traffic has arrived: what may still be missing is evidence that it is well there."""
        return self._work.steps.done(step_of("verify", self._stages[-1], self._stages))

    # ---- forward

    async def _forward(self) -> None:
        if not self._traffic.moved:
            await self._before_traffic()
        prober = Prober(self._work.seen, self._target.probe)
        try:
            for share in self._stages:
                await self._stage(prober, share)
        finally:
            if prober.running:  # also of a write whose end nobody knows: who answered is known
                left = "" if self._traffic.last.weights.get(self._from) else self._from
                self._work.seen.timed(prober.times(left, self._to))
            await prober.stop()
        if self._kind.forward:
            await self._watch("bake", 100, float(self._settings.bake), bake=True)

    async def _before_traffic(self) -> None:
        await self._preflight()
        if self._start:
            await self._deploying.start(self._to, self._start)
        if self._kind.deploys:
            await self._work.safe_point()
            if not self._work.steps.done("deploy"):
                await self._deploying.deploy(self._to, self._version)
        if self._deploys:
            await self._healthy()
        if self._kind.deploys and self._smoke.configured and not self._work.steps.done("smoke"):
            await self._work.safe_point()
            await self._smoked()

    async def _preflight(self) -> None:
        work = self._work
        left_s = await work.begin("preflight", lasts_s=PREFLIGHT_S)
        try:
            async with asyncio.timeout(left_s):
                detail = await self._looked()
                baseline = {} if self._judge is None else await self._judge.baseline()
        except TimeoutError:
            raise await self._ended_unfit("preflight", "deadline", "preflight: out of time", self._again) from None
        except BackendError as error:
            raise await self._ended_unfit("preflight", error.kind, error.message, error.fix) from None
        except PreconditionFailed as unmet:
            raise await self._ended_unfit("preflight", unmet.error.kind, str(unmet), unmet.error.fix) from None
        await work.end("preflight", "succeeded", detail, baseline=baseline)

    async def _looked(self) -> str:
        found = await (patiently(self._adapter.observe) if self._kind.back else self._adapter.observe())
        half_done = self._traffic.in_doubt and self._traffic.is_ours(found)
        if not same(found, self._traffic.before) and not half_done:
            raise PreconditionFailed("conflict", str(Conflict(found)), "look again, then plan anew")
        weights = staged(self._settings, self._from, self._to, self._stages[0])
        if forbids := await self._forbids(found, weights, as_it_is=not self._deploys):
            raise PreconditionFailed("refused", forbids.text, forbids.fix)
        if self._kind.forward:
            await must_be_met(self._target, self._work.plan)
        health = ""
        if not self._deploys:
            probes = SELF_TEST_PROBES if self._kind.back else IDLE_PROBES
            if problem := await self._proof.unhealthy(self._to, probes):
                raise PreconditionFailed("target_unhealthy", problem, f"make {self._to.upper()} healthy first")
            health = f"{self._to.upper()} healthy in {probes} of {probes} probes"
        if half_done or self._kind.back or self._from not in self._settings.colors:
            return health or "as planned"
        return ", ".join(part for part in (health, await self._live_words(found)) if part)

    async def _live_words(self, found: SwitchState) -> str:
        """What fresh requests say of the side that has the traffic: no more than they prove. Raises PreconditionFailed
        where they do not prove it, unless it is down itself, or a person said that its color can not be told."""
        live = self._from.upper()
        proof = await self._proof.proves(self._from, SELF_TEST_PROBES)
        if not proof.problem:
            return f"a fresh request proves {live}{proof.with_errors}"
        if not proof.elsewhere:
            if "probe" in self._work.plan.request.overrides:
                return f"{live} not proven, overridden: {proof.problem}"
            if (down := await live_is_down(self._target, found)) is not None:
                return f"{live} not proven: {down.text}"
        message = f"the probe does not prove {live} now: {proof.problem}"
        raise PreconditionFailed("probe", message, "see that the probe's URL answers")

    @property
    def _deploys(self) -> bool:
        """Whether the side that gains traffic is changed before it does."""
        return self._kind.deploys or bool(self._start)

    async def _forbids(self, found: SwitchState, weights: dict[str, int], *, as_it_is: bool) -> Finding | None:
        """What the system itself says against this shift; `as_it_is`: with the capacity that the side has now."""
        for finding in await self._adapter.preflight(replace(found, over=self._kind.back), weights):
            if finding.level != "block" or finding.code in self._work.plan.request.overrides:
                continue
            if (finding.code == CAPACITY and not as_it_is) or (finding.overridable and self._kind.back):
                continue
            return finding
        return None

    async def _unready(self) -> str:
        """Why the side that was deployed to may not get traffic yet."""
        if problem := await self._proof.unhealthy(self._to, IDLE_PROBES, self._version):
            return problem
        weights = staged(self._settings, self._from, self._to, self._stages[0])
        try:
            forbids = await self._forbids(await self._adapter.observe(), weights, as_it_is=True)
        except BackendError as error:
            return error.message
        return forbids.text if forbids is not None else ""

    async def _healthy(self) -> None:
        """Every probe finds the new version, healthy and proven to be that side; asked again until a deadline."""
        work = self._work
        left_s = await work.begin("health", lasts_s=HEALTH_S)
        until = asyncio.get_running_loop().time() + left_s
        while problem := await self._unready():
            if asyncio.get_running_loop().time() >= until:
                raise await self._ended_unfit("health", "health_failed", problem)
            await work.progress("health", problem)
            await asyncio.sleep(HEALTH_AGAIN_S)
        version = f" {self._version}" if self._version else ""
        words = f"{self._to.upper()}{version} healthy in {IDLE_PROBES} of {IDLE_PROBES} probes"
        await work.end("health", "succeeded", words)

    async def _smoked(self) -> None:
        work = self._work
        left_s = await work.begin("smoke", lasts_s=SMOKE_S)
        ended = await self._smoke.run("smoke", timeout_s=left_s)
        if ended.why:
            await work.progress("smoke", ended.why, data={"output": list(ended.output)})
            raise await self._ended_unfit("smoke", "smoke_failed", f"smoke failed: {ended.why}")
        await work.end("smoke", "succeeded", ended.output[-1] if ended.output else "exit status 0")

    async def _stage(self, prober: Prober, share: int) -> None:
        shift, verify, analyse = (step_of(what, share, self._stages) for what in ("shift", "verify", "analyse"))
        work, weights = self._work, staged(self._settings, self._from, self._to, share)
        if not work.steps.done(shift):
            if self._kind.forward:
                await self._let_on(share)
            else:
                await work.safe_point()
            await self._still_healthy()
            await self._counted(shift)
            try:
                await self._shifted(shift, weights, prober)
            except PreconditionFailed as unmet:
                if self._traffic.moved:
                    raise Failed(f"{shift} failed: {unmet}", "shift_failed") from None
                raise
            except PartialWrite as unfinished:
                raise Failed(f"{shift} failed: {unfinished}", "shift_failed") from None
        if not work.steps.done(verify):
            if not prober.running:
                await prober.start()
            await Verifying(
                work, self._proof, prober, verify, weights, self._to,
                at_most_s=VERIFY_S, all_down_s=way_back.HEALTHY_AGAIN_S,
            ).run()  # fmt: skip
        work.all_there = self._is_proven
        await prober.stop()
        if len(self._stages) > 1 and self._kind.forward and not work.steps.done(analyse):
            await self._analyse(share)

    async def _let_on(self, share: int) -> None:
        """As `let_on`; a split that is held so is looked at and judged as before."""
        before = [each for each in self._stages if each < share]
        if before and self._traffic.moved and await against(self._work) is not None:
            await self._analyse(before[-1])
        await let_on(self._work, self._still_healthy, moved=self._traffic.moved)

    async def _counted(self, step: str) -> None:
        """What each side has taken before it gets any of the traffic: from there on it is users who are hit."""
        if not self._kind.forward or self._traffic.tried:
            return
        if data := counted_data(await self._proof.counts()):
            await self._work.progress(step, "", data=data)

    async def _shifted(self, step: str, weights: dict[str, int], prober: Prober) -> None:
        """As `Traffic.shift`; a way back whose write got no answer and came to nothing is written again."""
        for attempt in range(1, WRITE_TRIES + 1):
            try:
                await self._traffic.shift(step, self._traffic.last, weights, prober)
                return
            except PreconditionFailed as unmet:
                lost = unmet.error.kind in ("timeout", "unreachable")
                if not self._kind.back or not lost or attempt == WRITE_TRIES:
                    raise
            await asyncio.sleep(0.2 * attempt)

    async def _still_healthy(self) -> None:
        """Right before each write, since a pause or a stage may lie between it and the last look."""
        problem = await self._proof.unhealthy(self._to, SELF_TEST_PROBES, self._version)
        if problem and self._traffic.moved:
            raise Failed(problem, "health_failed")
        if problem:
            raise PreconditionFailed("target_unhealthy", problem, f"make {self._to.upper()} healthy first")

    async def _analyse(self, share: int) -> None:
        step = step_of("analyse", share, self._stages)
        await self._watch(step, share, float(self._settings.stage_time))

    async def _watch(self, step: str, share: int, seconds: float, *, bake: bool = False) -> None:
        weights = staged(self._settings, self._from, self._to, share)
        again = bake and self._kind.deploys and self._smoke.configured
        smoke = partial(self._smoke.problem, step) if again else None
        judge = self._stage_judge(share, seconds)
        watching = Watching(
            self._work, self._proof, step, weights, self._to,
            seconds=seconds if judge is None else max(seconds, judge.least_s), judge=judge, smoke=smoke,
            all_down_s=way_back.HEALTHY_AGAIN_S, onward=share < 100,
        )  # fmt: skip
        await watching.run()

    def _stage_judge(self, share: int, seconds: float) -> StageJudge | None:
        if self._judge is None:
            return None
        return self._judge.stage(share, seconds, baseline_of(self._work.history))

    async def _leave(self) -> None:
        """A split that is left alone is held with a deadline, like one without evidence: it must not be forgotten."""
        work, share = self._work, self._traffic.last.weights.get(self._to, 0)
        if self._kind.forward and 0 < share < 100 and work.hold.left_s() is None:
            judge = self._stage_judge(share, float(self._settings.stage_time))
            why = f"{self._to.upper()} was left at {share} %, and nobody watches it"
            await work.held(why, HOLD_S if judge is None else judge.hold_s)
        await work.leave()

    async def _return(self, error: ActionError, by_hand: bool) -> None:
        """To where it came from: back, where traffic has moved; else there is nothing to be done but to say so."""
        may_have_moved = self._traffic.moved or self._traffic.in_doubt
        found = None if may_have_moved else await self._traffic.seen()
        if self._kind.forward and (may_have_moved or self._wrote(found)):
            async with self._commands.ending():
                await self._back.run(error, by_hand=by_hand)
        elif may_have_moved:
            fix = "; ".join(self._adapter.manual_commands(staged(self._settings, self._from, self._to, 100)))
            failed = ActionError(kind="rollback_failed", message=error.message, fix=fix)
            await self._work.finish("rollback_failed", error=failed)
        else:
            await self._unmoved.end(error, found)

    def _wrote(self, found: SwitchState | None) -> bool:
        """Whether the control object says that this action moved traffic, where the journal does not."""
        if found is None or not found.weights or not self._traffic.is_ours(found):
            return False
        return found.weights != self._traffic.before.weights

    async def _in_conflict(self, conflict: Conflict) -> None:
        await self._work.break_off(str(conflict))
        await self._work.released(str(conflict))
        error = ActionError(kind="conflict", message=str(conflict), fix="look again, then plan anew")
        if not self._traffic.moved and not self._traffic.in_doubt:
            await self._unmoved.end(error)
            return
        fix = f"look at it; then {self._work.plan.summary.undo or 'plan anew'}"
        await self._work.set("conflict", None, replace(error, fix=fix))

    async def _ended_unfit(self, step: str, kind: str, message: str, fix: str = "") -> PreconditionFailed:
        await self._work.end(step, "failed", message)
        return PreconditionFailed(kind, message, fix)
