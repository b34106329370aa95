"""`prometheus` alerts against a server in this process: the contract, blind spots, open words, other servers."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.alerts.prometheus.alerts import PrometheusAlerts
from backends.alerts.prometheus.rules import fingerprint_of
from backends.errors import BackendError
from backends.http import Http
from backends.missing import collected
from backends.models import Alert
from backends.registry import AdapterContext, build
from backends.testing.alerts import NAME, AlertsContract, Lose, RaiseAlerts, Raised
from tests.backends.fake_prometheus import FakePrometheus

Connect = Callable[..., PrometheusAlerts]


def stamp(at: datetime) -> str:
    """As Go writes times: with nanoseconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"


def rule(name: str = NAME, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "query": f'score{{for="{name}"}} < 0.8', "type": "alerting", "health": "ok", "state": "inactive",
        "labels": {"severity": "critical"}, "annotations": {"summary": "{{ $value }}"}, "alerts": [], **more,
    }  # fmt: skip


def alert(name: str = NAME, **more: Any) -> dict[str, Any]:
    labels = {"alertname": name, "severity": "critical", **more.pop("labels", {})}
    return {
        "labels": labels, "annotations": {}, "state": "firing", "activeAt": stamp(datetime.now(UTC)), "value": "1e+00",
        **more,
    }  # fmt: skip


def group(*rules: dict[str, Any], name: str = "quality") -> dict[str, Any]:
    return {"name": name, "file": "/etc/prometheus/rules.yml", "interval": 15, "rules": rules}


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    fake = FakePrometheus(groups=[group(rule())])
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
async def connect(fake: FakePrometheus, tmp_path: Path) -> AsyncIterator[Connect]:
    http = Http()
    prom = build("metrics", "prometheus", {"url": fake.url}, AdapterContext("prom", tmp_path, tmp_path, http))

    def connected(of_context: str = "", **config: Any) -> PrometheusAlerts:
        sources = {"prom": prom, "other": object()}
        context = AdapterContext(
            "rules", tmp_path, tmp_path, http, watchdog=of_context, metrics=lambda name: sources[name]
        )  # fmt: skip
        adapter: PrometheusAlerts = build("alerts", "prometheus", {"metrics": "prom", **config}, context)
        return adapter

    yield connected
    await prom.aclose()
    await http.aclose()


@pytest.fixture
def adapter(connect: Connect) -> PrometheusAlerts:
    return connect()


@pytest.fixture
def raise_alerts(fake: FakePrometheus) -> RaiseAlerts:
    since: dict[str, str] = {}

    def raised(alerts: list[Raised]) -> None:
        found = []
        for each in alerts:
            since.setdefault(each.dataset, stamp(datetime.now(UTC)))
            words, labels = {"summary": f"score {each.score}"}, {"dataset": each.dataset}
            found.append(alert(labels=labels, annotations=words, activeAt=since[each.dataset]))
        for gone in since.keys() - {each.dataset for each in alerts}:
            del since[gone]
        fake.groups[0]["rules"][0]["alerts"] = found

    return raised


@pytest.fixture
def lose(fake: FakePrometheus) -> Lose:
    return fake.stop


class TestPrometheusAlerts(AlertsContract):
    pass


async def only(adapter: PrometheusAlerts) -> Alert:
    (found,) = await adapter.alerts()
    return found


async def test_all_that_an_alert_says(fake: FakePrometheus, adapter: PrometheusAlerts) -> None:
    words = {"description": "p95 is 3 s", "runbook_url": "https://runbooks/slow"}
    began = datetime.now(UTC) - timedelta(hours=2)
    slow = alert("Slow", labels={"service": "analytics", "cluster": "eu"}, annotations=words, activeAt=stamp(began))
    fake.groups = [group(rule("Slow", alerts=[slow]))]
    found = await only(adapter)
    assert (found.name, found.state, found.raw_state, found.severity) == ("Slow", "firing", "firing", "critical")
    assert (found.summary, found.runbook_url) == ("p95 is 3 s", "https://runbooks/slow")
    assert found.since == began
    assert found.group == "Slow cluster=eu service=analytics"
    assert found.source_url == f"{fake.url}/graph?g0.expr=score%7Bfor%3D%22Slow%22%7D%20%3C%200.8&g0.tab=1"


@pytest.mark.parametrize(
    ("state", "value", "expected", "summary"),
    [
        ("pending", "1e+00", ("pending", "warning"), "value 1"),
        ("firing", "2.5e-01", ("firing", "critical"), "value 0.25"),
        ("firing", "NaN", ("firing", "critical"), "value nan"),
        ("firing", "", ("firing", "critical"), ""),
        ("firing", 3, ("firing", "critical"), "value 3"),
        ("recovering", "1", ("unknown", "unknown"), "value 1"),
    ],
)
async def test_states_are_open_words_and_values_are_text(
    fake: FakePrometheus, adapter: PrometheusAlerts, state: str, value: Any, expected: tuple[str, str], summary: str
) -> None:
    fake.groups = [group(rule(alerts=[alert(state=state, value=value)]))]
    found = await only(adapter)
    assert ((found.state, found.health), found.raw_state, found.summary) == (expected, state, summary)


async def test_a_rule_in_error_is_a_blind_spot(fake: FakePrometheus, adapter: PrometheusAlerts) -> None:
    words = "found duplicate series for the match group {} on the right hand-side"
    broken = rule(health="err", lastError=words, labels={"severity": "page", "name": "x", "summary": "y"})
    twin = {**broken, "labels": {"severity": "warning"}}
    fake.groups = [group(rule("Fine"), broken, twin)]
    page, warning = sorted(await adapter.alerts(), key=lambda each: each.severity)
    assert (page.name, page.severity, page.state, page.raw_state, page.health) == (
        NAME, "page", "unknown", "err", "unknown"
    )  # fmt: skip
    assert page.summary == f"rule cannot be evaluated: {words}"
    assert (page.labels["rule_group"], page.labels["name"]) == ("quality", "x")
    assert (warning.severity, warning.ref != page.ref) == ("warning", True)
    broken["lastError"] = "another"
    again = min(await adapter.alerts(), key=lambda each: each.severity)
    assert (again.ref, again.summary) == (page.ref, "rule cannot be evaluated: another")


async def test_a_recording_rule_in_error_blinds_what_is_built_on_it(
    fake: FakePrometheus, adapter: PrometheusAlerts
) -> None:
    recording = {"name": "job:errors:ratio", "query": "x", "type": "recording", "health": "err", "lastError": "no"}
    fake.groups = [group(rule(), recording)]
    found = await only(adapter)
    assert (found.name, found.state, found.severity) == ("job:errors:ratio", "unknown", "critical")
    assert found.summary == "recording rule cannot be evaluated: no"


async def test_rules_not_evaluated_yet_are_one_blind_spot_a_group(
    fake: FakePrometheus, adapter: PrometheusAlerts
) -> None:
    fake.groups = [
        group(*(rule(f"R{number}", health="unknown") for number in range(8)), rule("Fine")),
        group(rule("Other", health="dreaming"), name="more"),
    ]
    first, second = sorted(await adapter.alerts(), key=lambda each: each.summary, reverse=True)
    assert (first.state, first.summary) == (
        "unknown", "8 of 9 rules of quality were not evaluated yet: R0, R1, R2, R3, R4, …",
    )  # fmt: skip
    assert second.summary == "1 of 1 rules of more were not evaluated yet: Other"
    assert first.ref != second.ref


@pytest.mark.parametrize("groups", [[], [group()], [group({"name": "x", "type": "recording", "health": "ok"})]])
async def test_no_rules_prove_nothing(fake: FakePrometheus, adapter: PrometheusAlerts, groups: list[Any]) -> None:
    fake.groups = groups
    found = await only(adapter)
    assert (found.state, "no alerting rules" in found.summary) == ("unknown", True)


async def test_a_server_that_shows_alerts_but_no_rules(fake: FakePrometheus, adapter: PrometheusAlerts) -> None:
    fake.answers["rules"] = (404, {"status": "error", "errorType": "not_found", "error": "no"})
    listed = alert("Slow", labels={"service": "a"}, activeAt="0001-01-01T00:00:00Z")
    fake.answers["alerts"] = (200, {"status": "success", "data": {"alerts": [listed]}})
    found = await only(adapter)
    assert (found.name, found.state, found.since, found.source_url) == ("Slow", "firing", None, None)


@pytest.mark.parametrize("configured", [{"of_context": "Watchdog"}, {"watchdog": "Watchdog"}])
async def test_the_watchdog_has_to_fire(fake: FakePrometheus, connect: Connect, configured: dict[str, str]) -> None:
    adapter = connect(**configured)
    missing = await only(adapter)
    assert (missing.name, missing.state) == ("Watchdog", "unknown")
    fake.groups = [group(rule("Watchdog", alerts=[alert("Watchdog")]))]
    found = await only(adapter)
    assert (found.name, found.state, found.health) == ("Watchdog", "firing", "ok")
    assert await connect("Elsewhere", watchdog="").alerts() != []


async def test_another_system_has_no_rules(connect: Connect) -> None:
    with pytest.raises(BackendError, match=r"metrics\.other is no Prometheus") as caught:
        await connect(metrics="other").alerts()
    assert caught.value.kind == "config"


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"groups": 5},
        {"groups": [{"rules": [{"name": 5}]}]},
        {"groups": [group(rule(alerts=[{"activeAt": "x"}]))]},
    ],
)
async def test_an_answer_of_another_shape_is_malformed(
    fake: FakePrometheus, adapter: PrometheusAlerts, data: Any
) -> None:
    fake.answers["rules"] = (200, {"status": "success", "data": data})
    with pytest.raises(BackendError) as caught:
        await adapter.alerts()
    assert caught.value.kind == "malformed"


async def test_thousands_are_read_off_the_event_loop(fake: FakePrometheus, adapter: PrometheusAlerts) -> None:
    many = [alert(labels={"dataset": f"d{number}", "service": "analytics"}) for number in range(5000)]
    fake.groups = [group(rule(alerts=many))]
    began = time.monotonic()
    found = await adapter.alerts()
    assert len({each.ref for each in found}) == 5000
    assert time.monotonic() - began < 10


def test_the_fingerprint_is_that_of_alertmanager() -> None:
    """As Alertmanager 0.25 answers for these labels."""
    labels = {"severity": "critical", "dataset": "cüstomers", "alertname": "DataQualityDegradation"}
    assert fingerprint_of(labels) == "b6aa1e05eff162a6"


async def test_one_odd_rule_or_group_is_named_and_takes_nothing_with_it(
    fake: FakePrometheus, adapter: PrometheusAlerts
) -> None:
    good = group(rule(alerts=[alert()]), rule("Odd", alerts=[{"activeAt": "x"}]), name="mixed")
    fake.answers["rules"] = (200, {"status": "success", "data": {"groups": [
        good, group(rule("Alone", alerts=5)), {"name": "broken", "rules": 5}, "no group",
        group(rule("Null", labels=None, annotations=None, alerts=None)),
    ]}})  # fmt: skip
    found = {each.name: each for each in await adapter.alerts()}
    assert found[NAME].state == "firing"
    assert (found["Odd"].state, found["Alone"].state, found["PrometheusRules"].state) == ("unknown",) * 3
    assert "cannot be read" in found["Odd"].summary


async def test_one_odd_alert_of_a_server_without_rules(fake: FakePrometheus, adapter: PrometheusAlerts) -> None:
    fake.answers["rules"] = (404, None)
    fake.answers["alerts"] = (200, {"status": "success", "data": {"alerts": [alert(), alert("Odd", value=[])]}})
    states = {each.name: each.state for each in await adapter.alerts()}
    assert states == {NAME: "firing", "Odd": "unknown"}
    fake.answers["alerts"] = (200, {"status": "success", "data": {"alerts": None}})
    assert await adapter.alerts() == []


async def test_the_words_of_grafanas_ruler(fake: FakePrometheus, adapter: PrometheusAlerts) -> None:
    words = ("Alerting", "Alerting (NoData)", "Normal", "Normal (Error)", "NoData", "Error", "Pending")
    fake.groups = [group(rule(alerts=[alert(state=word, labels={"dataset": word}) for word in words]))]
    found = {each.labels["dataset"]: each.state for each in await adapter.alerts()}
    assert found == {
        "Alerting": "firing", "Alerting (NoData)": "firing", "NoData": "unknown", "Error": "unknown",
        "Pending": "pending",
    }  # fmt: skip


async def test_a_partial_answer_is_said(fake: FakePrometheus, adapter: PrometheusAlerts) -> None:
    data = {"groups": [group(rule())]}
    fake.answers["rules"] = (200, {"status": "success", "warnings": ["store-2 is away"], "data": data})
    with collected() as lost:
        await adapter.alerts()
    assert [error.kind for error in lost] == ["unreachable"]
    assert "store-2 is away" in lost[0].message


async def test_a_missing_watchdog_says_where(fake: FakePrometheus, connect: Connect) -> None:
    (spot,) = await connect("Watchdog").alerts()
    assert spot.state == "unknown"
    assert f"in Prometheus ({fake.url})" in spot.summary
