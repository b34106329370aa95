"""Telling those whom a config names of what nobody watches: actions that nobody runs, and pauses of controllers.

Each is told once, by whoever claims it in the journal first. Nothing depends on it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from backends.errors import BackendError
from backends.models import Deployment
from console.config.load import Context
from console.crash import Defects
from panels.kinds.deployments import controller_words, unwatched

if TYPE_CHECKING:
    from actions.gate import Gate
    from console.config_targets import ConfigTargets


class Caring:
    """Of one context. `opened` is its gate, `targets` what the config names; neither is asked for before it is needed.
    It cares from its first look on: who only reads tells nobody."""

    def __init__(
        self,
        context: Context,
        opened: Callable[[], Awaitable[Gate]],
        targets: Callable[[], ConfigTargets],
        defects: Defects,
    ) -> None:
        self._context, self._defects = context, defects
        self._opened = opened
        self._targets = targets
        self._tasks: set[asyncio.Task[None]] = set()
        self._cares = False
        self._told: dict[str, str] = {}

    def begin(self) -> None:
        """`look`, beside what else is done."""
        self._beside(self.look)

    async def look(self) -> None:
        """Tell of actions that nobody runs, unless somebody has."""
        if self._context.config.read_only:
            return
        self._cares = True
        if not self._context.entries["notify"]:
            return
        with contextlib.suppress(BackendError):  # nothing depends on it, and it is asked again
            gate = await self._opened()
            alone = [action for action in await gate.actions(open_only=True) if action.orphaned_since is not None]
            if alone:
                from actions.orphans import tell
                from console.runners import build_described

                notify, policy = self._targets().notify(), gate.policy
                await tell(
                    gate.journal, alone, policy.context, notify, build_described, actor=gate.actor, zone=policy.zone
                )

    def mind(self, deployment: Deployment) -> None:
        """Tell, beside what else is done, of the pause in which it stands where no action of ours watches it."""
        if not self._cares or not self._context.entries["notify"]:
            return
        words = f"{deployment.service}: {controller_words(deployment)}" if unwatched(deployment) else ""
        if words and words != self._told.get(deployment.service):
            self._beside(partial(self._tell_unwatched, deployment, words))
        self._told[deployment.service] = words

    async def aclose(self, *, hangs: bool) -> None:
        """Wait for what is being told; not where the journal `hangs`."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks if hangs else ():
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell_unwatched(self, deployment: Deployment, words: str) -> None:
        from actions.controlling.unwatched import tell_unwatched
        from console.runners import build_described

        with contextlib.suppress(BackendError):  # the same
            gate = await self._opened()
            await tell_unwatched(
                gate.journal, deployment, words, gate.policy.context, self._targets().notify(), build_described,
                actor=gate.actor,
            )  # fmt: skip

    def _beside(self, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.add(asyncio.create_task(self._defects.kept(work), name="care"))
