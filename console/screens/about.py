"""What can be said of any item, and done with it: its time, its place in its own system, the command that shows it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from textual.actions import SkipAction

from backends.command_line import command
from backends.models import TimelineEvent
from console.ports.dashboards import dashboard_of
from console.ports.table import port_of

if TYPE_CHECKING:
    from console.screens.host import Host


def time_of(item: Any) -> datetime | None:
    """The time that an item is about."""
    if isinstance(item, TimelineEvent):
        return item.at
    port = port_of(item)
    return port.reading.at(item) if port is not None and port.reading is not None else None


def page_of(app: Host, item: Any) -> str:
    """The dashboard that shows the item, else where it is in its own system; empty where neither is known."""
    return dashboard_of(item, app.session.links) or url_of(item)


def url_of(item: Any) -> str:
    """Where the item is in its own system; empty where that is not known."""
    return getattr(item, "url", None) or getattr(item, "source_url", None) or getattr(item, "runbook_url", None) or ""


def command_of(item: Any, context: str) -> str:
    """The headless command that shows the same; empty where there is none."""
    port = port_of(item)
    if port is None:
        return ""
    if port.command_of is not None:
        return port.command_of(item, context)
    return command(f"{port.noun.name} show", item.ref, context=context) if port.noun is not None else ""


def go_there(app: Host, item: Any, panel: str) -> None:
    """To the time of an item: `panel`, or all that has a time. Raises SkipAction where it has none."""
    at = time_of(item)
    if at is None:
        raise SkipAction
    app.go_to(at, panel)


def copy_command_of(app: Host, item: Any) -> None:
    """Copy the command that shows an item. Raises SkipAction where there is none."""
    shown_by = command_of(item, app.session.context.name)
    if not shown_by:
        raise SkipAction
    app.copy(shown_by)
