"""Grafana in this process: rules, its Alertmanager, annotations.

There is no packaged description of it: this follows the documented examples of its HTTP API and, for rules, the fields
that its own pages are sent (`RuleResponse` of its Swagger file, which is not kept here: it is AGPL). Rights are as its
documentation of roles has them: a token with the rights of a folder may not read all alerts, and may silence a rule.
"""

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

    @property
    def base(self) -> str:
        """Its URL."""
        return self.url.removesuffix(self.prefix)

    def handler(self) -> type[Handler]:
        """As the base says."""
        return _GrafanaHandler

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
        elif path.startswith("/api/prometheus/"):
            status, body = self.fake.listed(path.split("/")[3], given)
            self._answer(body, status)
        elif path.endswith("/api/v2/alerts") and self.fake.rights == "folder":
            self._answer(DENIED, 403)
        else:
            return False
        return True

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
