"""The events of commands in the history of an action, and what they say of those that nobody has seen to end."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from actions.rows import Event, Told
from backends.processes import Running

STARTED, ENDED = "command", "command-ended"


class Left(Struct, frozen=True):
    """A command whose end nobody has recorded, and the step that it belongs to."""

    step: str
    command: Running


def started(step: str, command: Running) -> Event:
    """It waits for the word to begin."""
    return Event(step=step, kind=STARTED, data={"command": msgspec.to_builtins(command)})


def ended(step: str, command: Running, how: str) -> Event:
    """It is over."""
    return Event(step=step, kind=ENDED, data={"mark": command.mark, "how": how})


def left_in(history: Iterable[Told]) -> list[Left]:
    """The commands that nobody has seen to end, oldest first."""
    found: dict[str, Left] = {}
    for line in history:
        if line.event.kind == STARTED:
            command = msgspec.convert(line.event.data["command"], Running)
            found[command.mark] = Left(line.event.step, command)
        elif line.event.kind == ENDED:
            found.pop(line.event.data["mark"], None)
    return list(found.values())
