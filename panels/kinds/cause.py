"""What is not well and has one cause, as one thing: its members, and what may have caused it."""

from collections import Counter
from datetime import datetime
from typing import ClassVar

from msgspec import Struct

from backends.models import Health, Item, severity_rank, worst


class Member(Struct, frozen=True):
    """One thing that is not well: `kind` is what it is called (`alert`, `run`), `text` says what is the matter, `since`
    when that began, where it is known."""

    ref: str
    kind: str
    item: Item
    health: Health
    text: str
    since: datetime | None = None


class Suspect(Struct, frozen=True):
    """What may have caused it: a member, or an event before it. `why` is a short sentence; `is_event` of a change."""

    ref: str
    item: Item
    text: str
    why: str
    at: datetime | None = None
    is_event: bool = False


class Cause(Struct, frozen=True):
    """One cause: `members` from what the others follow from on, then the earliest first; `suspects` the likeliest
    first, at least one; `about` is what it is about, by name."""

    CALLED: ClassVar[str] = "a cause"
    members: tuple[Member, ...]
    suspects: tuple[Suspect, ...]
    about: str = ""

    @property
    def ref(self) -> str:
        """That of the member that the others follow from."""
        return self.members[0].ref

    @property
    def health(self) -> Health:
        """The worst of its members: no cause makes a thing better than it is."""
        return worst([member.health for member in self.members])

    @property
    def first_seen(self) -> datetime | None:
        """When the first of them began."""
        return min((member.since for member in self.members if member.since is not None), default=None)

    @property
    def likely(self) -> Suspect:
        """The likeliest cause."""
        return self.suspects[0]

    @property
    def events(self) -> list[Suspect]:
        """What was changed before it, oldest first."""
        return sorted((each for each in self.suspects if each.is_event), key=lambda each: (str(each.at), each.ref))

    @property
    def counts(self) -> dict[str, int]:
        """How many members there are of each kind, the most first."""
        return dict(Counter(member.kind for member in self.members).most_common())


def worst_first(cause: Cause) -> tuple[int, int, float, str]:
    """Sort key: the worst, then the largest, then the newest."""
    began = cause.first_seen.timestamp() if cause.first_seen else 0.0
    return severity_rank(cause.health), -len(cause.members), -began, cause.ref
