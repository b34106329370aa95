"""An alert comes back when the last silence that hides it ends, whoever acknowledged it until when."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from backends.alerts.alertmanager.wire import WireAlert, WireSilence, alert_model
from backends.alerts.kept_silences import KeptSilence, hidden
from backends.models import Alert, Matcher

NOW = datetime(2026, 3, 1, 2, tzinfo=UTC)
ACK, LATER = NOW + timedelta(minutes=35), NOW + timedelta(hours=2)


def silence(name: str, until: datetime, comment: str) -> WireSilence:
    data: dict[str, Any] = {
        "id": name, "matchers": [{"name": "alertname", "value": "BadScore", "isRegex": False, "isEqual": True}],
        "startsAt": NOW, "endsAt": until, "updatedAt": NOW, "status": {"state": "active"}, "comment": comment,
        "createdBy": "root",
    }  # fmt: skip
    return msgspec.convert(data, WireSilence)


def test_of_an_alertmanager() -> None:
    told = {"alertname": "BadScore", "severity": "critical"}
    data = {"fingerprint": "f", "startsAt": NOW, "updatedAt": NOW, "labels": told, "status": {"state": "suppressed"}}
    hiding = [silence("a", ACK, "ACK! mine"), silence("b", LATER, "maintenance")]
    found = alert_model("am", msgspec.convert(data, WireAlert), hiding, ())
    assert (found.ack and found.ack.until, found.hidden_until, found.back_at) == (ACK, LATER, LATER)


def test_of_kept_silences() -> None:
    alert = Alert(
        ref="r/f", backend="r", fingerprint="f", name="BadScore", severity="critical", state="firing",
        labels={"alertname": "BadScore"},
    )  # fmt: skip
    of = (Matcher(name="alertname", value="BadScore"),)
    acked = KeptSilence(id="a", matchers=of, by="root", comment="", is_ack=True, starts_at=NOW, ends_at=ACK)
    longer = msgspec.structs.replace(acked, id="b", is_ack=False, ends_at=LATER)
    assert hidden(alert, [acked, longer], NOW).back_at == LATER
    assert hidden(alert, [acked], NOW).back_at == ACK
    assert hidden(alert, [], NOW).back_at is None
