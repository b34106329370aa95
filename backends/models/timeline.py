"""What happened in outside systems."""

from datetime import datetime

from msgspec import Struct

from backends.models.health import Health


class TimelineEvent(Struct, frozen=True, kw_only=True):
    """Something that happened in an outside system: `kind` is its word for it (`trigger`, `paused`, `deployment`),
    `ref` what it happened to (a run, or `backend/pipeline`), `text` says it in one line, with who did it where known.
    `until` is the end of what lasted; `made` is what came of it (the silence of an acknowledgement); `going_on`: it has
    not ended. `subject`: what is wrong by its name, where something was; `over`: that it is well again,
    `since`: when that began, `seen_at`: when it was last seen so, where it ended unseen at some time between that and
    `at`, or `until` of what began.
    `measured`: `until` is told by its source. `mends`: the service whose traffic it moved and proved well at `at`.
    """

    at: datetime
    kind: str
    ref: str
    text: str
    url: str | None = None
    health: Health = "ok"
    until: datetime | None = None
    made: str = ""
    going_on: bool = False
    subject: str = ""
    over: bool = False
    since: datetime | None = None
    seen_at: datetime | None = None
    measured: bool = False
    mends: str = ""
