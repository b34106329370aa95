"""Grafana in this process: rules, its Alertmanager, annotations.

There is no packaged description of it, and nothing validates these answers: annotations follow the documented
examples of its HTTP API; rules and rights follow its source (`tooling/definitions/prom.go`,
`accesscontrol/silences.go`), read by hand, since its Swagger file is AGPL and lacks the rules. A token with the
rights of a folder may not read all alerts, and may silence a rule.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from backends.alerts.prometheus.rules import fingerprint_of
from tests.backends.fake_alertmanager import FakeAlertmanager, Handler, stamp

NAME = "DataQualityDegradation"
RULE_UID, FOLDER_UID = "__alert_rule_uid__", "__alert_rule_namespace_uid__"
SENT_AS = {"NoData": "DatasourceNoData", "Error": "DatasourceError"}
DENIED = {
    "accessErrorId": "ACE0123456789", "title": "Access denied",
    "message": "You'll need additional permissions to perform this action. Permissions needed: alert.instances:read",
}  # fmt: skip


def rule(
    name: str = NAME, uid: str = "bdr1", *, alerts: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    """A Grafana-managed rule as `/api/prometheus/grafana/api/v1/rules` lists it."""
    now = stamp(datetime.now(UTC))
    return {
        "state": "inactive", "name": name, "query": "min(score)", "duration": 60, "annotations": {}, "type": "alerting",
        "alerts": [alert(name, uid, **each) for each in alerts or ()], "totals": {}, "totalsFiltered": {}, "uid": uid,
        "folderUid": "fold1", "labels": {"severity": "critical"}, "health": "ok", "isPaused": False,
        "lastEvaluation": now, "evaluationTime": 0.01, **more,
    }  # fmt: skip


def alert(name: str = NAME, uid: str = "bdr1", **more: Any) -> dict[str, Any]:
    """One of its alerts, with internal labels."""
    labels = {
        "alertname": name, "grafana_folder": "Data Platform", "severity": "critical", RULE_UID: uid,
        FOLDER_UID: "fold1", **more.pop("labels", {}),
    }  # fmt: skip
    at = more.pop("activeAt", None) or stamp(datetime.now(UTC))
    return {"labels": labels, "annotations": {}, "state": "Alerting", "activeAt": at, "value": "1e+00", **more}


def group(
    *rules: dict[str, Any], name: str = "quality", folder: str = "Data Platform", uid: str = "fold1"
) -> dict[str, Any]:
    """A group of rules of one folder."""
    return {
        "name": name, "file": folder, "folderUid": uid, "rules": list(rules), "totals": {}, "interval": 60,
        "lastEvaluation": stamp(datetime.now(UTC)), "evaluationTime": 0.01,
    }  # fmt: skip


@dataclass
class FakeGrafana(FakeAlertmanager):
    """`groups` are Grafana's rules, `sources` those of its data sources by UID. `answers` override a path: status and
    JSON. `rights`: "all", or "folder"."""

    prefix: str = "/api/alertmanager/grafana"
    groups: list[dict[str, Any]] = field(default_factory=lambda: [group(rule())])
    sources: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    token: str = "glsa_token"
    rights: str = "all"
    seen: list[dict[str, str]] = field(default_factory=list)
    annotations: dict[int, dict[str, Any]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1123))

    @property
    def base(self) -> str:
        """Its URL."""
        return self.url.removesuffix(self.prefix)

    def handler(self) -> type[Handler]:
        """As the base says."""
        return _GrafanaHandler

    def annotate(self, **said: Any) -> int:
        """An annotation as the answers of Grafana's documentation have it; returns its id."""
        number, now = next(self.numbers), round(self.now().timestamp() * 1000)
        self.annotations[number] = {
            "id": number, "alertId": 0, "alertName": "", "dashboardId": 0, "dashboardUID": None, "panelId": 0,
            "userId": 1, "login": "sa-1-tealdeck", "newState": "", "prevState": "", "created": now, "updated": now,
            "time": now, "text": "", "tags": [], "data": {}, **said,
        }  # fmt: skip
        self.annotations[number].setdefault("timeEnd", self.annotations[number]["time"])
        return number

    def shown_alerts(self, filters: list[str]) -> list[dict[str, Any]]:
        """What the rules have sent: `state/compat.go` renames those without data."""
        self.alerts = {}
        for each in (each for group in self.groups for rule in group["rules"] for each in rule["alerts"]):
            word = each["state"].partition(" ")[0]
            if word not in ("Alerting", *SENT_AS):
                continue
            labels = each["labels"]
            if word in SENT_AS:
                labels = {**labels, "alertname": SENT_AS[word], "rulename": labels["alertname"]}
            now = stamp(self.now())
            self.alerts[fingerprint_of(labels)] = {
                "fingerprint": fingerprint_of(labels), "labels": labels, "annotations": each["annotations"],
                "generatorURL": "", "receivers": [], "startsAt": each["activeAt"], "endsAt": now, "updatedAt": now,
                "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
            }  # fmt: skip
        return super().shown_alerts(filters)

    def listed(self, source: str, given: dict[str, list[str]]) -> tuple[int, Any]:
        """Status and JSON for the rules of a data source, or Grafana's."""
        if source != "grafana":
            if source not in self.sources:
                return 404, {"message": "data source not found", "traceID": ""}
            return 200, {"status": "success", "data": {"groups": self.sources[source]}}
        groups = self.groups
        if given.get("includeInternalLabels") != ["true"]:
            groups = [_without_internal(each) for each in groups]
        return 200, {"status": "success", "data": {"groups": groups, "totals": {}}}


def _without_internal(group: dict[str, Any]) -> dict[str, Any]:
    def cut(each: dict[str, Any]) -> dict[str, Any]:
        return {**each, "labels": {k: v for k, v in each["labels"].items() if k not in (RULE_UID, FOLDER_UID)}}

    return {**group, "rules": [{**rule, "alerts": list(map(cut, rule["alerts"]))} for rule in group["rules"]]}


class _GrafanaHandler(Handler):
    fake: FakeGrafana

    def took(self) -> bool:
        """All but what its Alertmanager answers."""
        if self._refused():
            return True
        parts = urlsplit(self.path)
        path, given = parts.path, parse_qs(parts.query)
        if path in self.fake.answers:
            self._answer(self.fake.answers[path][1], self.fake.answers[path][0])
        elif path.startswith("/api/annotations"):
            self._answer(*self._annotations(path.removeprefix("/api/annotations").strip("/"), given))
        elif path.startswith("/api/prometheus/"):
            status, body = self.fake.listed(path.split("/")[3], given)
            self._answer(body, status)
        elif path.endswith("/api/v2/alerts") and self.fake.rights == "folder":
            self._answer(DENIED, 403)
        else:
            return False
        return True

    def _annotations(self, number: str, given: dict[str, list[str]]) -> tuple[object, int]:
        known = self.fake.annotations
        if number and int(number) not in known:
            return {"message": "Annotation not found", "traceID": ""}, 404
        if self.command == "PATCH":
            known[int(number)].update(self.body)
            return {"message": "Annotation patched"}, 200
        if self.command == "POST":
            return {"message": "Annotation added", "id": self.fake.annotate(**self.body)}, 200
        if number:
            return known[int(number)], 200
        begin, end = (int(given.get(name, [default])[0]) for name, default in (("from", "0"), ("to", str(2**53))))
        found = [
            each
            for each in sorted(known.values(), key=lambda each: -each["time"])
            if each["time"] <= end
            and each["timeEnd"] >= begin
            and set(given.get("tags", [])) <= set(each["tags"])
            and (given.get("type") != ["annotation"] or not each["alertId"])
        ]
        return found[: int(given.get("limit", ["100"])[0])], 200

    def may_post(self, body: dict[str, Any]) -> bool:
        """With the rights of a folder, a silence of one rule."""
        named = any(each["name"] == RULE_UID and each["isEqual"] and not each["isRegex"] for each in body["matchers"])
        return named or self.fake.rights == "all"

    def _refused(self) -> bool:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.fake.seen.append({"path": self.path, **headers})
        if self.fake.fault.startswith("read "):
            self._fail(self.fake.fault.removeprefix("read "))
            return True
        if headers.get("authorization") != f"Bearer {self.fake.token}":
            self._answer({"message": "Invalid API key", "messageId": "api-key.invalid", "statusCode": 401}, 401)
            return True
        return False
