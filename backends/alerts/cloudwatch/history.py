"""What happened to alarms, by `DescribeAlarmHistory`, which CloudWatch keeps for 30 days: times in which one was red or
did not know, changes of alarms, and actions that failed.

API: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarmHistory.html
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from backends.alerts.cloudwatch.wire import Alarm
from backends.aws.account import Account
from backends.aws.wire import told
from backends.json_text import decode_text
from backends.models import Alert, TimelineEvent
from backends.settings import Duration
from backends.text import clean

PAGE, PAGES = 100, 20
_STATES = re.compile(r"from (\w+) to (\w+)")
_CHANGES = {"Create": "made", "Update": "changed", "Delete": "deleted"}

AsAlert = Callable[[Alarm, datetime], Alert]
"""An alarm in a state that it came into at that time, as its alert."""


class HistoryItem(Struct, frozen=True, rename="pascal"):
    """The wire: only the fields that are read. `history_data` is JSON."""

    alarm_name: str
    timestamp: datetime
    history_item_type: str = ""
    alarm_type: str = ""
    history_summary: str = ""
    history_data: str = ""

    @property
    def at(self) -> datetime:
        """In UTC."""
        return self.timestamp.astimezone(UTC)

    def data(self) -> dict[str, Any]:
        """What it says more; nothing where that is no JSON object."""
        try:
            found = decode_text(self.history_data or "{}", object)
        except msgspec.DecodeError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def is_deletion(self) -> bool:
        """Whether the alarm went, and with it whatever it said."""
        return self.history_item_type == "ConfigurationUpdate" and self.data().get("type") == "Delete"

    def came_into(self) -> tuple[str, str]:
        """The state that it says, and why; empty where it says none."""
        new = self.data().get("newState")
        new = new if isinstance(new, dict) else {}
        said = _STATES.search(self.history_summary)
        return str(new.get("stateValue") or (said[2] if said else "")), str(new.get("stateReason") or "")


class _Page(Struct, frozen=True, rename="pascal"):
    alarm_history_items: tuple[HistoryItem, ...]
    next_token: str = ""


async def history_between(
    account: Account, since: datetime, until: datetime, types: Sequence[str]
) -> tuple[list[HistoryItem], bool]:
    """All items in between, oldest first, and whether there are older ones that were not read. Raises BackendError."""
    found: list[HistoryItem] = []
    token: dict[str, str] = {}
    for _ in range(PAGES):
        answer = await account.read(
            "cloudwatch", "describe_alarm_history", AlarmTypes=list(types), StartDate=since, EndDate=until,
            ScanBy="TimestampDescending", MaxRecords=PAGE, **token,
        )  # fmt: skip
        page = told(answer, _Page, account.where)
        found += page.alarm_history_items
        if not page.next_token:
            return found[::-1], False
        token = {"NextToken": page.next_token}
    return found[::-1], True


def events_of(
    items: Iterable[HistoryItem], alarms: Mapping[str, Alarm], backend: str, as_alert: AsAlert
) -> list[TimelineEvent]:
    """Of items oldest first; an alarm that is not among `alarms` was deleted."""
    by_alarm: dict[str, list[HistoryItem]] = {}
    for item in items:
        by_alarm.setdefault(item.alarm_name, []).append(item)
    found: list[TimelineEvent] = []
    for name, of in by_alarm.items():
        alarm = alarms.get(name) or Alarm(alarm_name=name, alarm_arn=name, state_value="")
        found += _spells(
            [item for item in of if item.history_item_type == "StateUpdate" or item.is_deletion], alarm, as_alert
        )
        found += filter(None, (_other(item, alarm, backend) for item in of))
    return sorted(found, key=lambda event: (event.at, event.ref))


def _spells(items: Sequence[HistoryItem], alarm: Alarm, as_alert: AsAlert) -> Iterator[TimelineEvent]:
    """One event for each time that it was not OK, where it began. What is red and then unknown is one after the
    other."""
    for item, following in zip(items, (*items[1:], None), strict=True):
        state, why = item.came_into()
        if state not in ("ALARM", "INSUFFICIENT_DATA"):
            continue
        alert = as_alert(replace(alarm, state_value=state, state_reason=why), item.at)
        until = following.at if following is not None else None
        subject = alert.named
        word = "fired" if state == "ALARM" else "did not know"
        lasted = f" for {Duration(round((until - item.at).total_seconds()))}" if until is not None else ""
        yield TimelineEvent(
            at=item.at, kind="alert", ref=alert.ref, health=alert.health, subject=subject, until=until, measured=True,
            going_on=until is None, url=alert.source_url,
            text=clean(f"{subject} {word}{lasted}" + (f": {alert.summary}" if alert.summary else ""), 500),
        )  # fmt: skip


def _other(item: HistoryItem, alarm: Alarm, backend: str) -> TimelineEvent | None:
    ref, name = f"{backend}/{alarm.fingerprint}", item.alarm_name
    if item.history_item_type == "ConfigurationUpdate":
        word = _CHANGES.get(str(item.data().get("type")), "changed")
        return TimelineEvent(at=item.at, kind="alarm-changed", ref=ref, text=clean(f"alarm {name} was {word}", 300))
    said = item.data()
    if item.history_item_type != "Action" or "fail" not in f"{said.get('actionState')} {item.history_summary}".lower():
        return None
    why = f": {said['error']}" if said.get("error") else ""
    text = clean(f"alarm {name}: {item.history_summary or 'an action failed'}{why}", 300)
    return TimelineEvent(at=item.at, kind="action-failed", ref=ref, text=text, health="warning")
