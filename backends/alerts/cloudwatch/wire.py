"""Alarms of CloudWatch as `DescribeAlarms` tells them, only the fields that are read.

API: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
"""

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import quote

from msgspec import Struct, field

from backends.aws.web_console import console_of
from backends.patterns import Pattern
from backends.text import clean, clean_labels

_OF_RULE = re.compile(r"\b(?:ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(\"[^\"]*\"|[^\s\")]+)\s*\)")
_URL = re.compile(r"https?://[^\s\"'<>)]+")
_SNS = re.compile(r"arn:aws[\w-]*:sns:")


class _Dimension(Struct, frozen=True, rename="pascal"):
    name: str
    value: str


class Alarm(Struct, frozen=True, rename="pascal"):
    """A metric alarm, a composite one (`alarm_rule`) or one over logs."""

    alarm_name: str
    alarm_arn: str
    state_value: str
    alarm_description: str = ""
    actions_enabled: bool = True
    ok_actions: tuple[str, ...] = field(default=(), name="OKActions")
    alarm_actions: tuple[str, ...] = ()
    insufficient_data_actions: tuple[str, ...] = ()
    state_reason: str = ""
    state_updated_timestamp: datetime | None = None
    state_transitioned_timestamp: datetime | None = None
    metric_name: str = ""
    namespace: str = ""
    dimensions: tuple[_Dimension, ...] = ()
    evaluation_state: str = ""
    alarm_rule: str = ""
    actions_suppressed_by: str = ""
    actions_suppressed_reason: str = ""

    @property
    def fingerprint(self) -> str:
        """16 hex digits of what no other alarm has."""
        return hashlib.sha256(self.alarm_arn.encode()).hexdigest()[:16]

    @property
    def since(self) -> datetime | None:
        """When it came into its state; None where only its history tells."""
        at = self.state_transitioned_timestamp
        return None if at is None else at.astimezone(UTC)

    @property
    def children(self) -> frozenset[str]:
        """The alarms that a composite one is made of, by name."""
        found = (match.strip('"') for match in _OF_RULE.findall(self.alarm_rule))
        return frozenset(name.partition(":alarm:")[2] or name for name in found)

    @property
    def other_actions(self) -> tuple[str, ...]:
        """What it does besides telling a topic of SNS: scaling, stopping, running something."""
        actions = (*self.alarm_actions, *self.ok_actions, *self.insufficient_data_actions)
        return tuple(dict.fromkeys(action for action in actions if not _SNS.match(action)))

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that it tells, by name."""
        return tuple(clean(action.rpartition(":")[2], 80) for action in self.alarm_actions if _SNS.match(action))

    def labels(self, pattern: Pattern | None) -> dict[str, str]:
        """Its name, its metric, its dimensions, and the named groups of `pattern` where its name matches whole. Raises
        BackendError(config) for a pattern that takes too long."""
        found = {"alertname": self.alarm_name, "alarm": self.alarm_name}
        found |= {"metric": self.metric_name, "namespace": self.namespace} if self.metric_name else {}
        found |= {each.name: each.value for each in self.dimensions}
        found |= (pattern.groups_of(self.alarm_name) if pattern else None) or {}
        return clean_labels(found)

    def summary(self) -> str:
        """What it is for, and why it is in its state."""
        said = (self.alarm_description, self.actions_suppressed_reason, self.state_reason)
        return clean(": ".join(filter(None, (each.strip() for each in said))), 500)

    def runbook(self) -> str | None:
        """The first link of its description."""
        found = _URL.search(self.alarm_description)
        return clean(found[0], 500) if found else None

    def page(self) -> str:
        """Where the console of AWS shows it."""
        region = clean(self.alarm_arn.split(":")[3] if self.alarm_arn.count(":") > 3 else "", 40)
        where = f"{console_of(region)}/cloudwatch/home?region={region}"
        return f"{where}#alarmsV2:alarm/{quote(self.alarm_name, safe='')}"


class AlarmsPage(Struct, frozen=True, rename="pascal"):
    """One page of `DescribeAlarms`; one of the lists is always there."""

    metric_alarms: tuple[Alarm, ...] | None = None
    composite_alarms: tuple[Alarm, ...] | None = None
    log_alarms: tuple[Alarm, ...] | None = None
    next_token: str = ""

    def alarms(self) -> Iterable[Alarm]:
        """Of all kinds."""
        return (*(self.metric_alarms or ()), *(self.composite_alarms or ()), *(self.log_alarms or ()))
