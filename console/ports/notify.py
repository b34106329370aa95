"""Those who are told what became of an action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.ports.entry import Entry
from console.ports.record import Adapters, Port

if TYPE_CHECKING:
    from backends.ports import Notifier


async def _ask(adapters: Adapters, entry: Entry) -> list[Any]:
    notifier = adapters.of(NOTIFY, entry.name)
    if hasattr(notifier, "dry_run"):  # one of a third party may be older than that
        await notifier.dry_run()
    return []


NOTIFY: Port[Notifier, Any] = Port(
    name="notify",
    about="who is told what became of an action.",
    protocol="backends.ports:Notifier",
    ask=_ask,
    reads="tell",
)
