"""The hold of an action as its history tells it: evidence is missing, so nothing moves forward, and until when."""

from actions.deadlines import ending_in, left_s
from actions.journal.rows import Event, StoredEvent, hold_of
from actions.telling import unless_released
from backends.settings import Duration

ENDLESS = float("inf")


def held_for(why: str, seconds: float | None, kind: str = "held") -> Event:
    """A hold begins, or another reason for it, of that `kind`; it lasts at most `seconds`, None: until somebody
    decides."""
    data = {} if seconds in (None, ENDLESS) else ending_in(seconds)
    return Event(step="", kind="held", detail=why, data={**data, "kind": kind})


class ToldHold:
    """Questions of the newest hold in `history`, to which its runner adds while they are asked."""

    def __init__(self, history: list[StoredEvent]) -> None:
        self._history = history

    def left_s(self) -> float | None:
        """Seconds that are left of the hold; `ENDLESS` where it has no end, None where there is no hold."""
        told = self._newest()
        if told is None:
            return None
        found = left_s(told.data)
        return ENDLESS if found is None else found

    def kind(self) -> str:
        """The kind of what it waits for; empty where there is no hold."""
        told = self._newest()
        return "" if told is None else str(told.data.get("kind", "held"))

    def _newest(self) -> Event | None:
        told = next((line.event for line in reversed(self._history) if line.event.kind in ("held", "released")), None)
        return told if told is not None and told.kind == "held" else None

    def why(self) -> str:
        """Why the hold was begun; empty where there is none."""
        hold = hold_of(self._history)
        return "" if hold is None else hold.why

    def end(self, *, back: bool) -> str:
        """`; it goes back by itself in 10m`: what comes of the hold; empty where there is none. `back`: it is one on
        the way back."""
        left = self.left_s()
        if left is None:
            return ""
        when = "" if left == ENDLESS else f"in {Duration(round(left))}"
        return f"{'; it' if when else ','} {unless_released(when, back=back)}"

    def released(self, why: str) -> list[Event]:
        """What ends it; nothing where there is no hold."""
        return [] if self.left_s() is None else [Event(step="", kind="released", detail=why)]
