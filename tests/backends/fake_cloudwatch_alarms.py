"""Alarms of CloudWatch, their history and their mute rules, which moto lacks. `answer_by` puts them before moto."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fake_aws import FakeAws, Refused

ARN = "arn:aws:cloudwatch:eu-central-1:123456789012"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:oncall"
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d)\)")


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class FakeAlarms:
    """`alarms` and `composites` by name, as `DescribeAlarms` has them; `rules` as they were put."""

    alarms: dict[str, dict[str, Any]] = field(default_factory=dict)
    composites: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    updated: dict[str, datetime] = field(default_factory=dict)
    page: int = 100
    refuses_past_ends: bool = False
    begins_later: bool = False

    def answer_by(self, aws: FakeAws) -> "FakeAlarms":
        """From now on."""
        for operation, answer in {
            "DescribeAlarms": self.describe_alarms,
            "DescribeAlarmHistory": self.describe_alarm_history,
            "ListAlarmMuteRules": self.list_rules,
            "GetAlarmMuteRule": self.get_rule,
            "PutAlarmMuteRule": self.put_rule,
            "DeleteAlarmMuteRule": self.delete_rule,
        }.items():
            aws.answers[f"cloudwatch.{operation}"] = answer
        return self

    def put(self, name: str, state: str = "ALARM", dimensions: dict[str, str] | None = None, **more: Any) -> None:
        """An alarm that is in `state` since now, unless it was already."""
        before = self.alarms.get(name, {})
        same = before.get("StateValue") == state
        self.alarms[name] = {
            "AlarmName": name, "AlarmArn": f"{ARN}:alarm:{name}", "StateValue": state, "ActionsEnabled": True,
            "StateTransitionedTimestamp": before["StateTransitionedTimestamp"] if same else now(),
            "StateUpdatedTimestamp": now(), "MetricName": "DataQualityScore", "Namespace": "Platform",
            "AlarmActions": [TOPIC], "OKActions": [TOPIC], "InsufficientDataActions": [],
            "Dimensions": [{"Name": key, "Value": value} for key, value in (dimensions or {}).items()], **more,
        }  # fmt: skip

    def put_composite(self, name: str, rule: str, state: str = "ALARM", **more: Any) -> None:
        """A composite alarm."""
        self.composites[name] = {
            "AlarmName": name, "AlarmArn": f"{ARN}:alarm:{name}", "StateValue": state, "ActionsEnabled": True,
            "StateTransitionedTimestamp": now(), "AlarmRule": rule, "AlarmActions": [TOPIC], **more,
        }  # fmt: skip

    def turned(self, name: str, state: str, at: datetime, why: str = "", before: str = "OK") -> None:
        """It came into `state` at that time, as its history has it."""
        said = {
            "version": "1.0",
            "oldState": {"stateValue": before},
            "newState": {"stateValue": state, "stateReason": why},
        }
        self.tell(name, "StateUpdate", at, f"Alarm updated from {before} to {state}", json.dumps(said))

    def tell(self, name: str, kind: str, at: datetime, summary: str, data: str = "{}") -> None:
        """One item of its history."""
        self.history.setdefault(name, []).append({
            "AlarmName": name, "AlarmType": "MetricAlarm", "Timestamp": at, "HistoryItemType": kind,
            "HistorySummary": summary, "HistoryData": data,
        })  # fmt: skip

    # ---- the API

    def describe_alarms(self, asked: dict[str, Any]) -> dict[str, Any]:
        types = asked.get("AlarmTypes", ["MetricAlarm"])  # composite ones only where they are asked for
        wanted = [
            (kind, alarm)
            for kind, alarms in (("MetricAlarm", self.alarms), ("CompositeAlarm", self.composites))
            for name, alarm in sorted(alarms.items())
            if kind in types
            and name.startswith(asked.get("AlarmNamePrefix", ""))
            and asked.get("StateValue", alarm["StateValue"]) == alarm["StateValue"]
        ]
        begin = int(asked.get("NextToken", 0))
        size = min(self.page, asked.get("MaxRecords", 50))
        page = wanted[begin : begin + size]
        found = {f"{kind}s": [alarm for of, alarm in page if of == kind] for kind in ("MetricAlarm", "CompositeAlarm")}
        more = {"NextToken": str(begin + size)} if begin + size < len(wanted) else {}
        return {**found, "LogAlarms": [], **more}

    def describe_alarm_history(self, asked: dict[str, Any]) -> dict[str, Any]:
        items = [
            item
            for name, items in self.history.items()
            if name == asked.get("AlarmName", name)
            for item in items
            if item["HistoryItemType"] == asked.get("HistoryItemType", item["HistoryItemType"])
            and _at(asked.get("StartDate", 0)) <= item["Timestamp"] <= _at(asked.get("EndDate", 2**33))
        ]
        items.sort(key=lambda item: item["Timestamp"], reverse=asked.get("ScanBy") != "TimestampAscending")
        begin, size = int(asked.get("NextToken", 0)), min(self.page, asked.get("MaxRecords", 100))
        more = {"NextToken": str(begin + size)} if begin + size < len(items) and "AlarmName" not in asked else {}
        return {"AlarmHistoryItems": items[begin : begin + size], **more}

    def put_rule(self, asked: dict[str, Any]) -> dict[str, Any]:
        schedule = asked["Rule"]["Schedule"]
        if not re.fullmatch(r"at\(\S{16}\)|cron\(.*\)", schedule["Expression"]):
            raise Refused("ValidationException", f"no schedule: {schedule['Expression']}")
        if not 1 <= _minutes(schedule["Duration"]) <= 15 * 1440:
            raise Refused("ValidationException", f"no duration: {schedule['Duration']}")
        if len(asked.get("MuteTargets", {}).get("AlarmNames", [])) > 100 or len(asked.get("Description", "")) > 1024:
            raise Refused("ValidationException", "too long")
        if unknown := set(asked["MuteTargets"]["AlarmNames"]) - self.alarms.keys() - self.composites.keys():
            raise Refused("ValidationException", f"no alarms {unknown}")
        if self.refuses_past_ends and _at(asked["ExpireDate"]) <= now() + timedelta(seconds=1):
            raise Refused("ValidationException", "ExpireDate must be in the future")
        self.rules[asked["Name"]] = {key: value for key, value in asked.items() if key != "Tags"}
        self.updated[asked["Name"]] = now()
        return {}

    def list_rules(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = [
            {
                "AlarmMuteRuleArn": f"{ARN}:alarm-mute-rule:{name}", "Status": self.status(name),
                "LastUpdatedTimestamp": self.updated[name], "MuteType": "ONE_TIME",
            }
            for name, rule in self.rules.items()
            if asked.get("AlarmName") in (None, *rule["MuteTargets"]["AlarmNames"])
            and (not asked.get("Statuses") or self.status(name) in asked["Statuses"])
        ]  # fmt: skip
        begin, size = int(asked.get("NextToken", 0)), min(self.page, asked.get("MaxRecords", 50))
        more = {"NextToken": str(begin + size)} if begin + size < len(found) else {}
        return {"AlarmMuteRuleSummaries": found[begin : begin + size], **more}

    def get_rule(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["AlarmMuteRuleName"]
        if name not in self.rules:
            raise Refused("ResourceNotFoundException", f"no rule {name}", status=404)
        return {**self.rules[name], "Status": self.status(name), "LastUpdatedTimestamp": self.updated[name]}

    def delete_rule(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.rules.pop(asked["AlarmMuteRuleName"], None)
        return {}

    def status(self, name: str) -> str:
        """As the service works it out."""
        rule = self.rules[name]
        if "ExpireDate" in rule and _at(rule["ExpireDate"]) <= now():
            return "EXPIRED"
        schedule = rule["Rule"]["Schedule"]
        window = _AT.fullmatch(schedule["Expression"])
        if window is None or self.begins_later:
            return "SCHEDULED"
        start = datetime.fromisoformat(window[1]).replace(tzinfo=UTC)
        if start > now():
            return "SCHEDULED"
        return "ACTIVE" if now() < start + timedelta(minutes=_minutes(schedule["Duration"])) else "EXPIRED"


def _at(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromtimestamp(float(value), UTC)


def _minutes(duration: str) -> int:
    found = re.fullmatch(r"PT(\d+)([MH])", duration)
    return int(found[1]) * (60 if found[2] == "H" else 1) if found else 0
