"""CloudWatch Logs as it is where moto is too kind: pages of it are empty though more follow, events arrive late and out
of order, and it reads backwards only what is not older than 2024. Put before moto with `answer_by`."""

import json
import queue
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tests.fake_aws import FakeAws, Refused

EARLIEST_MS = 1_704_067_200_000
ARN = "arn:aws:logs:eu-central-1:123456789012:log-group"


@dataclass
class FakeLogs:
    """Its groups; `page` is the most that a page has, and each `empty`th page has nothing."""

    groups: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    page: int = 10_000
    empty: int = 0
    on_read: Callable[[], None] = lambda: None
    pages_read: int = 0
    live: "list[queue.Queue[dict[str, Any] | None]]" = field(default_factory=list)

    def answer_by(self, aws: FakeAws) -> "FakeLogs":
        """From now on."""
        aws.answers["logs.FilterLogEvents"] = self.filter_log_events
        aws.answers["logs.StartLiveTail"] = self.start_live_tail
        aws.answers["logs.DescribeLogGroups"] = lambda asked: {
            "logGroups": [
                {"logGroupName": name, "logGroupArn": f"{ARN}:{name}"}
                for name in self.groups
                if name in asked["logGroupIdentifiers"]
            ]
        }
        return self

    def put(self, group: str, at_ms: int, message: str, stream: str = "main") -> str:
        """One event that arrives now; its id."""
        events = self.groups.setdefault(group, [])
        events.append(
            {
                "eventId": f"{group}-{len(events)}", "timestamp": at_ms, "message": message,
                "logStreamName": stream, "ingestionTime": at_ms,
            }
        )  # fmt: skip
        shown = {"logStreamName": stream, "message": message, "timestamp": at_ms, "ingestionTime": at_ms}
        self.tell({"sessionUpdate": {"sessionResults": [{**shown, "logGroupIdentifier": f"{ARN}:{group}"}]}})
        return str(events[-1]["eventId"])

    def tell(self, event: dict[str, Any] | None) -> None:
        """To all live sessions; None ends them."""
        for session in self.live:
            session.put(event)

    def start_live_tail(self, asked: dict[str, Any]) -> dict[str, Any]:
        if not all(each.startswith("arn:") for each in asked["logGroupIdentifiers"]):
            raise Refused("InvalidParameterException", "identifiers must be ARNs")
        events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        events.put({"sessionStart": {"sessionId": "s-1"}})
        self.live.append(events)

        def told() -> Iterator[dict[str, Any]]:
            while True:
                try:
                    event = events.get(timeout=0.05)
                except queue.Empty:
                    event = {"sessionUpdate": {"sessionResults": []}}  # AWS sends one each second
                if event is None:
                    return
                yield event

        return {"events": told()}

    def filter_log_events(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.on_read()
        self.pages_read += 1
        if ("logGroupName" in asked) == ("logGroupIdentifier" in asked):
            raise Refused("InvalidParameterException", "one of logGroupName and logGroupIdentifier")
        group = asked.get("logGroupName") or asked["logGroupIdentifier"]
        if group not in self.groups:
            raise Refused("ResourceNotFoundException", "The specified log group does not exist.")
        start, end = asked.get("startTime", 0), asked.get("endTime", 2**62)
        backwards = asked.get("startFromHead") is False
        if backwards and start < EARLIEST_MS:
            raise Refused("InvalidParameterException", "startFromHead is false, and startTime before 2024")
        pattern = asked.get("filterPattern", "")
        found = [
            event
            for event in self.groups[group]
            if start <= event["timestamp"] <= end
            and event["logStreamName"].startswith(asked.get("logStreamNamePrefix", ""))
            and _takes(pattern, event["message"])
        ]
        found.sort(key=lambda event: event["timestamp"])
        found = found[::-1] if backwards else found
        # A token stands behind an event, whatever arrived meanwhile.
        last = asked.get("nextToken", "").rpartition(" ")
        begin = next((n + 1 for n, event in enumerate(found) if event["eventId"] == last[2]), 0)
        if self.empty and self.pages_read % self.empty == 0 and found[begin:]:
            return {"events": [], "searchedLogStreams": [], "nextToken": f"{self.pages_read} {last[2]}"}
        page = found[begin : begin + min(self.page, asked.get("limit", 10_000))]
        more = {"nextToken": f"{self.pages_read} {page[-1]['eventId']}"} if found[begin + len(page) :] else {}
        return {"events": page, "searchedLogStreams": [], **more}


_CONDITION = re.compile(r'\$\.(\w+) = "([^"]*)"')


def _takes(pattern: str, message: str) -> bool:
    """A word, or conditions on JSON: `{ ($.type = "Execution*") && ($.id = "1") }`."""
    if not pattern.startswith("{"):
        return pattern.strip('"') in message
    try:
        found = json.loads(message)
    except ValueError:
        return False
    told = _CONDITION.sub(lambda each: str(fnmatchcase(str(found.get(each[1])), each[2])), pattern[1:-1])
    whole = told.replace("&&", " and ").replace("||", " or ")
    assert re.fullmatch(r"[\s()]*((True|False|and|or)[\s()]*)+", whole), pattern
    return bool(eval(whole, {}))
