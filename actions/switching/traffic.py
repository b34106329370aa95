"""Moving traffic, one step at a time: intent, compare and write, observation; and what came of a write in doubt.

Every effect is journalled as an intent before it and as an observation after it. A write without an answer is never
repeated blindly but looked for, and a control object that is not ours is left alone.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from actions.beside import uninterrupted
from actions.deadlines import left_of
from actions.endings import ANSWERED, Conflict, InDoubt, NotWritten, PartialWrite, PreconditionFailed, shares
from actions.expected import SwitchExpected
from actions.ids import time_of
from actions.journal.rows import Changes, StoredEvent
from actions.judging.stages import is_shift, moves, share_of
from actions.kinds import kind_of
from actions.switching.probing import Prober
from actions.targets import SwitchTarget
from actions.work import Work
from backends.errors import BackendError
from backends.ports import Stamp, SwitchState, read_stamp
from backends.text import first_line

READ_AGAIN_S = (0.1, 0.3, 0.8, 1.5, 3.0)
LOOK_S = 0.25
HALF_S = 2.0
END_S = 10.0
WRITE_TRIES = 3
APPLIED, IN_PART, PUT_BACK, NOT_APPLIED = "applied", "applied in part", "put back", "not applied"
_MOVED = (APPLIED, IN_PART, PUT_BACK)

T = TypeVar("T")


class Traffic:
    """The control object of one service under one action."""

    def __init__(self, work: Work, target: SwitchTarget) -> None:
        self._work = work
        self._adapter = target.adapter
        expected = work.plan.expecting(SwitchExpected)
        self.before = SwitchState(weights=expected.weights, revision=expected.revision, stamp=expected.stamp)
        self.home: dict[str, int] = expected.runs or expected.weights

    @property
    def moved(self) -> bool:
        """Whether any traffic was seen to be moved forward."""
        return any(
            line.event.kind == "observed" and is_shift(line.event.step) and line.event.data.get("result") in _MOVED
            for line in self._work.history
        )

    @property
    def put_back(self) -> bool:
        """Whether the newest write was in force for a moment, and its adapter took it back."""
        seen = (line.event for line in reversed(self._work.history) if line.event.kind == "observed")
        newest = next((event for event in seen if moves(event.step)), None)
        return newest is not None and newest.data.get("result") == PUT_BACK

    @property
    def tried(self) -> bool:
        """Whether a write was intended, whatever came of it."""
        return bool(self._written_steps())

    @property
    def in_doubt(self) -> bool:
        """Whether a write was intended that nobody knows the end of."""
        return any(self._work.steps.unseen(step) is not None for step in self._written_steps())

    @property
    def last(self) -> SwitchState:
        """What the control object was when this action last saw it written: what it must be now."""
        for line in reversed(self._work.history):
            if line.event.kind == "observed" and line.event.data.get("result") == APPLIED and moves(line.event.step):
                return state_of(line.event.data["after"])
        return self.before

    async def settle(self) -> None:
        """What came of the writes that an earlier runner intended and did not live to see: looked for before anything
        else, since a preflight would take them for somebody else's change. What is half done stays in doubt: the step
        itself goes on with it, or the way back. Raises Conflict or InDoubt."""
        for step in self._written_steps():
            line = self._work.steps.unseen(step)
            if line is None:
                continue
            data = line.event.data
            lost = BackendError("internal", "the runner that wrote it died")
            sent_at = time_of(line.at)
            late_s = left_of(self._adapter.write_settles_s, sent_at)
            requested = data["requested"]
            try:
                found = await self._settled(
                    lost, state_of(data["before"]), requested["weights"], requested["stamp"], late_s
                )
            except NotWritten:
                nothing = None if self.moved else Changes(changed=False)  # it was in doubt until now
                await self._work.observed(step, data["before"], NOT_APPLIED, changes=nothing)
            except PartialWrite:
                continue
            else:
                await self._observed(step, found)

    async def shift(
        self, step: str, expected: SwitchState, weights: dict[str, int], prober: Prober | None = None
    ) -> None:
        """Move traffic so. Raises PreconditionFailed where nothing was written, PartialWrite where a part was, Conflict
        or InDoubt where nobody knows whose it is."""
        if sum(weights.values()) != 100:
            raise PreconditionFailed("internal", f"weights {weights} do not sum to 100")
        await self._work.begin(step)
        if prober is not None:
            await prober.start()
            prober.mark_write()
        try:
            detail = await uninterrupted(self._move(step, expected, weights))
        except NotWritten as unwritten:
            error = unwritten.error
            await self._work.end(step, "failed", error.message)
            raise PreconditionFailed(error.kind, error.message, error.fix) from None
        except (Conflict, InDoubt) as stop:
            await self._work.end(step, "failed", str(stop))
            raise
        await self._work.end(step, "succeeded", detail)

    async def seen(self) -> SwitchState | None:
        """The control object now, asked for a few times; None where it can not be read."""
        try:
            return await patiently(self._adapter.observe)
        except BackendError:
            return None

    async def end(self) -> None:
        """Note on the control object that this action is over, where it wrote that last: other journals go by it. What
        goes wrong leaves the mark open, which asks others to look and keeps nobody from the way back."""
        with contextlib.suppress(BackendError, TimeoutError):
            async with asyncio.timeout(END_S):
                found = await self._adapter.observe()
                if self.is_ours(found):
                    await self._adapter.mark_ended(found)

    def is_ours(self, found: SwitchState) -> bool:
        """Whether this action wrote it."""
        return read_stamp(found.stamp).action == self._work.action_id

    def conflict(self, found: SwitchState) -> Conflict:
        """The error that says so of a switch which is not as this action wrote it, or was to find it."""
        return Conflict(found, ours=self.is_ours(found))

    async def _move(self, step: str, expected: SwitchState, weights: dict[str, int]) -> str:
        """Returns what was observed, in words."""
        # whoever reads only the stamp knows the way back
        marked = "shift-back" if kind_of(self._work.plan.kind).back else step
        gains = self._work.plan.to if share_of(marked) not in (None, 0, 100) else ""
        stamp, over = Stamp(self._work.action_id, marked, gains).text(), marked == "shift-back"
        try:
            found = await patiently(self._adapter.observe)
        except BackendError as error:
            raise NotWritten(error) from None
        if found.weights != weights or found.stamp != stamp:
            if not same(found, expected) and found.stamp != stamp:  # with it, it is this very write, half done
                raise self.conflict(found)
            requested = {"weights": weights, "stamp": stamp}
            await self._work.intent(step, plain(found), requested, late_s=self._adapter.write_settles_s)
            before = found
            try:
                found = await self._adapter.shift(
                    replace(before, over=over, back_to=self._parts_of(weights) if over else {}), weights,
                    stamp=stamp, fence=self._work.fence, journal=self._work.journal_id,
                )  # fmt: skip
            except BackendError as error:
                never = error.kind in ANSWERED or error.unsent
                late_s = 0.0 if never else self._adapter.write_settles_s
                try:
                    found = await self._settled(error, before, weights, stamp, late_s)
                except NotWritten:
                    await self._undone(step, before, was_in_force=error.taken_back)
                    raise
                except InDoubt:  # it may be there: nobody may say that nothing changed
                    await self._work.note(Changes(changed=True))
                    raise
                except Conflict as no:
                    if no.found.stamp == stamp:
                        await self._work.observed(step, plain(no.found), IN_PART, changes=Changes(changed=True))
                    elif never:
                        await self._undone(step, before, was_in_force=error.taken_back)
                    raise
        if found.weights != weights or found.stamp != stamp:
            raise self.conflict(found)
        await self._observed(step, found)
        return "; ".join(filter(None, (shares(found), first_line(found.detail) if over else "")))

    async def _observed(self, step: str, found: SwitchState) -> None:
        undone = self._work.plan.expected.undoes if is_shift(step) else None
        await self._work.observed(step, plain(found), APPLIED, changes=Changes(changed=True), undone=undone or None)

    async def _undone(self, step: str, before: SwitchState, *, was_in_force: bool) -> None:
        """Record that the switch is as it was `before` the write. `was_in_force`: the write had taken effect first."""
        if was_in_force:
            await self._work.observed(step, plain(before), PUT_BACK, changes=Changes(changed=True))
        else:
            await self._work.observed(step, plain(before), NOT_APPLIED)

    async def _settled(
        self, error: BackendError, before: SwitchState, weights: dict[str, int], stamp: str, late_s: float
    ) -> SwitchState:
        """What came of a write that failed: ours. Raises NotWritten, Conflict, PartialWrite or InDoubt. For `late_s` it
        may still come: until then `before` says nothing."""
        unread, reads, until = error.message, iter(READ_AGAIN_S), time.monotonic() + late_s
        half_until = time.monotonic() + max(late_s, HALF_S)
        while True:
            try:
                found = await self._adapter.observe()
            except BackendError as again:
                unread = again.message
                wait_s = next(reads, None)
                if wait_s is None:
                    raise InDoubt(f"{error.message}; and it can not be read: {unread}") from None
                await asyncio.sleep(wait_s)
                continue
            if found.weights == weights and found.stamp == stamp:
                return found
            if same(found, before):
                if time.monotonic() >= until:
                    raise NotWritten(error)
            elif found.stamp != stamp or error.kind == "conflict":  # an edit by hand may have kept our stamp
                raise self.conflict(found)
            elif time.monotonic() >= half_until:
                raise PartialWrite(found, error.message)
            await asyncio.sleep(LOOK_S)

    def _parts_of(self, weights: dict[str, int]) -> dict[str, dict[str, int]]:
        """What each part had before this action wrote anything, where that is what `weights` is the mean of."""
        intents = (line.event for line in self._work.history if line.event.kind == "intent" and moves(line.event.step))
        first = next(intents, None)
        if first is None or weights != self.before.weights:
            return {}
        before = state_of(first.data["before"])
        return before.parts if before.weights == weights else {}

    def _written_steps(self) -> list[str]:
        steps = (line.event.step for line in self._work.history if line.event.kind == "intent")
        return [step for step in dict.fromkeys(steps) if moves(step)]


async def patiently(observe: Callable[[], Awaitable[T]]) -> T:
    """What the control object or the controller says, asked a few times over a second and a half: one answer that was
    lost must not keep traffic on a bad side. Raises BackendError."""
    for wait_s in READ_AGAIN_S[:3]:
        with contextlib.suppress(BackendError):
            return await observe()
        await asyncio.sleep(wait_s)
    return await observe()


def same(found: SwitchState, expected: SwitchState) -> bool:
    """Whether nobody wrote it since."""
    return (found.weights, found.revision) == (expected.weights, expected.revision)


def plain(found: SwitchState) -> dict[str, object]:
    """The state as it is kept in the journal."""
    parts = {"parts": found.parts} if found.parts else {}
    return {"weights": found.weights, "revision": found.revision, "stamp": found.stamp, **parts}


def states_in(history: Iterable[StoredEvent]) -> list[SwitchState]:
    """Every state of the control object that was written down, oldest first."""
    found = []
    for line in history:
        event, data = line.event, line.event.data
        if event.kind == "intent" and moves(event.step):
            found += [state_of(data["before"]), state_of({"revision": "", **data["requested"]})]
        elif event.kind == "observed" and moves(event.step):
            found.append(state_of(data["after"]))
    return found


def state_of(kept: dict[str, Any]) -> SwitchState:
    """The inverse of `plain`."""
    plain_state = {"weights": kept["weights"], "revision": kept["revision"], "stamp": kept.get("stamp", "")}
    plain_state["parts"] = kept.get("parts", {})
    return msgspec.convert(plain_state, SwitchState)
