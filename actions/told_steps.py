"""What the history of an action tells of its steps, whichever of its runners carried them out."""

from actions.ids import now, time_of
from actions.journal.rows import Event, StoredEvent


class ToldSteps:
    """Questions of the steps in `history`, to which its runner adds while they are asked."""

    def __init__(self, history: list[StoredEvent]) -> None:
        self._history = history

    def happened(self, kind: str, step: str) -> Event | None:
        """The newest event of that kind in that step, also of an earlier runner."""
        found = (line.event for line in reversed(self._history) if (line.event.kind, line.event.step) == (kind, step))
        return next(found, None)

    def unseen(self, step: str) -> StoredEvent | None:
        """The intent of a write whose outcome nobody has recorded."""
        for line in reversed(self._history):
            if line.event.step == step and line.event.kind == "observed":
                return None
            if line.event.step == step and line.event.kind == "intent":
                return line
        return None

    def attempts(self, step: str) -> int:
        """How often its write was intended."""
        return sum(line.event.kind == "intent" and line.event.step == step for line in self._history)

    def done(self, step: str) -> bool:
        """Whether the step has succeeded, under this runner or an earlier one."""
        verdict = self.happened("verdict", step)
        return verdict is not None and verdict.status == "succeeded"

    def begun(self, step: str) -> bool:
        """Whether the step was begun and has no end."""
        return self.unfinished(step) is not None

    def last_seen(self, step: str) -> float:
        """Seconds since anything was told of the step; infinite where nothing was, or a clock was set back since."""
        at = next((time_of(line.at) for line in reversed(self._history) if line.event.step == step), None)
        ago_s = -1.0 if at is None else (now() - at).total_seconds()
        return ago_s if ago_s >= 0 else float("inf")

    def unfinished(self, step: str) -> Event | None:
        """How the step was begun, where it has no end yet."""
        for line in reversed(self._history):
            if line.event.step == step and line.event.kind in ("begun", "verdict"):
                return line.event if line.event.kind == "begun" else None
        return None
