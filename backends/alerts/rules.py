"""Alert rules over SQL: each row that a rule's query returns is one alert, as in Prometheus each series is.

```toml
[[contexts.production.alerts]]
type = "rules"
url = { env = "WAREHOUSE_URL" }   # or a URL without a password: "sqlite:///warehouse.db"
state = "alerts.json"             # remembers since when; default: a file of its own in the state directory
timeout = "10s"
[[contexts.production.alerts.rules]]
name = "DataQualityDegradation"
severity = "critical"
query = "select dataset, score as value from latest_quality where score < 0.8"
for = "5m"                        # pending until it held that long
summary = "score {value} below 0.8"
group = "quality"
labels = { team = "data" }
runbook_url = "https://wiki.internal/quality"
```
Columns become labels, except `value` (of `{value}`) and `since` (when it began, where the query knows); `alertname` is
the rule. An acknowledgement or a silence is kept beside `state` (`alerts.silences.json`), for all who read that.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from backends.alerts.kept_silences import KeptSilences, hidden, hiding_of, silence_model
from backends.alerts.matchers import exact_matchers, refuse_all_embracing
from backends.alerts.since import SinceFile
from backends.alerts.wildcards import matches
from backends.errors import BackendError
from backends.missing import missing
from backends.models import Alert, Matcher, Silence
from backends.paths import path_of
from backends.ports import SilenceEffects, SilenceResult
from backends.registry import AdapterContext
from backends.settings import Duration, Secret, refuse_password_in_url
from backends.sql import Database
from backends.text import clean, clean_labels
from backends.times import parse_time
from backends.together import together

MAX_ROWS = 5000
NOT_LABELS = frozenset({"value", "since"})
_DATABASE_IS_AWAY = frozenset({"unreachable", "auth", "timeout"})
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule.

    name: the name of its alerts.
    query: each row that it returns is one alert; its columns become labels, but `value` and `since`.
    severity: of its alerts.
    for: how long it must hold before it fires; pending until then.
    summary: one line for people; `{value}` and `{LABEL}` are filled in.
    group: what it is shown under.
    labels: added to those of the row.
    runbook_url: what to do about it.
    """

    name: str
    query: str
    severity: str = "warning"
    hold: Duration = field(default=Duration(0), name="for")
    summary: str = ""
    group: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    runbook_url: str | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.query.strip():
            raise ValueError("name, query: neither may be empty")


class RulesConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A database and the rules over it; their names differ, since a name and its labels identify an alert.

    url: an SQLAlchemy URL without a password, or a reference to one.
    rules: at least one.
    state: the file that remembers since when each fires, with acknowledgements and silences in one beside it; by
        default one in the user's own state directory, which nobody else sees.
    timeout: of one query.
    """

    url: str | Secret
    rules: tuple[Rule, ...]
    state: str | None = None
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if isinstance(self.url, str):
            refuse_password_in_url(self.url)
        if not self.rules:
            raise ValueError("rules: at least one is needed")
        names = [rule.name for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"rules: more than one is named {', '.join(twice)}")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")


class Finding(Struct, frozen=True):
    """A row of a rule's query as it matters: its identity, its labels, its value, when it began if the query knows."""

    fingerprint: str
    labels: dict[str, str]
    value: str | None
    since: datetime | None


class RuleAlerts:
    """`Silencer` over rules. A rule that cannot be evaluated is an alert of state `unknown`: a blind spot is shown."""

    api = 1
    Config = RulesConfig

    def __init__(self, config: RulesConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._database = Database(config.url, base_dir=context.base_dir, timeout_s=config.timeout)
        path = path_of(config.state, context.base_dir) if config.state else None
        path = path or context.state_dir / f"{context.name}.json"
        self._since = SinceFile(path)
        self._labels: dict[str, dict[str, str]] = {}
        self._silences = KeptSilences(context.name, path.with_suffix(".silences.json"))

    async def alerts(self) -> list[Alert]:
        """All rules evaluated side by side, with what hides them. Raises BackendError where the database as a whole
        cannot be asked. Silences that can not be read hide nothing, and are told as missing."""
        found = await self._alerts()
        try:
            known = await self._silences.known()
        except BackendError as error:
            missing(error)
            return found
        now = datetime.now(UTC)
        return await asyncio.to_thread(lambda: [hidden(alert, known, now) for alert in found]) if known else found

    async def _alerts(self) -> list[Alert]:
        await self._database.open()
        outcomes = await together(*map(self._evaluate, self._config.rules))
        errors = [outcome for outcome in outcomes if isinstance(outcome, BackendError)]
        if errors and len(errors) == len(outcomes) and all(error.kind in _DATABASE_IS_AWAY for error in errors):
            raise errors[0]
        evaluated = {
            rule.name: outcome
            for rule, outcome in zip(self._config.rules, outcomes, strict=True)
            if not isinstance(outcome, BackendError)
        }
        blind = {rule.name for rule in self._config.rules} - evaluated.keys()
        now = datetime.now(UTC)
        since = await asyncio.to_thread(
            self._since.update,
            {name: [finding.fingerprint for finding in found] for name, found in evaluated.items()},
            blind,
            now,
        )
        # Five thousand rows take longer than a frame may.
        found = await asyncio.to_thread(self._judged, outcomes, since, now)
        self._labels = {alert.fingerprint: alert.labels for alert in found}
        return found

    def _judged(
        self, outcomes: list[list[Finding] | BackendError], since: Mapping[str, datetime], now: datetime
    ) -> list[Alert]:
        alerts: list[Alert] = []
        for rule, outcome in zip(self._config.rules, outcomes, strict=True):
            if isinstance(outcome, BackendError):
                alerts.append(self._blind_spot(rule, f"rule cannot be evaluated: {outcome.message}"))
                continue
            alerts += [
                self._alert(rule, finding, since.get(finding.fingerprint), now) for finding in outcome[:MAX_ROWS]
            ]
            if len(outcome) > MAX_ROWS:
                alerts.append(self._blind_spot(rule, f"more than {MAX_ROWS} rows: the rest is not shown"))
        return self._with_trouble(alerts)

    def _with_trouble(self, alerts: list[Alert]) -> list[Alert]:
        """Why nobody knows since when they fire, said by the first that it is true of: it is the same of each."""
        first = next((at for at, found in enumerate(alerts) if found.since is None and found.state == "firing"), None)
        if first is not None and self._since.trouble:
            words = f"{alerts[first].summary} (cannot remember since when: {self._since.trouble})".lstrip()
            alerts[first] = replace(alerts[first], summary=clean(words, 500))
        return alerts

    # ---- silences

    def ack_matchers(self, alert: Alert) -> tuple[Matcher, ...]:
        """All labels of the alert, its name among them."""
        others = (labels for fingerprint, labels in self._labels.items() if fingerprint != alert.fingerprint)
        return exact_matchers(alert.labels, others)

    async def matching(self, matchers: tuple[Matcher, ...]) -> list[Alert]:
        """As the port says."""
        refuse_all_embracing(matchers)
        return [alert for alert in await self.alerts() if alert.state != "unknown" and matches(matchers, alert.labels)]

    async def silences(self, *, hiding: str | None = None) -> list[Silence]:
        """As the port says."""
        alerts, known, now = await self._alerts(), await self._silences.known(), datetime.now(UTC)
        if hiding is not None:
            one = next((alert for alert in alerts if alert.fingerprint == hiding), None)
            known = hiding_of(one, known, now) if one is not None else []
        known = sorted(known, key=lambda each: each.ends_at)
        return await asyncio.to_thread(lambda: [silence_model(self._name, each, alerts, now) for each in known])

    async def effects(self, matchers: tuple[Matcher, ...], *, ack: bool) -> SilenceEffects:
        """Where it is kept, since nobody else hears of it."""
        return SilenceEffects(
            says=(f"it is kept in {self._silences.place}: who does not read that still sees it fire",)
        )

    async def silence(
        self, matchers: tuple[Matcher, ...], *, until: datetime, by: str, comment: str, ack: bool, order: str = ""
    ) -> SilenceResult:
        """As the port says."""
        await self._alerts()  # no order is taken by a source that does not answer
        return await self._silences.silence(matchers, until=until, by=by, comment=comment, ack=ack)

    async def extend(self, silence_id: str, until: datetime, *, exactly: bool = False) -> SilenceResult:
        """As the port says."""
        await self._alerts()  # no order is taken by a source that does not answer
        return await self._silences.extend(silence_id, until, exactly=exactly)

    async def expire(self, silence_id: str) -> SilenceResult:
        """As the port says."""
        await self._alerts()  # no order is taken by a source that does not answer
        return await self._silences.expire(silence_id)

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        await self._database.aclose()

    async def _evaluate(self, rule: Rule) -> list[Finding] | BackendError:
        """What the rule finds, at most one more than `MAX_ROWS`. Rows of the same labels are one alert."""
        try:
            rows = await self._database.rows(rule.query, limit=MAX_ROWS + 1)
        except BackendError as error:
            return error
        return await asyncio.to_thread(_findings, rule, rows)

    def _alert(self, rule: Rule, finding: Finding, first_seen: datetime | None, now: datetime) -> Alert:
        since = finding.since or first_seen
        # Nobody knows how long it held where it cannot be remembered: then it fires, rather than pend for ever.
        held = since is None or (now - since).total_seconds() >= rule.hold
        values = finding.labels if finding.value is None else {**finding.labels, "value": finding.value}
        summary = fill(rule.summary, values)
        return Alert(
            ref=f"{self._name}/{finding.fingerprint}",
            backend=self._name,
            fingerprint=finding.fingerprint,
            name=clean(rule.name, 200),
            severity=clean(rule.severity, 40),
            state="firing" if held else "pending",
            since=since,
            labels={**finding.labels, "alertname": clean(rule.name, 200)},
            summary=clean(summary, 500),
            group=clean(rule.group, 100),
            runbook_url=clean(rule.runbook_url) if rule.runbook_url else None,
        )

    def _blind_spot(self, rule: Rule, summary: str) -> Alert:
        labels = clean_labels(rule.labels)
        fingerprint = fingerprint_of(rule.name, {**labels, "": summary.partition(":")[0]})
        return Alert(
            ref=f"{self._name}/{fingerprint}",
            backend=self._name,
            fingerprint=fingerprint,
            name=clean(rule.name, 200),
            severity=clean(rule.severity, 40),
            state="unknown",
            labels={**labels, "alertname": clean(rule.name, 200)},
            summary=clean(summary, 500),
            group=clean(rule.group, 100),
            runbook_url=clean(rule.runbook_url) if rule.runbook_url else None,
        )


def fingerprint_of(name: str, labels: Mapping[str, str]) -> str:
    """16 hex digits that stay the same for a name and a label set, in whatever order."""
    identity = json.dumps([name, sorted(labels.items())], ensure_ascii=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def fill(template: str, values: Mapping[str, str]) -> str:
    """`template` with each `{name}` of `values` replaced, once; other braces stay as they are."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), template)


def _findings(rule: Rule, rows: Iterable[Mapping[str, Any]]) -> list[Finding]:
    found = (_finding(rule, row) for row in rows)
    return list({finding.fingerprint: finding for finding in found}.values())


def _finding(rule: Rule, row: Mapping[str, Any]) -> Finding:
    columns = {name: _text(value) for name, value in row.items() if name not in NOT_LABELS and value is not None}
    labels = clean_labels({**rule.labels, **columns})
    value = row.get("value")
    if isinstance(value, float):
        value = round(value, 4)
    return Finding(
        fingerprint=fingerprint_of(rule.name, labels),
        labels=labels,
        value=None if value is None else clean(_text(value), 100),
        since=parse_time(row.get("since")),
    )


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"  # 0.1 + 0.2 is 0.3 to whoever reads it, and to a label that has to stay the same
    return value.hex() if isinstance(value, bytes) else str(value)
