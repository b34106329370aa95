"""Who is told what became of an action."""

from datetime import datetime
from typing import Literal, Protocol, cast

from msgspec import Struct, field

from backends.ports.closable import Closable

EventKind = Literal["started", "held", "succeeded", "failed", "rolled_back", "rollback_failed"]


class ActionEvent(Struct, frozen=True, kw_only=True):
    """What became of an action, for those who do not look at the console. `kind` is that of the action, `action` its
    id (empty for a pause of a controller that no action of ours watches, which is `held`), `from` and `to` colors or
    states (empty where there are none), `by` who ordered it; `text` says it in one line, with `head`, the newest record
    of the audit (`SEQ:HASH`), by which its end can be checked later. `version`: what a release
    brings; empty of everything else.
    """

    what: EventKind
    context: str
    kind: str
    service: str
    from_: str = field(name="from")
    to: str
    by: str
    reason: str
    action: str
    at: datetime
    text: str
    head: str = ""
    version: str = ""


class Notifier(Closable, Protocol):
    """Where people are told of actions. Each event is sent once: it may be lost, and is never told twice."""

    async def notify(self, event: ActionEvent) -> None:
        """Returns when the system has taken it. No message of an error holds the address, which is a secret."""

    async def dry_run(self) -> None:
        """All of the way to the system that can be gone without telling anybody: the secret, the name, the connection,
        the certificate, and where it can be asked, whether we may. Raises as `notify`."""


class FollowingNotifier(Notifier, Protocol):
    """A notifier that keeps one thing an action (a message, a region) and changes it with each further event."""

    async def follow(self, event: ActionEvent, earlier: str) -> str:
        """As `notify`, at what `earlier` refers to, which is what this returned for an event of the same action before;
        empty for the first one. Where that is gone, or nothing of this adapter's, something new is made. Returns what
        the next event is to be told at: a printable text of at most `MAX_REFERENCE_CHARS`, kept in the audit, where
        everybody reads it; empty for nothing. Raises as `notify`."""


MAX_REFERENCE_CHARS = 200


def following(notifier: Notifier) -> FollowingNotifier | None:
    """`notifier`, where it keeps one thing an action."""
    return cast(FollowingNotifier, notifier) if hasattr(notifier, "follow") else None
