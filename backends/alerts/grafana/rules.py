"""Grafana-managed rules as rows. They are listed in Prometheus' shape, with states and labels of Grafana's own.

Source: https://grafana.com/docs/grafana/latest/alerting/fundamentals/alert-rule-evaluation/nodata-and-error-states/
"""

from collections.abc import Sequence
from urllib.parse import quote

from msgspec.structs import replace

from backends.alerts.alertmanager.merge import made_up
from backends.alerts.prometheus.reading import IN_ERROR, RuleRows
from backends.alerts.prometheus.rules import WireAlert, WireGroup, WireRule, first_of
from backends.models import Alert, AlertState
from backends.text import clean

RULE_UID = "__alert_rule_uid__"
FOLDER_UID = "__alert_rule_namespace_uid__"
# What Grafana's Alertmanager is sent in place of an alert that has no data, or an error; `rulename` is its name then.
_SENT_AS = {"nodata": "DatasourceNoData", "error": "DatasourceError"}
_STATES: dict[str, AlertState] = {
    "alerting": "firing", "firing": "firing", "recovering": "firing", "pending": "pending",
}  # fmt: skip


class GrafanaRows(RuleRows):
    """`folders`: only rules in these, by UID or title; below them, too."""

    system = "GrafanaRules"

    def __init__(self, backend: str, group_by: Sequence[str], base: str, folders: Sequence[str]) -> None:
        super().__init__(backend, group_by, lambda rule: f"{base}/alerting/grafana/{quote(_uid(rule), safe='')}/view")
        self._folders = folders
        self._seen: set[str] = set()

    def of(self, data: bytes, where: str) -> list[Alert]:
        """As of Prometheus; a folder without rules is told."""
        found = super().of(data, where)
        unseen = [folder for folder in self._folders if folder not in self._seen]
        words = f"{where}: it shows no rules in this folder: nobody sees whether something fires there"
        return found + [made_up(self.backend, self.system, words, grafana_folder=folder) for folder in unseen]

    def wants(self, group: WireGroup) -> bool:
        """Whether it is in one of the folders."""
        uid = group.folder_uid or next((_folder_uid(rule) for rule in group.rules if _folder_uid(rule)), "")
        of_it = [each for each in self._folders if each in (uid, group.file) or group.file.startswith(f"{each}/")]
        self._seen.update(of_it)
        return bool(of_it) or not self._folders

    def state(self, word: str) -> AlertState | None:
        """What is normal only since there was no data, or an error, is not known."""
        first = first_of(word)
        if first in ("normal", "inactive"):
            return "unknown" if _unproven(word) else None
        return _STATES.get(first, "unknown")

    def labels(self, rule: WireRule | None, wire: WireAlert) -> dict[str, str]:
        """As Grafana's Alertmanager has them, which is what a silence matches."""
        raw = super().labels(rule, wire)
        if rule and rule.uid:
            raw = {RULE_UID: rule.uid, **raw}
        sent_as = _SENT_AS.get(first_of(wire.state))
        return {**raw, "alertname": sent_as, "rulename": raw.get("alertname", "")} if sent_as else raw

    def alert(self, wire: WireAlert, rule: WireRule | None = None) -> Alert | None:
        """A row; one that is not known says why."""
        found = super().alert(wire, rule)
        if found is None or found.state != "unknown":
            return found
        said = (rule.last_error if rule else "") or found.summary
        return replace(found, summary=clean(f"{wire.state}: {said}" if said else wire.state, 500))

    def blind_labels(self, rule: WireRule, group: WireGroup) -> dict[str, str]:
        """As its alerts would have them."""
        raw = {**rule.labels, "alertname": rule.name, "grafana_folder": group.file}
        return {RULE_UID: _uid(rule), **raw} if _uid(rule) else raw

    def is_blind(self, rule: WireRule, rows: Sequence[Alert]) -> bool:
        """Also without data; a row that says it is enough."""
        is_unproven = rule.health in (*IN_ERROR, "nodata") and not rule.is_paused
        return is_unproven and not any(_unproven(row.raw_state) for row in rows)

    def is_unseen(self, rule: WireRule) -> bool:
        """Grafana says `ok` of what it has not looked at yet; a paused rule is meant not to be."""
        if rule.is_paused or rule.health in (*IN_ERROR, "nodata"):
            return False
        never = rule.last_evaluation is not None and rule.last_evaluation.year <= 1
        return never or rule.health not in ("ok", "")

    def nothing(self) -> str:
        """Who may read no folder gets an empty list."""
        return "it shows no alerting rules: there are none, or the token may not read their folders"


def _uid(rule: WireRule) -> str:
    """Of a rule; before Grafana 11.4 only its alerts have it."""
    return rule.uid or next((wire.labels[RULE_UID] for wire in rule.alerts or () if RULE_UID in wire.labels), "")


def _folder_uid(rule: WireRule) -> str:
    return next((wire.labels[FOLDER_UID] for wire in rule.alerts or () if FOLDER_UID in wire.labels), "")


def _unproven(word: str) -> bool:
    return any(each in word.casefold() for each in _SENT_AS)
