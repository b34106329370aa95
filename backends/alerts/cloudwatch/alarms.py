"""CloudWatch alarms as alerts, metric and composite ones, and mute rules as their silences.

```toml
[[contexts.production.alerts]]
type = "cloudwatch"
prefix = "prod-"                        # or names = ["prod-analytics-*"], composite_only = true
labels_from_name = '(?P<service>[a-z]+)-(?P<alertname>.*?)(-(?P<severity>warning|critical))?'
aws = { region = "eu-central-1" }
```
An alarm with INSUFFICIENT_DATA is an alert of state `unknown`: what it watches, nobody knows. Dimensions of its metric
are labels. An acknowledgement is a mute rule, which stops every action of the alarm and not only its notices; so one
that does something else than tell a topic is not acknowledged from here.
API: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
"""

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from msgspec import Struct

from backends.alerts.alertmanager.merge import made_up
from backends.alerts.cloudwatch.effects import effects_of
from backends.alerts.cloudwatch.history import events_of, history_between
from backends.alerts.cloudwatch.matching import takes_all
from backends.alerts.cloudwatch.mute_rules import MuteRule
from backends.alerts.cloudwatch.mutes import Mutes
from backends.alerts.cloudwatch.wire import Alarm, AlarmsPage
from backends.alerts.matchers import exact_matchers, refuse_all_embracing
from backends.aws.access import AwsAccess
from backends.aws.account import MAX_PAGES, account_of
from backends.aws.wire import told
from backends.aws.witness import Look
from backends.errors import BackendError
from backends.models import Acknowledgement, Alert, AlertState, Matcher, Silence, TimelineEvent
from backends.patterns import Pattern
from backends.ports import SilenceEffects, SilenceResult
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean
from backends.together import few_at_a_time, together

TYPES = ("MetricAlarm", "CompositeAlarm", "LogAlarm")
WATCHED_EVERY_S = 60.0
"""How often all alarms are looked at for what they do not do; those that ask for somebody are read each time."""
SHOWN_NAMES = 5
SIDE_BY_SIDE = 4
_EVALUATION = {
    "EVALUATION_ERROR": "it can not be evaluated",
    "EVALUATION_FAILURE": "it can not be evaluated: CloudWatch failed",
    "PARTIAL_DATA": "it is evaluated on a part of its data",
}


class CloudWatchAlarmsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which alarms of an account and region.

    prefix: only alarms whose name begins so.
    names: only these; globs.
    composite_only: only composite alarms.
    labels_from_name: a regular expression for whole names; its named groups become labels, `alertname` the name that is
        shown, `severity` the severity.
    severity: of alarms whose name does not say it.
    aws: how AWS is reached.
    timeout: of one request.
    """

    prefix: str = ""
    names: tuple[str, ...] = ()
    composite_only: bool = False
    labels_from_name: str = ""
    severity: str = "critical"
    aws: AwsAccess = AwsAccess()
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if not all(self.names):
            raise ValueError("names: none of them empty")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        try:
            re.compile(self.labels_from_name)
        except re.error as error:
            raise ValueError(f"labels_from_name: no regular expression: {error}") from None


class CloudWatchAlarms:
    """`Silencer` over the alarms of one account and region."""

    api = 1
    Config = CloudWatchAlarmsConfig

    def __init__(self, config: CloudWatchAlarmsConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._pattern = Pattern(config.labels_from_name) if config.labels_from_name else None
        self._account = account_of(config.aws, context.base_dir, timeout_s=config.timeout)
        self._mutes = Mutes(self._account)
        self._since: dict[tuple[str, datetime | None], datetime | None] = {}
        self._watched: tuple[float, list[Alarm]] | None = None
        self._labels: dict[str, dict[str, str]] = {}

    async def alerts(self) -> list[Alert]:
        """Those in ALARM, and those that do not know (`unknown`); also one for alarms that tell nobody, and one where
        the mute rules can not be read. Raises BackendError."""
        red, blind, (rules, unread) = await together(
            self._alarms(StateValue="ALARM"), self._alarms(StateValue="INSUFFICIENT_DATA"), self._active()
        )
        alarms = list({alarm.alarm_arn: alarm for alarm in (*red, *blind)}.values())
        since = await self._since_of(alarms)
        alerts = [self._alert(alarm, rules, at) for alarm, at in zip(alarms, since, strict=True)]
        self._labels = {alert.fingerprint: alert.labels for alert in alerts}
        there = {alarm.alarm_name for alarm in alarms}
        return [*alerts, *unread, *(await self._silent(there))]

    async def events(self, since: datetime, until: datetime) -> list[TimelineEvent]:
        """As the port says, by the history of alarms, of those that are looked at. Raises BackendError."""
        (items, is_cut), alarms = await together(
            history_between(self._account, since, until, self._types), self._all_alarms()
        )
        wanted = (item for item in items if self._is_wanted(item.alarm_name))
        known = {alarm.alarm_name: alarm for alarm in alarms}
        found = events_of(wanted, known, self._name, self._was)
        if not is_cut:
            return found
        words = f"{self._account.where}: the history of alarms is long: nothing before is read"
        return [TimelineEvent(at=since, kind="unwatched", ref=self._name, text=words, until=items[0].at), *found]

    def looks(self) -> list[Look]:
        """What is asked where an alarm is red, and the mute rules."""
        return [
            Look("cloudwatch", "describe_alarm_history", {"MaxRecords": 1}),
            Look("cloudwatch", "list_alarm_mute_rules", {"MaxRecords": 1}),
        ]

    async def aclose(self) -> None:
        """The account is shared; nothing of its own is open."""

    # ---- silences

    def ack_matchers(self, alert: Alert) -> tuple[Matcher, ...]:
        """As the port says: of one alarm."""
        if "alarm" not in alert.labels:
            raise BackendError("config", f"{alert.name} is no alarm of CloudWatch", fix="put right what it says")
        return exact_matchers(
            alert.labels, (labels for key, labels in self._labels.items() if key != alert.fingerprint)
        )

    async def matching(self, matchers: tuple[Matcher, ...]) -> list[Alert]:
        """As the port says."""
        refuse_all_embracing(matchers)
        return [alert for alert in await self.alerts() if "alarm" in alert.labels and takes_all(matchers, alert.labels)]

    async def effects(self, matchers: tuple[Matcher, ...], *, ack: bool) -> SilenceEffects:
        """As the port says: a mute stops all that an alarm does, and what stands above it still tells."""
        alarms = await self._alarms()
        return effects_of(self._chosen(alarms, matchers), alarms, ack=ack)

    async def silences(self, *, hiding: str | None = None) -> list[Silence]:
        """As the port says: the mute rules that target alarms, also those of others."""
        rules, red, blind = await together(
            self._mutes.rules(), self._alarms(StateValue="ALARM"), self._alarms(StateValue="INSUFFICIENT_DATA")
        )
        shown = {alarm.alarm_name: alarm.fingerprint for alarm in (*red, *blind)}
        if hiding is not None:
            wanted = {name for name, fingerprint in shown.items() if fingerprint == hiding}
            rules = [rule for rule in rules if _is_active(rule) and wanted & set(rule.mute_targets.alarm_names)]
        hides = Counter({
            rule.name: sum(name in shown for name in rule.mute_targets.alarm_names)
            for rule in rules if _is_active(rule)
        })  # fmt: skip
        found = [rule.silence(self._name, hides[rule.name]) for rule in rules]
        return sorted(found, key=lambda silence: silence.ends_at or datetime.max.replace(tzinfo=UTC))

    async def silence(
        self, matchers: tuple[Matcher, ...], *, until: datetime, by: str, comment: str, ack: bool, order: str = ""
    ) -> SilenceResult:
        """As the port says: one mute rule on the alarms that match now, whether they are red or not."""
        refuse_all_embracing(matchers)
        names = sorted(alarm.alarm_name for alarm in self._chosen(await self._alarms(), matchers))
        return await self._mutes.make(names, matchers, until=until, by=by, comment=comment, ack=ack, order=order)

    async def extend(self, silence_id: str, until: datetime, *, exactly: bool = False) -> SilenceResult:
        """As the port says; at most 15 days from its begin, and not one that recurs."""
        return await self._mutes.extend(silence_id, until, exactly=exactly)

    async def expire(self, silence_id: str) -> SilenceResult:
        """As the port says; not one that recurs."""
        return await self._mutes.expire(silence_id)

    # ---- inside

    @property
    def _types(self) -> list[str]:
        return ["CompositeAlarm"] if self._config.composite_only else list(TYPES)

    def _is_wanted(self, name: str) -> bool:
        names = self._config.names
        return name.startswith(self._config.prefix) and (
            not names or any(fnmatchcase(name, pattern) for pattern in names)
        )

    async def _all_alarms(self) -> list[Alarm]:
        """Whatever state they are in, as of a minute ago at most."""
        if self._watched is None or time.monotonic() - self._watched[0] > WATCHED_EVERY_S:
            self._watched = (time.monotonic(), await self._alarms())
        return self._watched[1]

    async def _alarms(self, **more: str) -> list[Alarm]:
        asked: dict[str, Any] = {"AlarmTypes": self._types}
        if self._config.prefix:
            asked["AlarmNamePrefix"] = self._config.prefix
        found: list[Alarm] = []
        for _ in range(MAX_PAGES):
            answer = await self._account.read("cloudwatch", "describe_alarms", MaxRecords=100, **asked, **more)
            page = told(answer, AlarmsPage, self._account.where)
            if page.metric_alarms is page.composite_alarms is page.log_alarms is None:
                words = f"{self._account.where}: no alarms in the answer, not even none"
                raise BackendError("malformed", words, fix="check `aws.endpoint_url`")
            found += page.alarms()
            if not page.next_token:
                break
            more["NextToken"] = page.next_token
        else:
            words = f"{self._account.where}: more than {MAX_PAGES * 100:,} alarms"
            raise BackendError("config", words, fix="a `prefix`")
        return [alarm for alarm in found if self._is_wanted(alarm.alarm_name)]

    def _chosen(self, alarms: Iterable[Alarm], matchers: tuple[Matcher, ...]) -> list[Alarm]:
        return [alarm for alarm in alarms if takes_all(matchers, alarm.labels(self._pattern))]

    async def _active(self) -> tuple[list[MuteRule], list[Alert]]:
        """The rules that mute now, and what is to be said where nobody may read them."""
        try:
            return await self._mutes.rules("ACTIVE"), []
        except BackendError as error:  # where nothing answers, neither do the alarms
            words = f"what is muted is not known: {error.message}"
            return [], [made_up(self._name, "CloudWatchMuteRules", clean(words, 500))]

    async def _silent(self, shown: set[str]) -> list[Alert]:
        """Alarms that would tell nobody, as one alert, and those that are not judged, one each; but for those in
        `shown`, which say so themselves."""
        alarms = await self._all_alarms()
        said = [*self._disabled(alarms), *(self._unjudged(alarm) for alarm in alarms if _is_unjudged(alarm))]
        return [alert for alert in said if alert.labels.get("alarm") not in shown]

    def _disabled(self, alarms: Sequence[Alarm]) -> list[Alert]:
        names = [alarm.alarm_name for alarm in alarms if not alarm.actions_enabled]
        if not names:
            return []
        more = ", …" if len(names) > SHOWN_NAMES else ""
        listed = clean(", ".join(names[:SHOWN_NAMES]), 300) + more
        words = f"the actions of {len(names)} alarms are disabled, they tell nobody: {listed}"
        if len(names) == 1:
            words = f"the actions of 1 alarm are disabled, it tells nobody: {listed}"
        found = made_up(self._name, "CloudWatchActionsDisabled", words)
        return [_as_warning(found)]

    def _unjudged(self, alarm: Alarm) -> Alert:
        return self._model(alarm, "unknown", alarm.since)

    def _was(self, alarm: Alarm, at: datetime) -> Alert:
        return self._model(alarm, "firing" if alarm.state_value == "ALARM" else "unknown", at)

    def _alert(self, alarm: Alarm, rules: Sequence[MuteRule], since: datetime | None) -> Alert:
        hiding = [rule.silence(self._name, 0) for rule in rules if alarm.alarm_name in rule.mute_targets.alarm_names]
        acks = [silence for silence in hiding if silence.is_ack]
        state: AlertState = "firing" if alarm.state_value == "ALARM" else "unknown"
        if acks or hiding:
            state = "acknowledged" if acks else "silenced"
        elif state == "firing" and alarm.actions_suppressed_by:
            state = "inhibited"
        ack = max(acks, key=lambda silence: silence.ends_at or datetime.max.replace(tzinfo=UTC), default=None)
        ends = [silence.ends_at for silence in hiding]
        begins = [silence.starts_at for silence in acks or hiding if silence.starts_at is not None]
        return self._model(
            alarm, state, since,
            ack=Acknowledgement(by=ack.created_by, until=ack.ends_at, reason=ack.comment, silence_id=ack.id)
            if ack else None,
            hidden_since=min(begins, default=None),
            hidden_until=max((end for end in ends if end is not None), default=None) if None not in ends else None,
        )  # fmt: skip

    def _model(self, alarm: Alarm, state: AlertState, since: datetime | None, **more: Any) -> Alert:
        labels = alarm.labels(self._pattern)
        said = [alarm.summary(), *([] if alarm.actions_enabled else ["its actions are disabled: nobody is told"])]
        said += [_EVALUATION.get(alarm.evaluation_state, clean(alarm.evaluation_state, 60))]
        return Alert(
            ref=f"{self._name}/{alarm.fingerprint}",
            backend=self._name,
            fingerprint=alarm.fingerprint,
            name=labels["alertname"],
            severity=labels.get("severity", self._config.severity),
            state=state,
            raw_state=clean((_is_unjudged(alarm) and alarm.evaluation_state) or alarm.state_value, 40),
            since=since,
            labels=labels,
            summary="; ".join(filter(None, said)),
            group=labels["alertname"],
            targets=alarm.topics,
            runbook_url=alarm.runbook(),
            source_url=alarm.page(),
            **more,
        )

    async def _since_of(self, alarms: Sequence[Alarm]) -> list[datetime | None]:
        return await few_at_a_time(SIDE_BY_SIDE, (partial(self._since_one, alarm) for alarm in alarms))

    async def _since_one(self, alarm: Alarm) -> datetime | None:
        """When it came into its state: by itself, else by its history, once for each state."""
        if alarm.since is not None:
            return alarm.since
        key = (alarm.alarm_arn, alarm.state_updated_timestamp)
        if key not in self._since:
            answer = await self._account.read(
                "cloudwatch", "describe_alarm_history", AlarmName=alarm.alarm_name, AlarmTypes=list(TYPES),
                HistoryItemType="StateUpdate", ScanBy="TimestampDescending", MaxRecords=1,
            )  # fmt: skip
            times = [item.get("Timestamp") for item in answer.get("AlarmHistoryItems", ())]
            found = times[0].astimezone(UTC) if times and isinstance(times[0], datetime) else None
            if len(self._since) > 10_000:
                self._since.clear()
            self._since[key] = found
        return self._since[key]


def _as_warning(alert: Alert) -> Alert:
    return Alert(
        ref=alert.ref, backend=alert.backend, fingerprint=alert.fingerprint, name=alert.name, severity="warning",
        state="firing", labels=alert.labels, summary=alert.summary, group=alert.group,
    )  # fmt: skip


def _is_active(rule: MuteRule) -> bool:
    return rule.status == "ACTIVE"


def _is_unjudged(alarm: Alarm) -> bool:
    failed = alarm.evaluation_state in ("EVALUATION_ERROR", "EVALUATION_FAILURE")
    return failed or alarm.state_value not in ("OK", "ALARM", "INSUFFICIENT_DATA")
