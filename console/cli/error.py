"""What `teal error show` says of an error below its row."""

from backends.models import ErrorIssue
from console import moment
from console.session import Session
from panels.kinds.errors import facts
from panels.words import dated


def lines(session: Session, item: ErrorIssue) -> list[str]:
    """One fact a line."""
    zone, now = session.context.zone, moment.utc_now()
    found = facts(item, lambda at: dated(at, zone, now))
    return [f"{name:<11} {value}" for name, value in found] + [
        f"linked      {line}" for line in session.impact(item.ref)
    ]
