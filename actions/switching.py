"""The steps of a flip and of a rollback: preflight, shift, verify, bake, and the way back where one of them fails.

Every effect is journalled as an intent before it and as an observation after it. What can not be read is never taken
to be as it should: a write without an answer is looked for, and a control object that is not ours is left alone.
"""

import asyncio
import contextlib
import time

from msgspec import Struct

from actions.models import ActionError
from actions.probing import Prober
from actions.rows import Changes
from actions.switch_plan import IDLE_PROBES, SELF_TEST_PROBES, full
from actions.targets import SwitchTarget
from actions.work import Ordered, Work, uninterrupted
from backends.errors import BackendError
from backends.ports import SwitchState

VERIFY_S = 120.0
PROBES_AT_ONCE = 5
PREFLIGHT_S = 60.0
HOLD_S = 600.0
BAKE_SAMPLE_S = 1.0
BAD_SAMPLES = 2
WRITE_TRIES = 3
READ_AGAIN_S = (0.1, 0.3, 0.8, 1.5, 3.0)
FORWARD_STEPS = ("preflight", "shift", "verify", "bake")
BACK_STEPS = ("preflight", "shift", "verify")


class Unfit(Exception):
    """What must hold before traffic moves does not hold; nothing has moved."""

    def __init__(self, kind: str, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.error = ActionError(kind=kind, message=message, fix=fix)


class Failed(Exception):
    """Traffic has moved, and it is not as it should be."""


class Conflict(Exception):
    """The control object is neither what was expected nor what this action wrote."""

    def __init__(self, found: SwitchState) -> None:
        super().__init__(f"the control object says {_shares(found)}: somebody else changed it")


class NotWritten(Exception):
    """The adapter failed, and the control object is as it was."""

    def __init__(self, error: BackendError) -> None:
        super().__init__(error.message)
        self.error = error


class InDoubt(Exception):
    """A write was not answered, and what came of it can not be read."""


class _Sample(Struct, frozen=True):
    good: bool | None  # None: nothing could be seen
    detail: str


class Switching:
    """One flip or one rollback. `run` returns when the action has ended, or stopped in an open state."""

    def __init__(self, work: Work, target: SwitchTarget) -> None:
        self._work = work
        self._target = target
        self._adapter = target.adapter
        self._settings = target.settings
        plan = work.plan
        self._from, self._to = plan.from_, plan.to
        expected = plan.expected
        self._before = SwitchState(
            weights=expected["weights"], revision=expected["revision"], stamp=expected.get("stamp", "")
        )

    async def run(self) -> None:
        """From where the journal says it is. Raises LeaseLost."""
        try:
            if self._work.plan.kind == "rollback":
                await self._rollback()
            else:
                await self._flip()
        except Conflict as conflict:
            fix = f"look at it; then {self._work.plan.summary.undo or 'plan anew'}"
            await self._work.set("conflict", "conflict", ActionError(kind="conflict", message=str(conflict), fix=fix))
        except InDoubt as doubt:
            fix = "; ".join(self._adapter.manual_commands(self._before.weights))
            await self._work.set("in_doubt", "shift", ActionError(kind="in_doubt", message=str(doubt), fix=fix))

    # ---- forward

    async def _flip(self) -> None:
        work = self._work
        try:
            await work.unless_ordered(self._forward())
            while not await work.finish("succeeded"):
                await work.unless_ordered(asyncio.sleep(1))
        except Ordered as order:
            await work.obeyed(order.command)
            await self._go_back(str(order), by_hand=True)
        except Unfit as unfit:
            await self._abort(unfit.error)
        except Failed as failure:
            await self._go_back(str(failure), by_hand=False)

    async def _forward(self) -> None:
        await self._classify("shift")
        if not self._has_moved():
            await self._preflight(IDLE_PROBES)
        prober = Prober(self._target.probe)
        try:
            await self._shift(prober, "shift", self._before, full(self._settings, self._to))
            await self._verify(prober)
        finally:
            await prober.stop()
        await self._bake()

    async def _preflight(self, idle_probes: int) -> None:
        work = self._work
        await work.begin("preflight")
        try:
            async with asyncio.timeout(work.remaining_s(PREFLIGHT_S)):
                detail = await self._looked(idle_probes)
        except TimeoutError:
            raise await self._unfit(Unfit("deadline", "preflight: out of time, nothing was moved")) from None
        except BackendError as error:
            raise await self._unfit(Unfit(error.kind, error.message, error.fix)) from None
        except Unfit as unfit:
            raise await self._unfit(unfit) from None
        await work.end("preflight", "succeeded", detail)

    async def _looked(self, idle_probes: int) -> str:
        found = await self._adapter.observe()
        if not _same(found, self._before):
            raise Unfit("conflict", str(Conflict(found)), "look again, then plan anew")
        for first in range(0, idle_probes, PROBES_AT_ONCE):
            count = min(PROBES_AT_ONCE, idle_probes - first)
            for health in await asyncio.gather(*(self._adapter.color_health(self._to) for _ in range(count))):
                if not health.healthy:
                    words = f"{self._to.upper()} is not healthy, asked {idle_probes} times: {health.detail}"
                    raise Unfit("target_unhealthy", words, f"make {self._to.upper()} healthy first")
        proof = ""
        if self._work.plan.kind == "flip" and self._from in self._settings.colors:
            for _ in range(SELF_TEST_PROBES):
                seen = await self._target.probe()
                if seen is None or seen.color != self._from:
                    why = "there is no probe" if seen is None else seen.error or f"it says {seen.color}"
                    fix = "see that the probe's URL answers"
                    raise Unfit("probe", f"the probe does not prove {self._from.upper()} now: {why}", fix)
            proof = f", a fresh request proves {self._from.upper()}"
        return f"{self._to.upper()} healthy in {idle_probes} of {idle_probes} probes{proof}"

    async def _unfit(self, unfit: Unfit) -> Unfit:
        await self._work.end("preflight", "failed", str(unfit))
        return unfit

    async def _abort(self, error: ActionError) -> None:
        await self._work.finish("aborted", error=error, skip=FORWARD_STEPS)

    # ---- moving

    async def _shift(self, prober: Prober | None, step: str, expected: SwitchState, weights: dict[str, int]) -> None:
        await self._work.begin(step)
        if prober is not None:
            await prober.start()
            prober.mark_write()
        try:
            detail = await uninterrupted(self._move(step, expected, weights))
        except NotWritten as unwritten:
            error = unwritten.error
            await self._work.end(step, "failed", error.message)
            raise Unfit(error.kind, error.message, error.fix) from None
        except (Conflict, InDoubt) as stop:
            await self._work.end(step, "failed", str(stop))
            if isinstance(stop, InDoubt) or self._has_moved():
                raise
            raise Unfit("conflict", str(stop), "look again, then plan anew") from None
        await self._work.end(step, "succeeded", detail)

    async def _move(self, step: str, expected: SwitchState, weights: dict[str, int]) -> str:
        """Intent, compare and write, observation. Returns what was observed, in words."""
        stamp = f"{self._work.action_id}:{step}"
        try:
            found = await self._adapter.observe()
        except BackendError as error:
            raise NotWritten(error) from None
        if found.weights != weights or found.stamp != stamp:
            if not _same(found, expected):
                raise Conflict(found)
            await self._work.intent(step, _state(found), {"weights": weights, "stamp": stamp})
            try:
                found = await self._adapter.shift(found, weights, stamp=stamp)
            except BackendError as error:
                found = await self._settle(error, found, weights, stamp)
        if found.weights != weights or found.stamp != stamp:
            raise Conflict(found)
        await self._observed(step, found)
        return _shares(found)

    async def _classify(self, step: str) -> None:
        """What came of the write that an earlier runner began and did not live to see: looked for before anything else,
        since a preflight would take it for somebody else's change. Raises Conflict or InDoubt."""
        work = self._work
        intent = work.happened("intent", step)
        if intent is None or work.happened("observed", step) is not None:
            return
        requested = intent.data["requested"]
        before = SwitchState(weights=intent.data["before"]["weights"], revision=intent.data["before"]["revision"])
        lost = BackendError("internal", "the runner that wrote it died")
        try:
            found = await self._settle(lost, before, requested["weights"], requested["stamp"])
        except NotWritten:
            return
        await self._observed(step, found)

    async def _observed(self, step: str, found: SwitchState) -> None:
        undone = self._work.plan.expected.get("undoes") or None
        await self._work.observed(
            step, _state(found), "applied", changes=Changes(changed=True), undone=undone if step == "shift" else None
        )

    async def _settle(
        self, error: BackendError, before: SwitchState, weights: dict[str, int], stamp: str
    ) -> SwitchState:
        """What came of a write that failed: ours. Raises NotWritten, Conflict or InDoubt."""
        unread = error.message
        for wait_s in READ_AGAIN_S:
            try:
                found = await self._adapter.observe()
            except BackendError as again:
                unread = again.message
                await asyncio.sleep(wait_s)
                continue
            if found.weights == weights and found.stamp == stamp:
                return found
            if _same(found, before):
                raise NotWritten(error)
            raise Conflict(found)
        raise InDoubt(f"{error.message}; and it can not be read: {unread}")

    def _has_moved(self) -> bool:
        return self._work.happened("observed", "shift") is not None

    # ---- proving

    async def _verify(self, prober: Prober, step: str = "verify", color: str = "", deadline_s: float = 0.0) -> None:
        """The last 20 of 20 fresh requests, the control object and the side itself. Raises Failed."""
        work, color = self._work, color or self._to
        await work.begin(step)
        telling = asyncio.create_task(self._tell(prober, step, color))
        try:
            proven = await prober.proven(color, deadline_s or work.remaining_s(VERIFY_S))
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        report = prober.report(self._from, self._to)
        sample = await self._sample(color)
        seen = f"{prober.of_last(color)} of 20 fresh requests {color.upper()}"
        await work.progress(step, seen, report if color == self._to else None)
        if not proven or not sample.good:
            why = sample.detail if proven else prober.last_error() or "another side answers"
            await work.end(step, "failed", f"{seen}: {why}")
            raise Failed(f"{step} failed: {seen}: {why}")
        await work.end(step, "succeeded", f"{seen}, control {color.upper()}, {sample.detail}")

    async def _tell(self, prober: Prober, step: str, color: str) -> None:
        while True:
            await asyncio.sleep(1.0)
            seen = f"{prober.of_last(color)} of 20 fresh requests {color.upper()}"
            report = prober.report(self._from, self._to) if color == self._to else None
            await self._work.progress(step, seen, report)

    async def _bake(self) -> None:
        """Watch for the bake time. Two bad looks in a row are a failure; a look that saw nothing is not a good one:
        the end waits for a good look, up to ten minutes."""
        work, bake_s = self._work, float(self._settings.bake)
        await work.begin("bake", f"{self._settings.bake}")
        until, bad, looks = time.monotonic() + bake_s, 0, 0
        pause_s = min(BAKE_SAMPLE_S, max(0.05, bake_s / 4))
        while True:
            sample = await self._sample(self._to)
            looks += 1
            bad = bad + 1 if sample.good is False else 0
            if bad >= BAD_SAMPLES:
                await work.end("bake", "failed", sample.detail)
                raise Failed(f"bake failed: {sample.detail}")
            over = time.monotonic() >= until
            if over and sample.good:
                break
            if time.monotonic() >= until + HOLD_S:
                await work.end("bake", "failed", f"nothing could be proven: {sample.detail}")
                raise Failed(f"bake: nothing could be proven for {HOLD_S / 60:g} min: {sample.detail}")
            await asyncio.sleep(pause_s)
        await work.end("bake", "succeeded", f"{looks} looks in {self._settings.bake}, {self._to.upper()} healthy")

    async def _sample(self, color: str) -> _Sample:
        """One look at all three layers. Raises Conflict where the control object is not what this action wrote."""
        try:
            found = await self._adapter.observe()
        except BackendError as error:
            return _Sample(None, error.message)
        if found.weights != full(self._settings, color) or not found.stamp.startswith(f"{self._work.action_id}:"):
            raise Conflict(found)
        health, seen = await asyncio.gather(self._adapter.color_health(color), self._target.probe())
        if not health.healthy:
            return _Sample(health.healthy, f"{color.upper()}: {health.detail}")
        if seen is None or seen.color is None:
            return _Sample(False if seen else None, seen.error if seen else "no probe")
        if seen.color != color:
            return _Sample(False, f"a fresh request was answered by {seen.color.upper()}")
        return _Sample(True, f"{color.upper()} healthy")

    # ---- back

    async def _go_back(self, why: str, *, by_hand: bool) -> None:
        """From wherever a flip is to where it came from."""
        work = self._work
        error = ActionError(kind="ordered" if by_hand else "verify_failed", message=why)
        if not self._has_moved() and work.happened("intent", "shift") is None:
            await self._abort(error)
            return
        await work.set("rolling_back", "shift-back", error)
        found = await self._observed_somehow()
        if found is not None and found.weights == self._before.weights:
            await self._abort(error) if not self._has_moved() else await self._ended_back(error)
            return
        if found is None or not found.weights:
            await self._stuck(f"{why}; and what is live is unknown")
            return
        if not by_hand and not found.stamp.startswith(f"{work.action_id}:"):
            raise Conflict(found)
        problem = await self._old_side_unfit()
        if problem:
            await self._stuck(f"{why}; and {problem}: no traffic is sent there")
            return
        prober = Prober(self._target.probe)
        try:
            await self._shift_back(prober, found)
            await self._verify(prober, "verify-back", self._from, VERIFY_S)
        except (Unfit, Failed) as failure:
            await self._stuck(f"{why}; and the way back failed: {failure}")
            return
        finally:
            await prober.stop()
        await self._ended_back(error)

    async def _shift_back(self, prober: Prober, found: SwitchState) -> None:
        for attempt in range(1, WRITE_TRIES + 1):
            try:
                await self._shift(prober if attempt == 1 else None, "shift-back", found, self._before.weights)
                return
            except Unfit:
                if attempt == WRITE_TRIES:
                    raise
                await asyncio.sleep(0.2 * attempt)

    async def _old_side_unfit(self) -> str:
        for _ in range(SELF_TEST_PROBES):
            health = await self._adapter.color_health(self._from)
            if not health.healthy:
                return f"{self._from.upper()} is not healthy: {health.detail}"
        return ""

    async def _observed_somehow(self) -> SwitchState | None:
        for wait_s in (*READ_AGAIN_S[:3], 0.0):
            with contextlib.suppress(BackendError):
                return await self._adapter.observe()
            await asyncio.sleep(wait_s)
        return None

    async def _ended_back(self, error: ActionError) -> None:
        await self._work.finish("rolled_back", error=error, skip=FORWARD_STEPS)

    async def _stuck(self, words: str) -> None:
        fix = "; ".join(self._adapter.manual_commands(self._before.weights))
        error = ActionError(kind="rollback_failed", message=words, fix=fix)
        await self._work.finish("rollback_failed", error=error, skip=FORWARD_STEPS)

    async def _rollback(self) -> None:
        """A flip of the past taken back: the other side must be healthy, nothing else may stand in its way."""
        work = self._work
        prober = Prober(self._target.probe)
        try:
            await self._classify("shift")
            if not self._has_moved():
                await self._preflight(SELF_TEST_PROBES)
            await self._shift(prober, "shift", self._before, full(self._settings, self._to))
            await self._verify(prober, deadline_s=VERIFY_S)
        except Unfit as unfit:
            await work.finish("aborted", error=unfit.error, skip=BACK_STEPS)
        except Failed as failure:
            fix = "; ".join(self._adapter.manual_commands(full(self._settings, self._to)))
            error = ActionError(kind="rollback_failed", message=str(failure), fix=fix)
            await work.finish("rollback_failed", error=error, skip=BACK_STEPS)
        else:
            await work.finish("succeeded")
        finally:
            await prober.stop()


def _same(found: SwitchState, expected: SwitchState) -> bool:
    return (found.weights, found.revision) == (expected.weights, expected.revision)


def _state(found: SwitchState) -> dict[str, object]:
    return {"weights": found.weights, "revision": found.revision, "stamp": found.stamp}


def _shares(found: SwitchState) -> str:
    if not found.weights:
        return found.detail or "nothing that can be read"
    return ", ".join(f"{color.upper()} {weight} %" for color, weight in found.weights.items())
