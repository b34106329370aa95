"""How a switch that nobody can read is written anew: with the side that was live, never with one that is guessed."""

import contextlib

from msgspec.structs import replace

from actions.journal.journal import Journal
from actions.switching.changes import newest_change
from backends.errors import BackendError
from backends.ports import SwitchState


async def as_the_journal_knows(state: SwitchState, journal: Journal, context: str, service: str) -> SwitchState:
    """`state`; where nothing proves who is live, with the command for the side on which the newest change left all
    traffic. Unchanged where the journal knows none, or can not be read."""
    if not state.anew:
        return state
    with contextlib.suppress(BackendError):
        change = await newest_change(journal, context, service)
        live = SwitchState(weights=change.left if change is not None else {}, revision="").live
        if change is not None and live in state.anew:
            why = f"{state.detail.partition(chr(10))[0]}; {live.upper()} was live after {change.kind} {change.action}"
            return replace(state, detail=f"{why}\n{state.anew[live]}", anew={})
    return state
