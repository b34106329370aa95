"""What can be said of any item: its time, its place in its own system, the command that shows the same."""

from datetime import datetime
from typing import Any

from backends.command_line import command
from backends.models import Alert, Deployment, LogEntry, PipelineRun, QualityScore, TimelineEvent


def time_of(item: Any) -> datetime | None:
    """The time that an item is about."""
    match item:
        case PipelineRun():
            return item.ended_at or item.started_at
        case QualityScore():
            return item.evaluated_at
        case Alert():
            return item.since
        case Deployment():
            return item.last_switch.at if item.last_switch else None
        case LogEntry() | TimelineEvent():
            return item.at
        case _:
            return None


def url_of(item: Any) -> str:
    """Where the item is in its own system; empty where that is not known."""
    return getattr(item, "url", None) or getattr(item, "source_url", None) or getattr(item, "runbook_url", None) or ""


def command_of(item: Any, context: str) -> str:
    """The headless command that shows the same; empty where there is none."""
    match item:
        case PipelineRun():
            return command("run show", item.ref, context=context)
        case QualityScore():
            return command("quality show", item.ref, context=context)
        case Alert():
            return command("alert show", item.ref, context=context)
        case Deployment():
            return command("deploy status", item.service, context=context)
        case LogEntry() if item.at is not None:
            return command("log", item.source, context=context, around=item.at.isoformat())
        case _:
            return ""
