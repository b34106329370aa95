"""Mute rules of CloudWatch alarms as silences: read, made, extended, ended.

A rule has alarms by name, at most 100; a window `at(…)` by the minute with a duration; and a date at which it expires.
Who, why and the matchers that chose the alarms stand in its description. `PutAlarmMuteRule` replaces a rule of the same
name without a word: so ours are named after the order that makes them, and looked for before they are written.
API: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutAlarmMuteRule.html
"""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from backends.aws.wire import told
from backends.json_text import decode_text
from backends.models import Matcher, Silence, SilenceState
from backends.text import clean

MAX_ALARMS = 100
LONGEST = timedelta(days=15)
MAX_COMMENT_CHARS = 300
MAX_DESCRIPTION_CHARS = 1024
_MARK = "\nteal/1 "
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d)(?::\d\d)?\)")
_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_STATES: dict[str, SilenceState] = {"ACTIVE": "active", "SCHEDULED": "pending", "EXPIRED": "expired"}


class _Schedule(Struct, frozen=True, rename="pascal"):
    expression: str
    duration: str
    timezone: str = ""


class _Rule(Struct, frozen=True, rename="pascal"):
    schedule: _Schedule


class _Targets(Struct, frozen=True, rename="pascal"):
    alarm_names: tuple[str, ...] = ()


class _Mark(Struct, omit_defaults=True):
    by: str
    ack: bool = False
    matchers: tuple[tuple[str, str, bool, bool], ...] = ()


class MuteRule(Struct, frozen=True, rename="pascal"):
    """As `GetAlarmMuteRule` tells it."""

    name: str
    rule: _Rule
    status: str = ""
    description: str = ""
    mute_targets: _Targets = _Targets()
    start_date: datetime | None = None
    expire_date: datetime | None = None
    last_updated_timestamp: datetime | None = None

    @property
    def recurs(self) -> bool:
        """Whether it mutes again and again: somebody's maintenance window."""
        return _AT.fullmatch(self.rule.schedule.expression) is None

    @property
    def starts_at(self) -> datetime | None:
        """The begin of its one window; None for one that recurs, or is in a zone that only AWS reads."""
        found = _AT.fullmatch(self.rule.schedule.expression)
        if found is None or self.rule.schedule.timezone not in ("", "UTC"):
            return None
        return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)

    @property
    def ends_at(self) -> datetime | None:
        """The end of its one window, or when it expires, whichever comes first."""
        starts_at, lasts = self.starts_at, _seconds(self.rule.schedule.duration)
        ends = [self.expire_date.astimezone(UTC)] if self.expire_date else []
        if starts_at is not None and lasts is not None:
            ends.append(starts_at + timedelta(seconds=lasts))
        return min(ends, default=None)

    def silence(self, backend: str, hides: int) -> Silence:
        """As the model has it."""
        comment, mark = self._said()
        matchers = tuple(
            Matcher(name=name, value=value, is_regex=regex, is_equal=equal)
            for name, value, regex, equal in (mark.matchers if mark else ())
        )
        name = clean(self.name, 255)
        return Silence(
            ref=f"{backend}/{name}",
            backend=backend,
            id=name,
            matchers=matchers or _of_names(self.mute_targets.alarm_names),
            state=_STATES.get(self.status, "unknown"),
            raw_state=clean(self.status, 40),
            created_by=clean(mark.by, 100) if mark else "",
            comment=clean(comment, 500),
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            is_ack=mark.ack if mark else False,
            matches=hides,
        )

    def asked(self, **changed: Any) -> dict[str, Any]:
        """As `PutAlarmMuteRule` takes the same rule, with what is changed. Tags stay as they are."""
        schedule = {"Expression": self.rule.schedule.expression, "Duration": self.rule.schedule.duration}
        if self.rule.schedule.timezone:
            schedule["Timezone"] = self.rule.schedule.timezone
        asked: dict[str, Any] = {
            "Name": self.name,
            "Description": self.description,
            "Rule": {"Schedule": schedule},
            "MuteTargets": {"AlarmNames": list(self.mute_targets.alarm_names)},
        }
        dates = {"StartDate": self.start_date, "ExpireDate": self.expire_date}
        return {**asked, **{name: at for name, at in dates.items() if at is not None}, **changed}

    def lasting(self, until: datetime) -> dict[str, Any]:
        """As `PutAlarmMuteRule` takes it with another end."""
        begin = self.starts_at or datetime.now(UTC)
        schedule = {**self.asked()["Rule"]["Schedule"], "Duration": _words(until - begin)}
        return self.asked(Rule={"Schedule": schedule}, ExpireDate=until)

    def _said(self) -> tuple[str, _Mark | None]:
        comment, found, text = self.description.rpartition(_MARK)
        if not found:
            return self.description, None
        try:
            return comment, decode_text(text, _Mark)
        except msgspec.MsgspecError:
            return self.description, None


def rule_told(answer: dict[str, Any], where: str) -> MuteRule:
    """An answer of `GetAlarmMuteRule`. Raises BackendError(malformed)."""
    return told(answer, MuteRule, where)


def new_rule(
    name: str, alarms: list[str], matchers: tuple[Matcher, ...], *, until: datetime, by: str, comment: str, ack: bool
) -> dict[str, Any]:
    """As `PutAlarmMuteRule` takes one that begins now, and ends at `until`."""
    begin = datetime.now(UTC).replace(second=0, microsecond=0)
    schedule = {"Expression": f"at({begin:%Y-%m-%dT%H:%M})", "Duration": _words(until - begin), "Timezone": "UTC"}
    return {
        "Name": name,
        "Description": _description(matchers, by=by, comment=comment, ack=ack),
        "Rule": {"Schedule": schedule},
        "MuteTargets": {"AlarmNames": alarms},
        "ExpireDate": until,
    }


def _description(matchers: tuple[Matcher, ...], *, by: str, comment: str, ack: bool) -> str:
    asked = tuple((each.name, each.value, each.is_regex, each.is_equal) for each in matchers)
    for kept in (asked, ()):  # too many to be said: then the alarms by their names say what it hides
        mark = msgspec.json.encode(_Mark(by=by, ack=ack, matchers=kept)).decode()
        text = f"{clean(comment, MAX_COMMENT_CHARS)}{_MARK}{mark}"
        if len(text) <= MAX_DESCRIPTION_CHARS:
            break
    return text


def _of_names(names: tuple[str, ...]) -> tuple[Matcher, ...]:
    shown = [clean(name, 255) for name in names]
    if len(shown) == 1:
        return (Matcher(name="alarm", value=shown[0]),)
    return (Matcher(name="alarm", value="|".join(re.escape(name) for name in shown), is_regex=True),)


def _words(lasts: timedelta) -> str:
    return f"PT{max(1, math.ceil(lasts.total_seconds() / 60))}M"


def _seconds(duration: str) -> float | None:
    found = _DURATION.fullmatch(duration)
    if found is None:
        return None
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
