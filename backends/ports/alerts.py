"""Alerts, and what keeps them quiet."""

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from backends.models import Alert, Finding, Matcher, Silence, TimelineEvent
from backends.ports.closable import Closable


class Alerts(Closable, Protocol):
    """Alerts as one system sees them."""

    async def alerts(self) -> list[Alert]:
        """All alerts that are not resolved."""


class RememberingAlerts(Alerts, Protocol):
    """A system of alerts that remembers what was. An adapter may leave that out."""

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """What happened to alerts from `since` up to `until`, oldest first: each time that one fired where it began
        (`kind` is `alert`, with `subject` and, where it is over, `until`), changes of what alerts, notices that failed.
        """


class SilenceResult(Struct, frozen=True, kw_only=True):
    """A silence after an order: `changed` is false where it was so already. Of all `peers`, `visible_on` show it so
    now, those `behind` answer and do not (those that are `pending` have it, to begin later by their clock), and `lost`
    says why the others cannot be asked."""

    id: str
    changed: bool
    peers: tuple[str, ...]
    visible_on: tuple[str, ...]
    behind: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    lost: dict[str, str] = {}


class SilenceEffects(Struct, frozen=True, kw_only=True):
    """What a silence does in this system besides hiding alerts, a sentence each, and what is to be said against it."""

    says: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


class Silencer(Alerts, Protocol):
    """A system of alerts that also keeps them quiet. Each order is idempotent, and sent once: where its answer was
    lost, the system is looked at for what it would have made, and only then is it an error."""

    def ack_matchers(self, alert: Alert) -> tuple[Matcher, ...]:
        """What an acknowledgement of `alert` matches: this alert and no other that fires, or what the config says.
        Raises `config` where it has nothing to match on."""

    async def matching(self, matchers: tuple[Matcher, ...]) -> list[Alert]:
        """The alerts that a silence of these matchers would hide now, also those that something hides already."""

    async def silences(self, *, hiding: str | None = None) -> list[Silence]:
        """All that the system still knows, also expired ones; `hiding`: those that hide the alert of that fingerprint
        now. Those that end first come first."""

    async def effects(self, matchers: tuple[Matcher, ...], *, ack: bool) -> SilenceEffects:
        """What a silence of these matchers would do besides. Nothing is written."""

    async def silence(
        self, matchers: tuple[Matcher, ...], *, until: datetime, by: str, comment: str, ack: bool, order: str = ""
    ) -> SilenceResult:
        """One silence of `matchers` by `by` until about `until`: an active equal one that lasts as long is left as it
        is, one that ends sooner is extended, else one is made. `order` names who gives the order, the same each time
        that it is given: where silences have names, what is made has it in its own."""

    async def extend(self, silence_id: str, until: datetime, *, exactly: bool = False) -> SilenceResult:
        """The silence lasts at least until then; `exactly`: and no longer. Raises `conflict` for one that has
        expired."""

    async def expire(self, silence_id: str) -> SilenceResult:
        """The silence hides nothing any more. Raises `not_found` for one that no peer knows."""
