"""The operator's time zone."""

from datetime import UTC, datetime, tzinfo

from console.errors import ConfigError


def zone_of(name: str) -> tzinfo:
    """The zone of that name; the host's for an empty one. Raises ConfigError."""
    if not name:
        return datetime.now().astimezone().tzinfo or UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f'timezone = "{name}" is not known', fix='use a name like "Europe/Berlin"') from None
