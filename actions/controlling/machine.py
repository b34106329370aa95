"""The way of an order to a controller: one state machine over the journal. Whoever has the lease goes on in it.

    preflight → the order → follow → verify → bake (with gates) → succeeded

The system moves the traffic and may go back by itself. What is ordered back, or fails at us, is an order to it again:
while its change is open to abort it, after that a new change to the version before.
"""

import asyncio
import contextlib
import time
from typing import Any

from actions.controlling.baking import Baking
from actions.controlling.following import UNREAD_S, Following
from actions.controlling.giving import GIVE_TRIES, Orders
from actions.endings import Failed, InDoubt, OutOfTime, PreconditionFailed
from actions.expected import ControlExpected
from actions.journal.steering import FOLLOWING, begun_back
from actions.judging.stages import Judge
from actions.kinds import kind_of
from actions.models import ActionError, ActionStatus
from actions.switching.commands import Commands
from actions.switching.conditions import must_be_met
from actions.switching.held_back import against, let_on
from actions.switching.probing import NEEDED, Prober
from actions.targets import ControllerTarget
from actions.work import Ordered, Parked, Work
from backends.command_line import command
from backends.errors import BackendError
from backends.ports import Operation, Order
from backends.ports.controllers import TO

VERIFY_S = 120.0
WATCH_S = 0.5
"""Between two fresh requests while a controller moves the traffic, which may take hours."""
AGAIN_S = 0.5
UNWANT = "unwant"
STILL_WANTED = "the system is still told to run it, and may go forward to it again"
FOLLOWED_WORDS = frozenset({"release", "rollback", "abort"})
"""Orders that are followed to the end of the change that they are about; the others are done when they are taken."""


class Ended(Exception):
    """The change has ended without this action: how, in which words, and which version answers then."""

    def __init__(self, status: ActionStatus, error: ActionError, answers: str | None = None) -> None:
        super().__init__(error.message)
        self.status, self.error, self.answers = status, error, answers


class Controlling:
    """One action on a service that has a controller. `run` returns when it has ended, or stopped in an open state."""

    def __init__(self, work: Work, target: ControllerTarget, judge: Judge | None = None, by: str = "") -> None:
        self._work = work
        self._target = target
        self._adapter = target.adapter
        self._judge = judge
        self._plan = work.plan
        self._kind = kind_of(work.plan.kind)
        self._expected = work.plan.expecting(ControlExpected)
        self._word = self._expected.order
        self._orders = Orders(work, target, by)
        self._prober = Prober(work.seen, target.probe, every_s=WATCH_S)
        self._following = Following(work, target, self._orders, self._prober, judge)

    async def run(self) -> None:
        """From where the journal says it is. Raises LeaseLost."""
        try:
            returning = await self._onward()
            if returning is not None:
                await self._return(*returning)
        except InDoubt as doubt:
            await self._work.break_off(str(doubt))
            error = ActionError(kind="in_doubt", message=str(doubt), fix=self._by_hand())
            await self._work.set("in_doubt", None, error)
        except Parked:
            await self._work.leave()
        finally:
            await self._prober.stop()

    async def _onward(self) -> tuple[ActionError, bool] | None:
        """To the end of the way forward; else why it goes back, and whether a person ordered that."""
        work = self._work
        if (begun := begun_back(work.history)) is not None:
            return begun
        try:
            going = self._to_the_end()
            while True:
                await work.unless_ordered(going, work.in_time())
                if await work.finish("succeeded"):
                    return None
                going = work.safe_point()
        except Ordered as order:
            await work.obeyed(order.command)
            await work.break_off(str(order))
            if order.command.word == "abandon":
                await self._abandoned(order)
                return None
            return ActionError(kind="ordered", message=str(order)), True
        except OutOfTime as late:
            return ActionError(kind="deadline", message=await work.break_off(str(late))), False
        except Ended as end:
            await self._end(end)
            return None
        except PreconditionFailed as unmet:
            if self._gave:
                return unmet.error, False
            await work.break_off(str(unmet))
            await work.finish("aborted", error=unmet.error)
            return None
        except Failed as failure:
            await work.break_off(str(failure))
            return failure.error, False

    @property
    def _gave(self) -> bool:
        """Whether anything was or may have been ordered."""
        return bool(self._orders.operation_of(self._word)) or self._orders.in_doubt(self._word)

    # ---- forward

    async def _to_the_end(self) -> None:
        word = self._word
        operation = await self._orders.settle(word)
        if not operation:
            await self._preflight()
            await self._let_on()
            if self._target.settings.probe is not None and word in FOLLOWED_WORDS:
                await self._prober.start()
                self._prober.mark_write()
            operation = await self._give(word, self._order(word), self._revision())
        if word not in FOLLOWED_WORDS:
            return
        found = await self._follow(FOLLOWING, operation, forward=self._kind.forward, arrival=word != "abort")
        await self._judge_end(found, back=word == "abort")
        if (found.still_wanted or found.left) and self._plan.kind == "rollback":
            found = await self._unwant(found)
        await self._verify("verify", _answering(found, self._plan.to))
        await self._bake(operation)

    def _revision(self) -> str | None:
        """A way back goes on whatever has moved meanwhile: its order says itself what it is about."""
        return None if self._kind.back else self._expected.revision

    def _order(self, word: str) -> Order:
        expected, request = self._expected, self._plan.request
        if word == "release":
            return Order(order="release", version=request.version)
        if word == "rollback":
            how = TO if request.to else ""
            return Order(order="rollback", revision=expected.home, version=self._plan.to, how=how)
        return Order(order=self._word, operation=expected.operation, how=request.strategy)

    async def _preflight(self) -> None:
        work = self._work
        await work.begin("preflight")
        baseline: dict[str, Any] = {}
        try:
            found = await self._orders.state()
            if not self._kind.back and found.revision != self._expected.revision:
                words = f"the controller has changed since: {found.view.message or found.view.phase}"
                raise PreconditionFailed("conflict", words, "look again, then plan anew")
            if self._kind.forward:
                await must_be_met(self._target, self._plan)
            if self._judge is not None:
                baseline = await self._judge.baseline()
        except (BackendError, PreconditionFailed) as error:
            await work.end("preflight", "failed", str(error))
            if isinstance(error, BackendError):
                raise PreconditionFailed(error.kind, error.message, error.fix) from None
            raise
        await work.end("preflight", "succeeded", f"{found.view.phase}, as planned", baseline=baseline)

    async def _let_on(self) -> None:
        """Nothing stands against going forward that was recorded since it was agreed to. What can be steered waits for
        that; an order in one step was meant for then. Raises PreconditionFailed."""
        work = self._work
        if not self._kind.held_back:
            await work.safe_point()
        elif self._word in FOLLOWED_WORDS:
            await let_on(work, work.safe_point, moved=False)
        elif (found := await against(work)) is not None:
            raise PreconditionFailed("refused", found.text, found.fix)

    async def _give(self, step: str, order: Order, expected: str | None = None) -> str:
        """A way back that got no answer and came to nothing is ordered again."""
        await self._work.begin(step)
        for attempt in range(1, GIVE_TRIES + 1):
            try:
                given = await self._orders.give(step, order, expected)
                break
            except PreconditionFailed as no:
                lost = no.error.kind in ("timeout", "unreachable", "rate_limited")
                if expected is not None or not lost or attempt == GIVE_TRIES:
                    await self._work.end(step, "failed", str(no))
                    raise
            await asyncio.sleep(AGAIN_S * attempt)
        await self._work.end(step, "succeeded", f"{given.name}: {given.detail}" if given.detail else given.name)
        return given.id

    async def _follow(self, step: str, operation: str, *, forward: bool, arrival: bool = False) -> Operation:
        if self._target.settings.probe is not None and not self._prober.running:
            await self._prober.start()
        found = await self._following.run(step, operation, forward=forward, arrival=arrival)
        good = found.state == "succeeded" or found.open or (found.state == "rolled_back" and not forward)
        await self._work.end(step, "succeeded" if good else "failed", found.detail or found.state)
        return found

    async def _judge_end(self, found: Operation, *, back: bool) -> None:
        """Raises Ended where the change did not come to what this action wants."""
        if found.state == "succeeded" or found.open:
            if back:  # it was over before it could be stopped
                raise PreconditionFailed("conflict", f"{found.name} had ended before it was stopped: {found.detail}")
            return
        if found.state == "rolled_back" and back:
            return
        if found.left and back and found.source is not None and self._plan.kind == "rollback":
            return  # it is put right by another order
        words = f"{self._target.entry.type}: {found.detail or found.state}"
        if found.left and found.undone_by_us and self._kind.forward:
            raise Failed(words, "shift_failed")
        if found.state == "rolled_back" and self._kind.forward:
            raise Ended("rolled_back", self._went_back_itself(found, words), _answering(found, self._plan.from_))
        here = command("deploy rollback", self._plan.service)
        if found.state == "stopped" and not found.moved:
            raise Ended("aborted", ActionError(kind="controller", message=words, fix=here))
        raise Ended("rollback_failed", ActionError(kind="controller", message=words, fix=self._by_hand() or here))

    def _went_back_itself(self, found: Operation, words: str) -> ActionError:
        """Why it went back, in the words of the system; with both ways out where that may still go forward again."""
        if not found.still_wanted:
            return ActionError(kind="controller", message=words)
        service, back = self._plan.service, found.source.words if found.source else self._plan.from_
        fix = f"{command('deploy rollback', service)} puts {back} back there; {command('deploy retry', service)} "
        fix += f"goes forward to {found.target.words} again"
        return ActionError(kind="controller", message=f"{words}; spec-not-back: {STILL_WANTED}", fix=fix)

    async def _unwant(self, found: Operation) -> Operation:
        """What went back, or was ended half way, is wanted no more: else the next push of anybody goes forward to it.
        Raises what keeps it."""
        if found.source is None:
            raise PreconditionFailed("failed", f"{found.name}: {STILL_WANTED}")
        order = Order(order="rollback", revision=found.source.id, version=found.source.version or "")
        back = await self._orders.settle(UNWANT) or await self._give(UNWANT, order)
        ended = await self._follow("follow-spec", back, forward=False, arrival=True)
        if ended.state != "succeeded" and not ended.open:
            raise PreconditionFailed("failed", f"{ended.name}: {ended.detail or ended.state}")
        return ended

    async def _bake(self, operation: str) -> None:
        """Gates see all traffic for as long as the entry says, also where the controller moved it at once. Raises
        Failed, and Ended where the change went back meanwhile."""
        if self._judge is None:
            return
        gone = await Baking(self._work, self._target, *self._following.baked(self._judge)).run(operation)
        if gone is not None:
            if gone.open:
                gone = await self._follow("follow-back", operation, forward=False)
            await self._judge_end(gone, back=False)

    async def _end(self, end: Ended) -> None:
        """After a way back of the controller itself: what was live before is proven too."""
        status, error = end.status, end.error
        if status == "rolled_back":
            try:
                await self._verify("verify-back", end.answers)
            except Failed as failure:
                status = "rollback_failed"
                error = ActionError(kind=error.kind, message=f"{error.message}; and {failure}", fix=self._by_hand())
        await self._work.finish(status, error=error)

    async def _verify(self, step: str, version: str | None) -> None:
        """The last 20 of 20 fresh requests say `version`. Raises Failed; without a probe nothing is proven, and nothing
        where nobody can tell the version."""
        if self._target.settings.probe is None or version is None:
            return
        work, prober = self._work, self._prober
        left_s = await work.begin(step, lasts_s=VERIFY_S)
        prober.hurry()
        if not prober.running:
            await prober.start()
        proven = await prober.proven(version, left_s)
        words = f"{prober.of_last(version)} of {NEEDED} fresh requests {version}"
        old = self._plan.from_ if version == self._plan.to else ""
        await work.progress(step, words, prober.times(old, self._plan.to))
        if not proven:
            problem = f"{words}: {prober.last_error() or 'another version answers'}"
            await work.end(step, "failed", problem)
            raise Failed(f"{step} failed: {problem}", "verify_failed")
        await work.end(step, "succeeded", words, side={"color": version, "version": version})

    # ---- back

    async def _return(self, error: ActionError, by_hand: bool) -> None:
        work = self._work
        operation = await self._orders.settle(self._word)
        if not operation or self._word not in FOLLOWED_WORDS:
            await work.finish("aborted", error=error)
            return
        if self._kind.back:  # of a way back there is no way back
            await work.finish("rollback_failed", error=_stuck(error, str(error.message), self._by_hand()))
            return
        await work.set("rolling_back", "abort", error, released="it goes back", by_hand=by_hand, kind=error.kind)
        try:
            async with Commands(work).ending():  # of a smoke test, too, that an earlier runner has left
                await self._went_back(operation)
        except (PreconditionFailed, Failed, BackendError) as failure:
            words = f"{error.message}; and the way back failed: {failure}"
            await work.finish("rollback_failed", error=_stuck(error, words, self._by_hand()))
        else:
            await work.finish("rolled_back", error=error)

    async def _went_back(self, operation: str) -> None:
        """Order the way back, follow it to its end and prove that. Raises what keeps it from getting there."""
        back = await self._orders.settle("rollback")
        if not back:
            await self._orders.settle("abort")
            found = await self._patiently(operation)
            if found.open and not found.back:
                with contextlib.suppress(PreconditionFailed):  # it may just have ended
                    await self._give("abort", Order(order="abort", operation=operation))
            if found.open:
                found = await self._follow("follow-back", operation, forward=False)
            if found.state == "succeeded":
                back = await self._give("rollback", Order(order="rollback", revision=self._expected.home))
            elif found.still_wanted or (found.left and found.source is not None):
                found = await self._unwant(found)
            elif found.state != "rolled_back" and (found.moved or found.state != "stopped"):
                raise PreconditionFailed("failed", f"{found.name}: {found.detail or found.state}")
        if back:
            found = await self._follow("follow-back", back, forward=False, arrival=True)
            if found.state != "succeeded" and not found.open:
                raise PreconditionFailed("failed", f"{found.name}: {found.detail or found.state}")
        await self._verify("verify-back", _answering(found, self._plan.from_))

    async def _patiently(self, operation: str) -> Operation:
        """The operation, asked for during a minute: without it nothing can be ordered. Raises BackendError."""
        until = time.monotonic() + UNREAD_S
        while True:
            try:
                return await self._adapter.operation(operation)
            except BackendError:
                if time.monotonic() >= until:
                    raise
            await asyncio.sleep(AGAIN_S)

    def _by_hand(self) -> str:
        order = Order(order="rollback", revision=self._expected.home, operation=self._orders.operation_of(self._word))
        return "; ".join(self._adapter.manual_commands(order))

    async def _abandoned(self, order: Ordered) -> None:
        try:
            truth = (await self._orders.state()).view.message
        except BackendError as error:
            truth = f"what is live can not be read: {error.message}"
        await self._work.abandoned(order, truth)


def _answering(found: Operation, version: str) -> str | None:
    """Which version answers at its end: `version`, unless the system says how it is called there; null for unknown."""
    return version if found.answers == "" else found.answers


def _stuck(error: ActionError, words: str, fix: str) -> ActionError:
    return ActionError(kind="rollback_failed", message=words, fix=fix or error.fix)
