"""The one clock of the console, so that a test can stop it. Call it as `moment.utc_now()`."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, aware, in UTC."""
    return datetime.now(UTC)
