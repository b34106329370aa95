"""Held before traffic moves forward, while what was recorded since it was agreed to speaks against that."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC

from actions.endings import Failed
from actions.journal.steering import HELD_BACK
from actions.models import ActionError, Finding
from actions.switching.holding import HOLD_S
from actions.switching.standing import FREEZE, agreed_at, standing_since
from actions.work import Work
from backends.command_line import command
from backends.settings import Duration

LOOK_S = 0.5


async def let_on(work: Work, still_well: Callable[[], Awaitable[None]], *, moved: bool) -> None:
    """Returns where nothing stands against going forward, and nobody has paused it. A freeze that ends lets it go on by
    itself; a split (`moved`) waits for that as long as for evidence, while it is `still_well`. Raises Failed."""
    await work.safe_point()
    while await _held(work, still_well, moved=moved):
        await work.safe_point()


async def _held(work: Work, still_well: Callable[[], Awaitable[None]], *, moved: bool) -> bool:
    """Whether it was, until nothing stands against it any more."""
    held = False
    while (found := await against(work)) is not None:
        left_s = work.hold.left_s() if work.hold.kind() == HELD_BACK else None
        if left_s is not None and left_s <= 0:
            raise Failed(f"it was not let on for {Duration(HOLD_S)}: {found.text}", "unproven")
        if left_s is None:
            await work.held(found.text, HOLD_S if moved else None, HELD_BACK)
        await work.stand(ActionError(kind=HELD_BACK, message=f"held: {found.text}", fix=ways(work, found)))
        held = True
        if moved:
            await still_well()
        await asyncio.sleep(LOOK_S)
    await work.released("nothing stands against it any more")
    return held


async def against(work: Work) -> Finding | None:
    """What stands against going on now; None where nothing does. Raises BackendError."""
    found = await standing_since(work.plan, work.journal, UTC, agreed_at(work.plan.made_at, work.history))
    return found[0] if found else None


def ways(work: Work, found: Finding) -> str:
    """What ends such a hold."""
    past = f'{command("action resume", work.action_id)} --override {found.code} --reason "…"'
    ends = f"{found.fix}, it goes on by itself then; or " if found.code == FREEZE else ""
    return f"{command('deploy rollback', work.plan.service)}; or {ends}{past}"
