"""Rules as rows: what fires, what is pending, and what nobody watches. Of Prometheus, and of what speaks as it does."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC

from msgspec.structs import replace

from backends.alerts.alertmanager.merge import made_up
from backends.alerts.naming import group_of, runbook_of, summary_of
from backends.alerts.prometheus.rules import WireAlert, WireGroup, WireRule, decode_rules, fingerprint_of, state_of
from backends.models import Alert, AlertState
from backends.records import Odd, text_at
from backends.text import clean, clean_labels

NAMES_SHOWN = 5
IN_ERROR = ("err", "error")

Link = Callable[[WireRule], str | None]


class RuleRows:
    """`backend` and `group_by` are those of the entry, `link` shows a rule in a browser; `system` names what belongs to
    no rule."""

    system = "PrometheusRules"

    def __init__(self, backend: str, group_by: Sequence[str], link: Link) -> None:
        self.backend = backend
        self.link = link
        self._group_by = group_by
        self.as_sent: dict[str, dict[str, str]] = {}
        """Labels by fingerprint, of what was read last: they are shown cleaned."""

    def of(self, data: bytes, where: str) -> list[Alert]:
        """All that is not quiet in `data` of `/rules`. Raises BackendError(malformed)."""
        self.as_sent = {}
        found, odd = decode_rules(data, f"{where}: rules")
        alerts = {spot.ref: spot for spot in (self.odd(each, text_at(each.plain, "name")) for each in odd)}
        alerting = len(odd)
        for group in filter(self.wants, found.groups):
            unseen: list[str] = []
            for rule in group.rules:
                alerting += rule.type == "alerting"
                rows = self._of_rule(rule, group)
                alerts |= {row.ref: row for row in rows}
                if self.is_unseen(rule):
                    unseen.append(rule.name)
            if unseen:
                spot = self._unseen(unseen, len(group.rules), group)
                alerts[spot.ref] = spot
        if not alerting:
            spot = made_up(self.backend, self.system, f"{where}: {self.nothing()}")
            alerts[spot.ref] = spot
        return list(alerts.values())

    # ---- what servers do differently

    def wants(self, group: WireGroup) -> bool:
        """Whether the entry asks for that group."""
        return True

    def state(self, word: str) -> AlertState | None:
        """What `word` means; None for an alert that is none."""
        return state_of(word)

    def labels(self, rule: WireRule | None, wire: WireAlert) -> dict[str, str]:
        """Of the alert, as they are sent on."""
        return {"alertname": rule.name, **wire.labels} if rule else wire.labels

    def blind_labels(self, rule: WireRule, group: WireGroup) -> dict[str, str]:
        """Of the row of a rule that nobody can evaluate."""
        return {**rule.labels, "alertname": rule.name, "rule_group": group.name, "rule_file": group.file}

    def is_blind(self, rule: WireRule, rows: Sequence[Alert]) -> bool:
        """Whether what the rule watches is unseen, and none of its `rows` says so."""
        return rule.health in IN_ERROR

    def is_unseen(self, rule: WireRule) -> bool:
        """Whether the rule was not evaluated yet."""
        return rule.health not in ("ok", "", *IN_ERROR)

    def nothing(self) -> str:
        """What it means that there are no rules."""
        return "it has no alerting rules, so that nothing can fire"

    # ---- rows

    def alert(self, wire: WireAlert, rule: WireRule | None = None) -> Alert | None:
        """A row; None for a quiet one."""
        state = self.state(wire.state)
        if state is None:
            return None
        raw = self.labels(rule, wire)
        labels, fingerprint = clean_labels(raw), fingerprint_of(raw)
        self.as_sent[fingerprint] = raw
        name = (clean(rule.name, 512) if rule else labels.get("alertname")) or "(no alertname)"
        return Alert(
            ref=f"{self.backend}/{fingerprint}",
            backend=self.backend,
            fingerprint=fingerprint,
            name=name,
            severity=clean(labels.get("severity", ""), 40),
            state=state,
            raw_state=clean(wire.state, 40),
            since=wire.active_at.astimezone(UTC) if wire.active_at and wire.active_at.year > 1 else None,
            labels=labels,
            summary=_summary(wire.annotations, wire.value),
            group=group_of(name, labels, self._group_by),
            runbook_url=runbook_of(wire.annotations),
            source_url=self.link(rule) if rule else None,
        )

    def odd(self, odd: Odd, name: str) -> Alert:
        """What is not as the system documents it: nobody knows whether it fires."""
        return made_up(self.backend, clean(name, 200) or self.system, f"cannot be read: {odd.error.message}")

    def _of_rule(self, rule: WireRule, group: WireGroup) -> list[Alert]:
        rows = [row for row in (self.alert(wire, rule) for wire in rule.alerts or ()) if row is not None]
        return [*rows, self._blind_spot(rule, group)] if self.is_blind(rule, rows) else rows

    def _blind_spot(self, rule: WireRule, group: WireGroup) -> Alert:
        """What such a rule would tell about, nobody knows."""
        kind = "rule" if rule.type == "alerting" else "recording rule"
        what = "has no data" if rule.health == "nodata" else "cannot be evaluated"
        said = rule.last_error or ("" if rule.health == "nodata" else "it does not say why")
        raw = self.blind_labels(rule, group)
        labels, fingerprint = clean_labels(raw), fingerprint_of(raw)
        self.as_sent[fingerprint] = raw
        return Alert(
            ref=f"{self.backend}/{fingerprint}",
            backend=self.backend,
            fingerprint=fingerprint,
            name=labels["alertname"],
            severity=clean(labels.get("severity", "critical"), 40),
            state="unknown",
            raw_state=clean(rule.health, 40),
            labels=labels,
            summary=clean(f"{kind} {what}: {said}" if said else f"{kind} {what}", 500),
            group=group_of(labels["alertname"], labels, self._group_by),
            runbook_url=runbook_of(rule.annotations),
            source_url=self.link(rule),
        )

    def _unseen(self, names: list[str], total: int, group: WireGroup) -> Alert:
        shown = clean(", ".join(names[:NAMES_SHOWN]), 300) + (", …" if len(names) > NAMES_SHOWN else "")
        words = f"{len(names)} of {total} rules of {clean(group.name, 100)} were not evaluated yet: {shown}"
        where = {"rule_group": clean(group.name, 200), "rule_file": clean(group.file, 300)}
        return made_up(self.backend, self.system, words, **where)


def watched(backend: str, alerts: Iterable[Alert], watchdog: str, where: str) -> list[Alert]:
    """That the watchdog fires is good; that it does not means that rules do not do what they say. `where` names the
    system; without a name of a watchdog none is awaited."""
    found = list(alerts)
    if not watchdog:
        return found
    if not any(alert.name == watchdog and alert.state == "firing" for alert in found):
        words = f"watchdog does not fire in {where}: alerts may not reach us"
        return [*found, made_up(backend, watchdog, words)]
    return [
        replace(alert, severity="none") if (alert.name, alert.state) == (watchdog, "firing") else alert
        for alert in found
    ]


def _summary(texts: dict[str, str], value: str | float) -> str:
    if words := summary_of(texts):
        return clean(words, 500)
    try:
        return f"value {float(value):.6g}" if value != "" else ""
    except ValueError:
        return clean(f"value {value}", 100)
