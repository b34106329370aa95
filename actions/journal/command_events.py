"""The events of commands in the history of an action, and what they say of those that nobody has seen to end."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from actions.journal.rows import Event, StoredEvent
from backends.processes import Running

STARTED, ENDED = "command", "command-ended"


class LeftoverCommand(Struct, frozen=True):
    """A command whose end nobody has recorded, and the step that it belongs to."""

    step: str
    command: Running


def started(step: str, command: Running) -> Event:
    """A command was started, and waits for the word to begin: whoever finds it later knows of it."""
    return Event(step=step, kind=STARTED, data={"command": msgspec.to_builtins(command)})


def ended(step: str, command: Running, how: str) -> Event:
    """A command is over, and `how`."""
    return Event(step=step, kind=ENDED, data={"mark": command.mark, "how": how})


def left_in(history: Iterable[StoredEvent]) -> list[LeftoverCommand]:
    """The commands that nobody has seen to end, oldest first."""
    found: dict[str, LeftoverCommand] = {}
    for line in history:
        if line.event.kind == STARTED and (command := _told_by(line)) is not None:
            found[command.mark] = LeftoverCommand(line.event.step, command)
        elif line.event.kind == ENDED:
            found.pop(str(line.event.data.get("mark")), None)
    return list(found.values())


def unreadable_in(history: Iterable[StoredEvent]) -> str:
    """Which event tells of a command in no way that can be read, in words; empty where none does. What that is may run
    still: nothing goes forward, and a way back passes it by."""
    for line in history:
        if line.event.kind == STARTED and _told_by(line) is None:
            return f"event {line.id} of the journal tells of a {line.event.step} command, and can not be read"
    return ""


def _told_by(line: StoredEvent) -> Running | None:
    try:
        return msgspec.convert(line.event.data.get("command"), Running)
    except msgspec.ValidationError:
        return None
