"""What Alertmanager's API v2 sends, and how it is read into the models.

Source: `api/v2/openapi.yaml` of Alertmanager 0.25 to 0.34; Grafana and Mimir speak the same. What a version lacks
(`mutedBy` before 0.28) is optional; words that are not known stay in `raw_state`.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from backends.alerts.naming import group_of, runbook_of, summary_of
from backends.models import Acknowledgement, Alert, AlertState, Matcher, Silence, SilenceState
from backends.text import clean, clean_labels, link

ACK_MARK = "ACK!"
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_STATES: dict[str, AlertState] = {"active": "firing", "unprocessed": "firing", "suppressed": "silenced"}
_SILENCE_STATES: dict[str, SilenceState] = {"active": "active", "pending": "pending", "expired": "expired"}


class WireStatus(Struct, frozen=True, rename="camel"):
    """Of an alert: a state, and the ids of what suppresses it."""

    state: str = ""
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    muted_by: tuple[str, ...] = ()


class WireAlert(Struct, frozen=True, rename="camel"):
    """One alert as one peer has it. `updated_at`: when its sender repeated it last, by the clock of that peer."""

    fingerprint: str
    starts_at: Moment
    updated_at: Moment
    labels: dict[str, str]
    status: WireStatus
    annotations: dict[str, str] = {}
    generator_url: str = msgspec.field(name="generatorURL", default="")

    def is_called(self, name: str) -> bool:
        """Whether that is its name."""
        return self.labels.get("alertname") == name


class WireMatcher(Struct, frozen=True, rename="camel"):
    """Before 0.22 there was no `isEqual`: every matcher was a positive one."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


class WireSilenceStatus(Struct, frozen=True):
    """Of a silence."""

    state: str = ""


class WireSilence(Struct, frozen=True, rename="camel"):
    """One silence as one peer has it."""

    id: str
    matchers: tuple[WireMatcher, ...]
    starts_at: Moment
    ends_at: Moment
    updated_at: Moment
    status: WireSilenceStatus
    created_by: str = ""
    comment: str = ""

    @property
    def state(self) -> SilenceState:
        """A word that is not known is `unknown`."""
        return _SILENCE_STATES.get(self.status.state, "unknown")

    @property
    def asked(self) -> tuple[Matcher, ...]:
        """Its matchers as they were sent, uncleaned: to compare, not to show."""
        return tuple(
            Matcher(name=each.name, value=each.value, is_regex=each.is_regex, is_equal=each.is_equal)
            for each in self.matchers
        )

    @property
    def is_ack(self) -> bool:
        """The convention of karma and kthxbye: a comment that begins with `ACK!`."""
        return self.comment.startswith(ACK_MARK)

    @property
    def reason(self) -> str:
        """The comment without the mark of an acknowledgement."""
        return clean(self.comment.removeprefix(ACK_MARK).strip(), 500)


class WireStarted(Struct, frozen=True):
    """Of a peer's status: since when it runs. Grafana and Mimir do not say."""

    uptime: Moment | None = None


class WirePosted(Struct, frozen=True):
    """The answer to a silence that was sent."""

    id: str = msgspec.field(name="silenceID")


def silence_body(
    matchers: Iterable[Matcher], *, starts_at: datetime, ends_at: datetime, by: str, comment: str
) -> dict[str, object]:
    """A new silence as it is sent."""
    return {
        "matchers": [
            {"name": matcher.name, "value": matcher.value, "isRegex": matcher.is_regex, "isEqual": matcher.is_equal}
            for matcher in matchers
        ],
        "startsAt": starts_at, "endsAt": ends_at, "createdBy": by, "comment": comment,
    }  # fmt: skip


def ack_comment(reason: str) -> str:
    """A comment that says it is an acknowledgement."""
    return f"{ACK_MARK} {reason}".rstrip()


def alert_model(backend: str, wire: WireAlert, hiding: Sequence[WireSilence], group_by: Iterable[str]) -> Alert:
    """`hiding`: the silences that hide it, acknowledgements among them."""
    labels = clean_labels(wire.labels)
    fingerprint = clean(wire.fingerprint, 64)
    name = labels.get("alertname", "(no alertname)")
    alert = Alert(
        ref=f"{backend}/{fingerprint}",
        backend=backend,
        fingerprint=fingerprint,
        name=name,
        severity=clean(labels.get("severity", ""), 40),
        state=_state(wire.status, acknowledged=any(silence.is_ack for silence in hiding)),
        raw_state=clean(wire.status.state, 40),
        since=wire.starts_at.astimezone(UTC),
        labels=labels,
        summary=clean(summary_of(wire.annotations), 500),
        group=group_of(name, labels, group_by),
        runbook_url=runbook_of(wire.annotations),
        source_url=link(wire.generator_url, 1000),
    )
    return _told(alert, hiding)


def under(alert: Alert, hiding: Sequence[WireSilence]) -> Alert:
    """`alert`, which its own source says nothing of silences of, as it is under those that hide it. What is not known
    stays so."""
    if not hiding:
        return alert
    told = _told(alert, hiding)
    if alert.state not in ("firing", "pending"):
        return told
    return replace(told, state="silenced" if told.ack is None else "acknowledged")


def _told(alert: Alert, hiding: Sequence[WireSilence]) -> Alert:
    """With who acknowledged it, and since and until when it is hidden."""
    if not hiding:
        return alert
    acks = [silence for silence in hiding if silence.is_ack]
    ack = max(acks, key=lambda silence: silence.ends_at, default=None)
    return replace(
        alert,
        ack=_acknowledgement(ack) if ack else None,
        hidden_since=min(silence.starts_at for silence in acks or hiding).astimezone(UTC),
        hidden_until=max(silence.ends_at for silence in hiding).astimezone(UTC),
    )


def _state(status: WireStatus, *, acknowledged: bool) -> AlertState:
    state = _STATES.get(status.state, "unknown")
    if state != "silenced":
        return state
    if acknowledged:
        return "acknowledged"
    return "inhibited" if status.inhibited_by and not status.silenced_by else "silenced"


def _acknowledgement(silence: WireSilence) -> Acknowledgement:
    by, until = clean(silence.created_by, 100), silence.ends_at.astimezone(UTC)
    return Acknowledgement(by=by, until=until, reason=silence.reason, silence_id=clean(silence.id, 64))


def silence_model(backend: str, wire: WireSilence, matches: int) -> Silence:
    """`matches`: how many alerts it hides now."""
    silence_id = clean(wire.id, 64)
    return Silence(
        ref=f"{backend}/{silence_id}",
        backend=backend,
        id=silence_id,
        matchers=tuple(
            Matcher(
                name=clean(matcher.name, 128), value=clean(matcher.value, 512),
                is_regex=matcher.is_regex, is_equal=matcher.is_equal,
            )
            for matcher in wire.matchers
        ),
        state=wire.state,
        raw_state=clean(wire.status.state, 40),
        created_by=clean(wire.created_by, 100),
        comment=wire.reason,
        starts_at=wire.starts_at.astimezone(UTC),
        ends_at=wire.ends_at.astimezone(UTC),
        is_ack=wire.is_ack,
        matches=matches,
    )  # fmt: skip
