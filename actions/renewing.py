"""A lease is renewed for as long as its action runs, and asked for again at once where its journal did not answer."""

import asyncio
import contextlib
from typing import NoReturn

from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.journal.lease import Lease
from actions.journal.patience import patient
from backends.command_line import command
from backends.errors import BackendError

AGAIN_S = 0.5
STOOD_STILL = "this runner stood still"


async def renewing(journal: Journal, lease: Lease) -> NoReturn:
    """Raises LeaseLost; JournalError where it may be another's, since it was not renewed in time."""
    times, why = journal.times, ""
    silent, wait_s = f"journal {journal.location.name}: no answer", times.renew_s
    while (left_s := journal.unsure_in_s(lease)) > 0:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await asyncio.sleep(wait_s)
                why, wait_s = silent, min(AGAIN_S, times.renew_s)
                try:
                    with patient(None):
                        await journal.renew(lease)
                    why, wait_s = "", times.renew_s
                except BackendError as error:
                    why = error.message
    words = f"its lease was not renewed for {times.self_fence_s:g} s: {why or STOOD_STILL}"
    raise JournalError("unreachable", words, fix=command("action show", lease.action_id))
