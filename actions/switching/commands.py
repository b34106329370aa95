"""The commands of an action: recorded before they have an effect, and ended by whoever takes the action over.

A command may outlive the runner that started it, and would then write over what a later action has put there. What can
not be ended from here, because it runs on another host or is another user's, is waited for until its deadline, by what
goes forward; the way back waits for nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, TypeVar

from actions.beside import uninterrupted
from actions.endings import PreconditionFailed
from actions.ids import now
from actions.journal.command_events import LeftoverCommand, ended, left_in, started, unreadable_in
from actions.journal.lease import LeaseLost
from actions.models import ActionError
from actions.work import Work
from backends import commands as shell
from backends.command_line import command
from backends.errors import BackendError
from backends.processes import Running, end, fate

LOOK_S = 0.5

T = TypeVar("T")


def lives(command: Running) -> bool:
    """Whether it runs, or may: where nobody can look, until its deadline. What one that is over has left is what it was
    meant to start, as far as anybody but its own action knows. Blocks for a look at all processes."""
    where = fate(command)
    return where == "here" or (where == "elsewhere" and command.until > now())


class Commands:
    """Those of one action, run by this runner or left by an earlier one."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._scope: _Scope | None = None

    @property
    def over(self) -> bool:
        """Whether what runs was told to end, or has no time left: it is not tried again."""
        return self._scope is not None and (self._scope.stopping.is_set() or self._scope.left_s() <= 0)

    async def run(self, step: str, doing: Coroutine[Any, Any, T], *, at_most_s: float) -> T:
        """`doing` to its end, also where the caller is cancelled: a write is never left half done by us, but the
        commands in it are ended at once then, and after `at_most_s`."""
        scope = self._scope = _Scope(self._work, step, time.monotonic() + at_most_s)
        try:
            return await uninterrupted(_owned(scope, doing), scope.stopping.set)
        except asyncio.CancelledError:
            if scope.begun:
                with contextlib.suppress(BackendError, LeaseLost):
                    await self._work.progress(step, "its command was killed")
            raise

    async def end(self) -> list[Running]:
        """End what earlier runners have left on this service; those that can not be ended from here, and may still
        run. What a command of another action has started, and is over, may serve by now: it is left alone."""
        mine = left_in(self._work.history)
        found = list(mine)
        with contextlib.suppress(BackendError):  # a way back does not wait for a journal
            found += left_in(await self._work.commands_of_service())
        by_mark = {one.command.mark: one for one in found}
        marks = {one.command.mark for one in mine}
        return [one.command for mark, one in by_mark.items() if not await self._ended(one, mine=mark in marks)]

    @contextlib.asynccontextmanager
    async def ending(self) -> AsyncIterator[None]:
        """End them beside what is done meanwhile: traffic that goes back does not wait for them."""
        task = asyncio.create_task(self.end())
        try:
            yield
        finally:
            await task

    async def settle(self, *, wait: bool = True) -> None:
        """End what an earlier runner left, and wait for what can not be ended: nothing goes forward before. Raises
        PreconditionFailed where it can not be read what that is."""
        work, held = self._work, False
        if wait and (unreadable := unreadable_in(work.history)):
            raise PreconditionFailed("malformed", unreadable, "see that no such command runs, then plan anew")
        while (remaining := await self.end()) and wait:
            if work.hold.left_s() is None:
                held = True
                left_s = max((one.until - now()).total_seconds() for one in remaining)
                await work.held(f"a command still runs: {remaining[0]}", max(LOOK_S, left_s))
            fix = f"end it there; or {command('deploy rollback', work.plan.service)}"
            words = f"nothing goes forward while a command runs: {remaining[0]}"
            await work.stand(ActionError(kind="command-running", message=words, fix=fix))
            await asyncio.sleep(LOOK_S)
        if held:
            await work.released("the command is over")
            await work.stand()

    async def _ended(self, left: LeftoverCommand, *, mine: bool) -> bool:
        command = left.command
        where = await asyncio.to_thread(fate, command)
        if where == "left" and not mine:
            return True
        if where in ("here", "left") and await end(command):
            return False
        if where == "elsewhere" and command.until > now():
            return False
        how = {"elsewhere": "its deadline has passed", "gone": "it was over"}.get(where, "ended by another runner")
        with contextlib.suppress(BackendError):  # then it is found to be over once more
            await self._work.record(ended(left.step, command, how))
        return True


class _Scope:
    """The `Owner` of what is run for one step."""

    def __init__(self, work: Work, step: str, until: float) -> None:
        self.stopping = asyncio.Event()
        self.environment: Mapping[str, str] = {"TEAL_ACTION_ID": work.action_id}
        self.begun = False
        self._work, self._step, self._until = work, step, until

    def left_s(self) -> float:
        return self._until - time.monotonic()

    async def started(self, command: Running) -> None:
        if self.stopping.is_set():
            raise BackendError("conflict", f"{command.name}: not begun, it was told to end")
        self.begun = True
        await self._work.record(started(self._step, command))

    async def ended(self, command: Running, how: str) -> None:
        try:
            await self._work.record(ended(self._step, command, how))
        except (BackendError, LeaseLost):
            # Of one that failed nothing is left. What one that succeeded has started would be ended as if it had not.
            if how == shell.SUCCEEDED:
                raise


async def _owned(scope: _Scope, doing: Coroutine[Any, Any, T]) -> T:
    shell.OWNER.set(scope)
    return await doing
