"""Starting a runner, and waiting until it owns its action, or obeys what was ordered of it."""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from actions import orphans
from actions.journal.journal import Journal
from actions.journal.lease import is_held, owner_file
from actions.journal.rows import Changes
from actions.models import Action, ActionError, Owner
from backends.errors import BackendError

OWNER_WAIT_S = orphans.STARTS_ELSEWHERE_S + 1.0
"""So long that whoever waits for it hears in the end that somebody owns the action, or nobody."""
OBEYED_S = 10.0
_POLL_S = 0.05

Launch = Callable[[str, str], Awaitable[None]]
"""Starts the runner of the action of an id, and tells it the digest of the plan that was agreed to."""

Read = Callable[[str], Awaitable[Action]]


async def start(action_id: str, launch: Launch, journal: Journal, read: Read, digest: str = "") -> Action:
    """Launch a runner, and wait until it owns the action: only then may the caller go away. `digest` is that of the
    plan; of one that another process began, the audit holds it."""
    before = (await read(action_id)).owner
    try:
        await launch(action_id, digest or await journal.digest(action_id))
    except (OSError, BackendError) as error:
        words = error.message if isinstance(error, BackendError) else str(error)
        failed = ActionError(kind="internal", message=f"the runner did not start: {words}")
        if before is None:
            await journal.close_orphan(action_id, Changes(status="aborted", error=failed))
        return await read(action_id)
    own, clock = owner_file(journal.location.directory, action_id), asyncio.get_running_loop().time
    launched = clock()
    while clock() - launched < OWNER_WAIT_S:
        action = await read(action_id)
        # Its runner locks the file of its action as soon as it lives; what was there before it tells nothing of it.
        may_start = before is not None and (clock() - launched < orphans.STARTS_WITHIN_S or is_held(own))
        failed_to_start = action.orphaned_since is not None and not may_start
        if not action.open or failed_to_start or _is_another(action.owner, before):
            return action
        await asyncio.sleep(_POLL_S)
    return await read(action_id)


async def obeyed(action_id: str, journal: Journal, read: Read) -> bool:
    """Wait until the runner has seen what was ordered, a moment at most. False where it turns out that none will."""
    clock = asyncio.get_running_loop().time
    ordered = clock()
    while clock() - ordered < OBEYED_S:
        if not await journal.waiting(action_id):
            return True
        action = await read(action_id)
        if not action.open or action.orphaned_since is not None:
            return not action.open
        await asyncio.sleep(_POLL_S)
    return True


def _is_another(owner: Owner | None, before: Owner | None) -> bool:
    """Whether somebody won the lease since; a dead owner's only runs out meanwhile."""
    return owner is not None and (before is None or replace(owner, lease_over=before.lease_over) != before)
