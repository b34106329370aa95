"""`pagerduty` alerts against a server in this process, held against PagerDuty's own description of its API."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backends.alerts.pagerduty import history
from backends.alerts.pagerduty import incidents as pagerduty
from backends.alerts.pagerduty.incidents import PagerDutyAlerts
from backends.alerts.pagerduty.wire import Incident, IncidentAlert
from backends.errors import BackendError
from backends.http import Http, decode_json
from backends.models import Alert
from backends.registry import AdapterContext, build
from backends.testing.alerts import NAME, AlertsContract, Lose, RaiseAlerts, Raised
from tests.backends.fake_pagerduty import TOKEN, FakePagerDuty
from tests.backends.pagerduty_openapi import description

Connect = Callable[..., PagerDutyAlerts]
HOUR = timedelta(hours=1)
FIRING = """Labels:
 - alertname = DataQualityDegradation
 - dataset = customers
 - severity = critical
Annotations:
 - summary = customers: 0.5
Source: http://prometheus:9090/graph?g0.expr=1
Labels:
 - alertname = DataQualityDegradation
 - dataset = customers
 - severity = warning
Annotations:
Source: http://prometheus:9090/graph?g0.expr=2
"""


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakePagerDuty]:
    monkeypatch.setenv("PAGERDUTY_TOKEN", TOKEN)
    async with FakePagerDuty() as server:
        yield server
        assert server.complaints == []


@pytest.fixture
async def connect(server: FakePagerDuty, tmp_path: Path) -> AsyncIterator[Connect]:
    http = Http()

    def connected(**config: Any) -> PagerDutyAlerts:
        context = AdapterContext("pd", tmp_path, tmp_path / "state", http)
        table = {"url": server.url, "token": {"env": "PAGERDUTY_TOKEN"}, **config}
        adapter: PagerDutyAlerts = build("alerts", "pagerduty", table, context)
        return adapter

    yield connected
    await http.aclose()


@pytest.fixture
def adapter(connect: Connect) -> PagerDutyAlerts:
    return connect()


class TestContract(AlertsContract):
    @pytest.fixture
    def raise_alerts(self, server: FakePagerDuty) -> RaiseAlerts:
        def raised(alerts: list[Raised]) -> None:
            keys = {f"dq/{each.dataset}" for each in alerts}
            for incident in server.incidents:
                for alert in incident.alerts:
                    if alert.status == "triggered" and alert.key not in keys:
                        server.ends(alert.key)
            for each in alerts:
                details = {"alertname": NAME, "dataset": each.dataset, "score": each.score}
                server.trigger(f"dq/{each.dataset}", details, title=f"{each.dataset}: {each.score}")

        return raised

    @pytest.fixture
    def lose(self, server: FakePagerDuty) -> Lose:
        def gone() -> None:
            server.fault = "no answer"

        return gone


async def only(adapter: PagerDutyAlerts) -> Alert:
    (alert,) = await adapter.alerts()
    return alert


async def test_who_has_it_and_until_when(adapter: PagerDutyAlerts, server: FakePagerDuty) -> None:
    until = datetime.now(UTC) + HOUR
    incident = server.trigger("k", {}, ago=2 * HOUR, urgency="low")
    incident.status, incident.acked_by = "acknowledged", "PXPGF42"
    incident.acked_at, incident.ack_until = incident.created + HOUR, until
    alert = await only(adapter)
    assert (alert.state, alert.raw_state, alert.health, alert.targets) == (
        "acknowledged", "acknowledged", "ok", ("Alice Greenholt",),
    )  # fmt: skip
    assert alert.ack is not None
    assert (alert.ack.by, alert.ack.until, alert.hidden_since) == ("Alice Greenholt", until, incident.acked_at)
    assert alert.incident is not None
    assert (alert.incident.number, alert.incident.urgency, alert.incident.service, alert.incident.policy) == (
        incident.number, "low", "Analytics", "Data on call",
    )  # fmt: skip
    assert alert.source_url == f"https://acme.pagerduty.com/incidents/{incident.id}"


async def test_one_that_is_older_than_a_month_is_there_too(adapter: PagerDutyAlerts, server: FakePagerDuty) -> None:
    server.trigger("k", {}, ago=timedelta(days=90))
    assert (await only(adapter)).state == "firing"


async def test_the_labels_of_an_alertmanager_are_read_from_its_text(
    adapter: PagerDutyAlerts, server: FakePagerDuty
) -> None:
    server.trigger("f00", {"firing": FIRING, "num_firing": "2", "resolved": ""}, links=("https://wiki/dq",))
    alert = await only(adapter)
    assert alert.labels == {
        "alertname": NAME, "dataset": "customers", "severity": "critical", "service": "Analytics",
    }  # fmt: skip
    assert (alert.name, alert.runbook_url) == (NAME, "https://wiki/dq")


@pytest.mark.parametrize(
    ("severity", "urgency", "wanted"),
    [("warning", "high", "warning"), ("", "high", "critical"), ("", "low", "warning"), ("info", "low", "warning")],
)
async def test_how_bad_it_is(
    adapter: PagerDutyAlerts, server: FakePagerDuty, severity: str, urgency: str, wanted: str
) -> None:
    incident = server.trigger("k", {}, severity=severity or "info", urgency=urgency)
    if not severity:
        incident.alerts.clear()
    assert (await only(adapter)).health == wanted


async def test_an_unknown_status_is_unknown(adapter: PagerDutyAlerts, server: FakePagerDuty) -> None:
    incident = server.trigger("k", {})
    server.healthy = {}
    shown = server.wire(incident) | {"status": "paused"}
    server.answer = lambda request: (200, {"incidents": [shown], "more": False, "alerts": []})
    server.respond = super(FakePagerDuty, server).respond
    alert = await only(adapter)
    assert (alert.state, alert.raw_state, alert.health) == ("unknown", "paused", "unknown")


async def test_an_incident_that_is_open_when_its_alert_is_over_says_so(
    adapter: PagerDutyAlerts, server: FakePagerDuty
) -> None:
    server.trigger("k", {})
    server.ends("k")
    server.incidents[0].status = "triggered"
    alert = await only(adapter)
    assert alert.incident is not None
    assert (alert.incident.alerts, alert.incident.alerts_firing) == (1, 0)
    assert (alert.incident.over_since, alert.health) == (server.incidents[0].updated, "warning")
    server.incidents[0].updated += HOUR  # somebody wrote a note
    again = await only(adapter)
    assert again.incident is not None
    assert again.incident.over_since == alert.incident.over_since


async def test_incidents_that_did_not_change_are_not_looked_at_again(
    adapter: PagerDutyAlerts, server: FakePagerDuty
) -> None:
    for number in range(3):
        server.trigger(f"k{number}", {})
    first = await adapter.alerts()
    asked = len(server.requests)
    assert await adapter.alerts() == first
    assert len(server.requests) == asked + 1


async def test_more_than_a_page(adapter: PagerDutyAlerts, server: FakePagerDuty) -> None:
    for number in range(130):
        server.trigger(f"k{number}", {"dataset": f"d{number}"})
    first, second = await adapter.alerts(), await adapter.alerts()
    assert [len(first), len({alert.ref for alert in second})] == [130, 130]
    assert {alert.labels["dataset"] for alert in second} == {f"d{number}" for number in range(130)}


async def test_more_than_are_read_are_told(
    adapter: PagerDutyAlerts, server: FakePagerDuty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagerduty, "MAX_INCIDENTS", 2)
    for number in range(3):
        server.trigger(f"k{number}", {})
    *shown, last = await adapter.alerts()
    assert (len(shown), last.state, last.name) == (2, "unknown", "PagerDutyIncidents")


@pytest.mark.parametrize(
    "chosen", [{"services": ["analytics"]}, {"services": ["PIJ90N7"]}, {"teams": ["Data platform"]}]
)
async def test_only_those_that_are_chosen(connect: Connect, server: FakePagerDuty, chosen: dict[str, Any]) -> None:
    server.services["P2"] = ("Billing", "PTEAM2")
    server.trigger("a", {"dataset": "mine"})
    server.trigger("b", {"dataset": "other"}, service=("P2", "Billing"))
    assert (await only(connect(**chosen))).labels["dataset"] == "mine"
    asked = parse_qs(urlsplit(server.requests[1].target).query)
    assert asked["date_range"] == ["all"]


@pytest.mark.parametrize("chosen", [{"services": ["Analitics"]}, {"teams": ["nobody"]}])
async def test_one_that_is_not_there_is_no_empty_list(connect: Connect, chosen: dict[str, Any]) -> None:
    with pytest.raises(BackendError, match="PagerDuty has no") as caught:
        await connect(**chosen).alerts()
    assert caught.value.kind == "config"


async def test_what_happened_to_incidents(adapter: PagerDutyAlerts, server: FakePagerDuty) -> None:
    now = datetime.now(UTC)
    over = server.trigger("a", {"alertname": "Slow", "dataset": "customers"}, title="It burns", ago=3 * HOUR)
    server.log(over, "trigger", over.created, "Triggered through the API.")
    server.log(over, "notify", over.created, "Notified Alice by phone.")
    server.log(over, "acknowledge", over.created + HOUR / 2, "Acknowledged by Alice.")
    server.log(over, "annotate", over.created + HOUR / 2, "Note added by Alice.", note="disk is full")
    server.log(over, "resolve", over.created + HOUR, "Resolved by Alice.")
    server.ends("a")
    still = server.trigger("b", {"alertname": "Full"}, ago=HOUR, severity="warning")
    server.log(still, "trigger", still.created, "Triggered through the API.")
    server.log(still, "exhaust_escalation_path", still.created + HOUR / 2, "Nobody is left to call.")
    shown = {alert.name: alert.ref for alert in await adapter.alerts()}
    first, acked, noted, resolved, second, exhausted = await adapter.events(now - 4 * HOUR, now)
    assert (first.kind, first.subject, first.until, first.going_on, first.health) == (
        "alert", "Slow customers", over.created + HOUR, False, "critical",
    )  # fmt: skip
    assert [event.kind for event in (acked, noted, resolved, exhausted)] == ["incident"] * 4
    assert acked.text == f"incident [#{over.number}] It burns: Acknowledged by Alice."
    assert noted.text.endswith("disk is full")
    assert resolved.ref == first.ref
    assert (second.ref, second.going_on, second.until, second.health) == (shown["Full"], True, None, "warning")
    assert exhausted.health == "warning"
    asked = len(server.requests)
    await adapter.events(now - 4 * HOUR, now)
    assert len(server.requests) == asked + 1, "what an incident was about is asked once"


async def test_entries_of_other_services_are_left_out(connect: Connect, server: FakePagerDuty) -> None:
    server.services["P2"] = ("Billing", "PTEAM2")
    other = server.trigger("b", {}, service=("P2", "Billing"))
    server.log(other, "trigger", other.created, "Triggered.")
    now = datetime.now(UTC)
    assert await connect(services=["Analytics"]).events(now - HOUR, now + HOUR) == []


async def test_a_history_that_is_cut_says_so(
    adapter: PagerDutyAlerts, server: FakePagerDuty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MAX_ENTRIES", 2)
    incident = server.trigger("a", {}, ago=HOUR)
    for minutes in range(3):
        server.log(incident, "acknowledge", incident.created + timedelta(minutes=minutes), "Acknowledged by Alice.")
    now = datetime.now(UTC)
    gap, *found = await adapter.events(now - 2 * HOUR, now)
    assert (gap.kind, gap.at, gap.until, len(found)) == ("unwatched", now - 2 * HOUR, found[0].at, 2)


async def test_while_it_is_limited_the_incidents_stay_what_they_are(
    adapter: PagerDutyAlerts, server: FakePagerDuty
) -> None:
    server.trigger("k", {})
    await adapter.alerts()
    server.limited = 1
    with pytest.raises(BackendError) as caught:
        await adapter.alerts()
    assert caught.value.kind == "rate_limited"


@pytest.mark.skipif(description() is None, reason="TEAL_TEST_SPECS names no folder with pagerduty-rest.json")
def test_its_own_examples_are_read() -> None:
    """They have what its schema forbids: null where text belongs."""
    known = description()
    assert known is not None
    import json

    answer = known.answer_of("GET", "/incidents", 200)
    (incident,) = decode_json(json.dumps(answer["incidents"]).encode(), list[Incident], where="example")
    assert (incident.incident_number, incident.service.name, incident.alert_counts.resolved) == (
        1234, "My Mail Service", 2,
    )  # fmt: skip
    answer = known.answer_of("GET", "/incidents/{id}/alerts", 200)
    (alert,) = decode_json(json.dumps(answer["alerts"]).encode(), list[IncidentAlert], where="example")
    assert (alert.key, alert.severity, alert.labels()["customKey"]) == (
        "baf7cf21b1da41b4b0221008339ff357", "critical", "Server is on fire!",
    )  # fmt: skip
