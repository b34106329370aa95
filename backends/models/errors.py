"""Errors that a service raised, each kind of them as one issue."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from backends.models.health import Health

IssueState = Literal["unresolved", "regressed", "escalating", "ignored", "resolved", "unknown"]

_OPEN = frozenset({"unresolved", "regressed", "escalating"})
_TURNED = frozenset({"regressed", "escalating"})
_HARMLESS = frozenset({"info", "debug", "sample"})


class ErrorIssue(Struct, frozen=True, kw_only=True):
    """One kind of error of a project. `count` and `users` are its events and the people whom they hit within the
    window that its source looks at; `frame` is the code that raised it, in one line.

    `is_new`: whether a version that takes traffic of `service` brought it, `release` is that one then. Null where
    nobody can say; `reason` says why. `service` is empty where the project belongs to none of this context.
    """

    ref: str
    backend: str
    id: str
    title: str
    project: str
    state: IssueState
    raw_state: str = ""
    level: str = "error"
    service: str = ""
    is_new: bool | None = None
    release: str | None = None
    reason: str = ""
    frame: str = ""
    count: int | None = None
    users: int | None = None
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    assigned: str = ""
    url: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody is to look at it."""
        return self.state in _OPEN

    @property
    def has_turned(self) -> bool:
        """Whether it is new since a version that takes traffic, or is back, or grows."""
        return self.is_open and (bool(self.is_new) or self.state in _TURNED)

    @property
    def health(self) -> Health:
        """What has turned is a warning, and critical where it ends the program; what was there before is none.
        Unknown where nobody can say whether a version that takes traffic brought it."""
        if self.state == "unknown":
            return "unknown"
        if not self.is_open or self.level in _HARMLESS:
            return "ok"
        if self.has_turned:
            return "critical" if self.level == "fatal" else "warning"
        return "unknown" if self.is_new is None and self.service else "ok"
