"""A time as somebody types it. What it means depends on the zone of the context, which is known only later."""

from datetime import UTC, datetime, time, timedelta, tzinfo

from msgspec import Struct

from backends.settings import Duration
from console import moment
from console.streams import say
from panels.words import zone_name

FORMS = '"15m" (ago), "14:02", "2026-11-26T14:02" or "2026-11-26T14:02Z"'


class TypedTime(Struct, frozen=True):
    """Exactly one of: an age in seconds, a time of day, a time of a day (naive: of the zone that is shown)."""

    age_s: float | None = None
    of_day: time | None = None
    of_a_day: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> "TypedTime":
        """Raises ValueError for what is none."""
        try:
            return cls(age_s=float(Duration.parse(text)))
        except ValueError:
            pass
        try:
            return cls(of_day=time.fromisoformat(text))
        except ValueError:
            return cls(of_a_day=datetime.fromisoformat(text))

    def at(self, zone: tzinfo, until: datetime | None = None) -> datetime:
        """In UTC. An age is counted back from `until` (now without it). A time of day is the last one; where today's is
        still to come, stderr says that yesterday's is taken. Raises OverflowError for what no calendar has."""
        end = until or moment.utc_now()
        if self.age_s is not None:
            return end - timedelta(seconds=self.age_s)
        if self.of_day is not None:
            return self._last(self.of_day, end, zone)
        assert self.of_a_day is not None
        aware = self.of_a_day if self.of_a_day.tzinfo else self.of_a_day.replace(tzinfo=zone)
        return aware.astimezone(UTC)

    def of_today(self, zone: tzinfo) -> datetime:
        """As `at`, but a time of day is today's, also one that is still to come."""
        if self.of_day is None:
            return self.at(zone)
        zone = self.of_day.tzinfo or zone
        today = moment.utc_now().astimezone(zone).date()
        return datetime.combine(today, self.of_day.replace(tzinfo=None), tzinfo=zone).astimezone(UTC)

    @staticmethod
    def _last(of_day: time, end: datetime, zone: tzinfo) -> datetime:
        zone = of_day.tzinfo or zone
        local = end.astimezone(zone)
        today = datetime.combine(local.date(), of_day.replace(tzinfo=None), tzinfo=zone)
        if today <= local:
            return today.astimezone(UTC)
        yesterday = today - timedelta(days=1)
        say(f"teal: {of_day:%H:%M} {zone_name(today, zone)} is still to come: {yesterday:%Y-%m-%d %H:%M} is taken")
        return yesterday.astimezone(UTC)
