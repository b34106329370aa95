"""Whether somebody else writes the control object of an action: looked at beside every phase, forward and back."""

import asyncio
from typing import NoReturn

from actions.journal.rows import Event
from actions.judging.stages import moves
from actions.switching.traffic import Traffic, same
from actions.targets import SwitchTarget
from actions.work import Work
from backends.errors import BackendError
from backends.ports import SwitchState

LOOK_S = 1.0
AGAIN_S = 0.2


class ExternalEdits:
    """Looks at the control object of one action once a second, except while a write of its own is under way."""

    def __init__(self, work: Work, target: SwitchTarget, traffic: Traffic) -> None:
        self._work = work
        self._adapter = target.adapter
        self._traffic = traffic
        self._taken: tuple[int, SwitchState] | None = None

    def take(self, found: SwitchState) -> None:
        """Expect the switch to be as `found`, whoever wrote that, until this action writes again."""
        self._taken = len(self._writes()), found

    async def watch(self) -> NoReturn:
        """A guard: raises Conflict where two looks in a row find what this action does not expect. What can not be read
        is nobody's change."""
        while True:
            await asyncio.sleep(LOOK_S)
            if await self._changed() is not None:
                await asyncio.sleep(AGAIN_S)
                if (found := await self._changed()) is not None:
                    raise self._traffic.conflict(found)

    async def _changed(self) -> SwitchState | None:
        writes = len(self._writes())
        try:
            found = await self._adapter.observe()
        except BackendError:
            return None
        # A write of our own that began or ended meanwhile: nobody knows whether `found` was read before it.
        if len(self._writes()) != writes or self._as_expected(found):
            return None
        return found

    def _as_expected(self, found: SwitchState) -> bool:
        writes = self._writes()
        if writes and writes[-1].kind == "intent":
            return True
        if self._taken is not None and self._taken[0] == len(writes):
            return same(found, self._taken[1])
        last = self._traffic.last
        if last is self._traffic.before:
            return same(found, last)
        return found.weights == last.weights and self._traffic.is_ours(found)

    def _writes(self) -> list[Event]:
        """Intents and observations of traffic, oldest first."""
        events = (line.event for line in self._work.history)
        return [event for event in events if event.kind in ("intent", "observed") and moves(event.step)]
