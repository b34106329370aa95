"""Why a way forward or back comes to its end."""

from actions.models import ActionError
from backends.errors import BackendError, ErrorKind
from backends.ports import SwitchState, read_stamp
from backends.text import first_line


class PreconditionFailed(Exception):
    """What must hold before traffic moves does not hold; nothing has moved."""

    def __init__(self, kind: str, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.error = ActionError(kind=kind, message=message, fix=fix)


JUDGED_BAD = frozenset({"gate_failed", "smoke_failed", "health_failed", "verify_failed"})
"""The kinds of failure that say something of the version that had the traffic, or should have got it."""


class Failed(Exception):
    """Traffic has moved, and it is not as it should be. `kind` says why, in the journal too: one of `JUDGED_BAD`,
    `shift_failed` (a later write), `deadline` (the action's own time is over), `unproven` (no evidence came)."""

    def __init__(self, message: str, kind: str = "verify_failed") -> None:
        super().__init__(message)
        self.error = ActionError(kind=kind, message=message)


class Conflict(Exception):
    """The control object is neither what was expected nor what this action wrote. `ours`: part of that still stands."""

    def __init__(self, found: SwitchState, *, ours: bool = False) -> None:
        action = read_stamp(found.stamp).action
        by = f" (action {action})" if action else ""
        why = f"changed by somebody else{by}"
        if ours and found.wrote and not found.detail and found.wrote != found.weights:
            why = "changed by somebody else since this action wrote it"
        elif not (ours or by or found.armed) and found.served and found.detail:  # a reload forgot what was written
            why = first_line(found.detail)
        elif ours:
            said = f"; {first_line(found.detail)}" if found.served and found.detail and not found.armed else ""
            why = f"only a part of what this action wrote, the rest did not take or was changed since{said}"
        if found.armed or (found.weights and not found.served and found.detail):
            now = f"is not one thing now ({first_line(found.detail)})"
        else:
            now = f"has {shares(found)} now" if found.weights else f"can not be read now ({shares(found)})"
        super().__init__(f"the switch {now}: {why}")
        self.found = found


class OutOfTime(Exception):
    """The deadline of the action (`--timeout`) has come, and traffic is not all where it should go."""


ANSWERED: frozenset[ErrorKind] = frozenset({"auth", "not_found", "conflict", "config", "failed", "rate_limited"})
"""Errors of a write that are an answer: it was not done, and will not be."""


class NotWritten(Exception):
    """The adapter failed, and what it should have written, or ordered, is as it was."""

    def __init__(self, error: BackendError) -> None:
        super().__init__(error.message)
        self.error = error


class InDoubt(Exception):
    """A write was not answered, and what came of it can not be read."""


class PartialWrite(InDoubt):
    """A write of this action has reached only a part: some of several nodes, a file that is not in force yet."""

    def __init__(self, found: SwitchState, why: str) -> None:
        super().__init__(f"{why}; half done: {first_line(found.detail) or shares(found)}")
        self.found = found


def live_words(found: SwitchState) -> str:
    """What is live, as a sentence."""
    return f"traffic: {shares(found)}" if found.weights else f"what is live is unknown ({shares(found)})"


def shares(found: SwitchState) -> str:
    """The state in words."""
    if not found.weights or found.armed or found.parts:  # no mean of what differs is anybody's traffic
        return first_line(found.detail) or "nothing that can be read"
    return ", ".join(f"{color.upper()} {weight} %" for color, weight in found.weights.items())
