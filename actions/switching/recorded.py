"""Whether an action can be gone by as it was recorded: what reads its history is tried before a runner begins."""

from typing import Any

import msgspec

from actions.ids import time_of
from actions.journal.errors import making_sense
from actions.journal.journal import Journal
from actions.journal.rows import Event, gates_of, hold_of, steps_of
from actions.journal.steering import Steering, begun_back
from actions.judging.sampling import Frozen
from actions.switching.traffic import states_in
from backends.ports import Deployed


async def must_make_sense(journal: Journal, action_id: str) -> None:
    """Raises JournalError where no runner could go by what was recorded of it."""
    history = await journal.history(action_id)
    with making_sense(journal.location.name):
        begun_back(history)
        Steering(history)
        states_in(history)
        steps_of(history)
        hold_of(history)
        gates_of(history)
        for line in history:
            time_of(line.at)
            _read(line.event)


def _read(event: Event) -> None:
    """Read an event as the steps do, which go by what an earlier runner told. Raises what its data makes it."""
    data = event.data
    match event.kind:
        case "begun":
            time_of(data.get("until"))
        case "intent":
            msgspec.convert(data["requested"], dict[str, Any])
            if event.step == "deploy":
                msgspec.convert(data["before"], Deployed)
            if event.step != "order":
                msgspec.convert(data["requested"]["stamp"], str)
        case "observed":
            msgspec.convert(data["result"], str)
        case "verdict":
            msgspec.convert(data.get("baseline", {}), dict[str, Frozen])
