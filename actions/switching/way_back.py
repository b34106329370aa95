"""The way back of an action that has moved traffic: to the side that had it, where that is healthy now, and proven."""

import asyncio
import time

from msgspec.structs import replace

from actions.endings import Conflict, Failed, PartialWrite, PreconditionFailed, live_words
from actions.models import ActionError
from actions.switching.impact import impact_words
from actions.switching.outside import ExternalEdits
from actions.switching.probing import Prober
from actions.switching.proof import Proof
from actions.switching.switch_plan import SELF_TEST_PROBES
from actions.switching.traffic import WRITE_TRIES, Traffic
from actions.switching.unmoved import UNTOUCHED_PROBES
from actions.switching.verifying import VERIFY_S, Verifying
from actions.targets import SwitchTarget
from actions.work import Ordered, Work
from backends.command_line import command
from backends.ports import SwitchState

HEALTHY_AGAIN_S = 600.0
LOOK_S = 1.0
PROOF_TRIES = 3


class WayBack:
    """Undoes what this action did to the traffic, and nothing else. `run` ends the action, or leaves it in conflict."""

    def __init__(
        self, work: Work, target: SwitchTarget, traffic: Traffic, proof: Proof, outside: ExternalEdits
    ) -> None:
        self._work = work
        self._target = target
        self._traffic = traffic
        self._proof = proof
        self._outside = outside
        self._from = work.plan.from_

    async def run(self, error: ActionError, *, by_hand: bool) -> None:
        """`error`: why. Raises Conflict or InDoubt where what is live is not this action's, unless a person ordered
        it."""
        work = self._work
        await work.set("rolling_back", "shift-back", error, released="it goes back", by_hand=by_hand, kind=error.kind)
        found = await self._traffic.seen()
        if found is None or not (found.weights or (found.edited and (by_hand or self._traffic.is_ours(found)))):
            await self._stuck(f"{error.message}; and what is live is unknown", error)
            return
        if not self._traffic.is_ours(found):
            if await self._is_put_back(found, error):
                return
            if not by_hand:
                raise Conflict(found)
        if by_hand:  # a person has seen it so
            self._outside.take(found)
        try:
            await work.unless_ordered(self._back(found, error), self._outside.watch())
        except Conflict as conflict:
            await work.break_off(str(conflict))
            if not await self._is_put_back(conflict.found, error):
                raise
        except Ordered as order:
            await work.break_off(str(order))
            await self._abandoned(order, error)
        except (PreconditionFailed, Failed) as failure:
            await self._stuck(f"{error.message}; and the way back failed: {failure}", error)
        else:
            await work.finish("rolled_back", error=error if by_hand else await self._with_impact(error))

    async def _with_impact(self, error: ActionError) -> ActionError:
        """`error` with who was hit. Asked once traffic is back: nothing that moves it waits for this."""
        counts = await self._proof.counts()
        words = impact_words(self._work.history, self._work.plan.to, counts, self._work.seen.own)
        return replace(error, message=f"{error.message}; {words}") if words else error

    async def _is_put_back(self, found: SwitchState, error: ActionError) -> bool:
        """Whether somebody else has done it, or the write itself as it failed; the action has ended then."""
        if found.weights not in (self._traffic.before.weights, self._traffic.home):
            return False
        if self._traffic.put_back and (problem := await self._unproven()):
            await self._stuck(f"{error.message}; it was put back, and that is not proven: {problem}", error)
            return True
        return await self._work.finish("rolled_back" if self._traffic.moved else "aborted", error=error)

    async def _unproven(self) -> str:
        """Why what a failed write put back is not proven, asked a few times; empty where it is."""
        await self._work.begin("verify-back")
        for left in reversed(range(PROOF_TRIES)):
            try:
                proof = await self._proof.untouched(UNTOUCHED_PROBES)
            except PreconditionFailed as doubt:
                problem = str(doubt)
            else:
                await self._work.end("verify-back", "succeeded", proof)
                return ""
            await asyncio.sleep(LOOK_S if left else 0)
        await self._work.end("verify-back", "failed", problem)
        return problem

    async def _back(self, found: SwitchState, error: ActionError) -> None:
        await self._until_healthy(error)
        await self._move(found)

    async def _move(self, found: SwitchState) -> None:
        prober = Prober(self._work.seen, self._target.probe)
        try:
            for attempt in range(1, WRITE_TRIES + 1):
                try:
                    first = prober if attempt == 1 else None
                    await self._traffic.shift("shift-back", found, self._traffic.home, first)
                    break
                except PartialWrite as unfinished:
                    if attempt == WRITE_TRIES:
                        raise PreconditionFailed("unreachable", str(unfinished)) from None
                    found = unfinished.found
                except PreconditionFailed:
                    if attempt == WRITE_TRIES:
                        raise
                await asyncio.sleep(0.2 * attempt)
            if self._from in self._target.settings.colors:
                await Verifying(
                    self._work, self._proof, prober, "verify-back", self._traffic.home, self._from,
                    at_most_s=VERIFY_S, all_down_s=HEALTHY_AGAIN_S,
                ).run()  # fmt: skip
        finally:
            await prober.stop()

    async def _until_healthy(self, error: ActionError) -> None:
        """No traffic is sent to a side that is not healthy now. It is waited for, and a person is told; not for ever,
        since what becomes healthy next week is another thing. Raises PreconditionFailed."""
        work, until = self._work, time.monotonic() + HEALTHY_AGAIN_S
        while problem := await self._old_side_unfit():
            if time.monotonic() >= until:
                raise PreconditionFailed("target_unhealthy", f"{problem}: no traffic is sent there")
            fix = (
                f"make {self._from.upper()} healthy, it goes back then; or {command('action abandon', work.action_id)}"
            )
            words = f"{error.message}; and {problem}: no traffic is sent there"
            if work.hold.left_s() is None:
                await work.held(problem, HEALTHY_AGAIN_S)
            await work.stand(ActionError(kind="target_unhealthy", message=words, fix=fix))
            await asyncio.sleep(LOOK_S)
        if work.hold.left_s() is not None:
            await work.set("rolling_back", "shift-back", error, released=f"{self._from.upper()} is healthy")

    async def _old_side_unfit(self) -> str:
        if self._from not in self._target.settings.colors:  # a split of before: both sides had traffic
            return ""
        return await self._proof.unhealthy(self._from, SELF_TEST_PROBES)

    async def _abandoned(self, order: Ordered, error: ActionError) -> None:
        await self._work.obeyed(order.command)
        if order.command.word != "abandon":
            await self.run(error, by_hand=True)
            return
        await abandon(self._work, self._traffic, order)

    async def _stuck(self, words: str, error: ActionError) -> None:
        fix = "; ".join(self._target.adapter.manual_commands(self._traffic.home))
        await self._work.finish("rollback_failed", error=ActionError(kind="rollback_failed", message=words, fix=fix))


async def abandon(work: Work, traffic: Traffic, order: Ordered) -> None:
    """As `Work.abandoned`, with what the control object says."""
    found = await traffic.seen()
    await work.abandoned(order, "what is live can not be read" if found is None else live_words(found))
