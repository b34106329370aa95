"""One thing that happened, and its symbol."""

from datetime import datetime

from msgspec import Struct

from backends.models import Item, TimelineEvent

_SAID = ("note", "unwatched")


def sign_of(kind: str, health: str, *, going_on: bool) -> str:
    """The word of the symbol of an event of that kind."""
    if health != "ok":
        return health
    return "running" if going_on else "pending" if kind in _SAID else health


class Event(Struct, frozen=True):
    """Something that happened: when, to what, in words. `t0` marks the first trouble after the last moment at which all
    was well; `before` says how long before that another one was. `times`: how often in a row it was so."""

    ref: str
    at: datetime
    health: str
    text: str
    item: Item
    kind: str
    t0: bool = False
    before: str = ""
    times: int = 1

    @property
    def sign(self) -> str:
        """The word of its symbol: nothing is ticked that goes on still, or that somebody only wrote down."""
        going_on = isinstance(self.item, TimelineEvent) and self.item.going_on
        return sign_of(self.kind, self.health, going_on=going_on)
