"""Giving an order to a controller: intent, compare and order, observation; and what came of one in doubt.

As for a switch (`actions.switching.traffic`): an order without an answer is never repeated blindly but looked for.
A command that an order runs is the action's: it goes on behind the order, and is ended by whoever takes the action over
and does not know what came of the order.
"""

import asyncio
import time
from typing import Any

import msgspec
from msgspec.structs import replace

from actions.beside import uninterrupted
from actions.deadlines import left_of
from actions.endings import ANSWERED, InDoubt, NotWritten, PreconditionFailed
from actions.ids import time_of
from actions.journal.rows import Changes
from actions.kinds import kind_of
from actions.switching.commands import Commands
from actions.switching.traffic import patiently
from actions.targets import ControllerTarget
from actions.work import Work
from backends.errors import BackendError
from backends.ports import ControllerState, Operation, Order, Stamp
from backends.ports.controllers import shows

READ_AGAIN_S = (0.1, 0.3, 0.8, 1.5)
LOOK_S = 0.25
GIVE_TRIES = 3
COMMAND_S = 4 * 3600.0
"""A command of an order is ended after this at the latest; its adapter knows better."""
_BEGIN = frozenset({"release", "rollback"})


class Orders:
    """The orders of one action to one controller."""

    def __init__(self, work: Work, target: ControllerTarget, by: str = "") -> None:
        self._work = work
        self._by = by
        self._adapter = target.adapter
        self._commands = Commands(work)

    async def give(self, step: str, order: Order, expected: str | None = None) -> Operation:
        """Give it as `step`, once; returns the operation that it is about. `expected`: the revision that the controller
        must still have; None: as it is now. Raises PreconditionFailed where nothing was ordered, InDoubt."""
        try:
            return await uninterrupted(self._given(step, order, expected))
        except NotWritten as no:
            raise PreconditionFailed(no.error.kind, no.error.message, no.error.fix) from None
        except InDoubt:  # it may have been taken: nobody may say that nothing changed
            await self._work.note(Changes(changed=True))
            raise

    def operation_of(self, *steps: str) -> str:
        """The id of the operation that the newest of these orders is about; empty where none was taken."""
        for line in reversed(self._work.history):
            event = line.event
            if event.step in steps and event.kind == "observed" and event.data.get("result") == "applied":
                return str(event.data["after"].get("operation", ""))
        return ""

    @property
    def _gave(self) -> bool:
        events = (line.event for line in self._work.history if line.event.kind == "observed")
        return any(event.data.get("result") == "applied" for event in events)

    def in_doubt(self, step: str) -> bool:
        """Whether it was intended, and nobody knows what came of it."""
        return self._work.steps.unseen(step) is not None

    async def settle(self, step: str) -> str:
        """The operation of an order that an earlier runner gave and did not live to see the end of; empty where nothing
        came of it. A command that it ran is ended first: it might act later."""
        line = self._work.steps.unseen(step)
        if line is None:
            return self.operation_of(step)
        await self._commands.settle(wait=kind_of(self._work.plan.kind).forward)
        data = line.event.data
        before = msgspec.convert(data["before"]["state"], ControllerState)
        order = msgspec.convert(data["requested"]["order"], Order)
        late_s = left_of(self._adapter.order_settles_s, time_of(line.at))
        lost = BackendError("internal", "the runner that ordered it died")
        try:
            found = await self._settled(lost, order, before, data["requested"]["stamp"], late_s)
        except NotWritten:
            nothing = None if self._gave else Changes(changed=False)  # it was in doubt until now
            await self._work.observed(step, data["before"], "not applied", changes=nothing)
            return ""
        return (await self._seen(step, found)).id

    async def state(self) -> ControllerState:
        """What it says now, asked a few times. Raises BackendError."""
        return await patiently(self._adapter.observe)

    async def _given(self, step: str, order: Order, expected: str | None) -> Operation:
        work, stamp = self._work, Stamp(self._work.action_id, step).text()
        try:
            before = await self.state()
        except BackendError as error:
            raise NotWritten(error) from None
        if expected is not None and before.revision != expected:
            words = f"the controller has changed since: {before.view.message or before.view.phase}"
            raise NotWritten(BackendError("conflict", words, fix="look again, then plan anew"))
        order = replace(order, by=self._by)
        plain = {"state": msgspec.to_builtins(before), **_plain(before)}
        requested = {"order": msgspec.to_builtins(order), "stamp": stamp}
        await work.intent(step, plain, requested, late_s=self._adapter.order_settles_s)
        try:
            ordering = self._adapter.order(before, order, stamp=stamp)
            found = await self._commands.run(step, ordering, at_most_s=COMMAND_S)
        except BackendError as error:
            late_s = 0.0 if error.kind in ANSWERED else self._adapter.order_settles_s
            try:
                found = await self._settled(error, order, before, stamp, late_s)
            except NotWritten:
                await work.observed(step, _plain(before), "not applied")
                raise
        if found.unanswered and order.order not in _BEGIN:  # the change that these begin says itself how it is
            raise InDoubt(found.unanswered)
        return await self._seen(step, found)

    async def _seen(self, step: str, found: ControllerState) -> Operation:
        undone = self._work.plan.expected.undoes or None
        await self._work.observed(step, _plain(found), "applied", changes=Changes(changed=True), undone=undone)
        if found.newest is None:
            raise PreconditionFailed("malformed", "the controller took the order, and shows no change under way")
        return found.newest

    async def _settled(
        self, error: BackendError, order: Order, before: ControllerState, stamp: str, late_s: float
    ) -> ControllerState:
        """What shows that an order was taken whose answer was lost. For `late_s` it may still come. Raises NotWritten,
        and InDoubt where nobody can look."""
        until, reads, unread = time.monotonic() + late_s, iter(READ_AGAIN_S), ""
        while True:
            try:
                found = await self._adapter.observe()
                unread = ""
                if shows(order, before, found, stamp) and (order.order in _BEGIN or not found.unanswered):
                    return found
            except BackendError as again:
                unread = again.message
            if unread:
                wait_s = next(reads, None)
                if wait_s is None:
                    raise InDoubt(f"{error.message}; and it can not be read: {unread}")
                await asyncio.sleep(wait_s)
                continue
            if time.monotonic() >= until:
                if found.unanswered:
                    raise InDoubt(found.unanswered)
                raise NotWritten(error)
            await asyncio.sleep(LOOK_S)


def _plain(found: ControllerState) -> dict[str, Any]:
    newest = found.newest
    return {
        "revision": found.revision, "phase": found.view.phase, "operation": newest.id if newest else "",
        "detail": newest.detail if newest else "",
    }  # fmt: skip
