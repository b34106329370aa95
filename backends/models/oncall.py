"""Who is on call."""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from backends.models.health import Health


class Shift(Struct, frozen=True, kw_only=True):
    """From when to when the same people are on call; `who` is empty where nobody is. `since` is null where it began
    before what was looked at, `until` where no end of it is planned. `emails`: as far as the source tells them."""

    who: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    emails: tuple[str, ...] = ()

    def covers(self, at: datetime) -> bool:
        """Whether `at` lies in it; its end belongs to the next one."""
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


class OnCall(Struct, frozen=True, kw_only=True):
    """One schedule as it is `at` a time. `now` is null where nobody knows who is on call (`reason` says why), which is
    not the same as a shift of nobody; `next` is what follows it, also a shift of nobody. `shifts`: those two and more
    after them, one after the other without a gap."""

    ref: str
    backend: str
    schedule: str
    at: datetime
    state: Health
    now: Shift | None = None
    next: Shift | None = None
    shifts: tuple[Shift, ...] = ()
    reason: str = ""
    url: str | None = None

    @property
    def health(self) -> Health:
        """The same word as `state`."""
        return self.state

    def seen(self, at: datetime) -> "OnCall":
        """The same schedule at a later time, as far as its shifts reach."""
        if self.state == "unknown":
            return self
        left = tuple(shift for shift in self.shifts if shift.until is None or at < shift.until)
        if not left or not left[0].covers(at):
            return replace(self, at=at, state="unknown", now=None, next=None, reason="nothing is known of that time")
        now = left[0]
        state: Health = "ok" if now.who else "warning"
        return replace(self, at=at, state=state, now=now, next=left[1] if left[1:] else None, shifts=left)
