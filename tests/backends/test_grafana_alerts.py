"""`grafana` alerts against a Grafana in this process: the contracts, what is not known, folders, sources, rights."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.alerts.grafana.alerts import GrafanaAlerts
from backends.errors import BackendError
from backends.http import Http
from backends.missing import collected
from backends.models import Alert, Matcher
from backends.registry import AdapterContext, build
from backends.testing.alerts import NAME, AlertsContract, Lose, RaiseAlerts, Raised
from backends.testing.silences import ALICE, SilencerContract, in_hours
from tests.backends.fake_alertmanager import stamp
from tests.backends.fake_grafana import RULE_UID, FakeGrafana, alert, group, rule

Connect = Callable[..., GrafanaAlerts]


@pytest.fixture
def fake() -> Iterator[FakeGrafana]:
    fake = FakeGrafana()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
async def connect(fake: FakeGrafana, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    http = Http()
    monkeypatch.setenv("GRAFANA_TOKEN", fake.token)

    def connected(of_context: str = "", **config: Any) -> GrafanaAlerts:
        context = AdapterContext("grafana", tmp_path, tmp_path, http, watchdog=of_context)
        config = {"url": fake.base, "token": {"env": "GRAFANA_TOKEN"}, **config}
        adapter: GrafanaAlerts = build("alerts", "grafana", config, context)
        return adapter

    yield connected
    await http.aclose()


@pytest.fixture
def adapter(connect: Connect) -> GrafanaAlerts:
    return connect()


@pytest.fixture
def raise_alerts(fake: FakeGrafana) -> RaiseAlerts:
    since: dict[str, str] = {}

    def raised(alerts: list[Raised]) -> None:
        for gone in since.keys() - {each.dataset for each in alerts}:
            del since[gone]
        found = [
            alert(
                labels={"dataset": each.dataset},
                annotations={"summary": f"score {each.score}"},
                activeAt=since.setdefault(each.dataset, stamp(datetime.now(UTC))),
            )
            for each in alerts
        ]
        fake.groups[0]["rules"][0]["alerts"] = found

    return raised


@pytest.fixture
def lose(fake: FakeGrafana) -> Lose:
    def lose() -> None:
        fake.fault = "read reset"

    return lose


class TestGrafanaAlerts(AlertsContract):
    pass


class TestGrafanaSilences(SilencerContract):
    pass


class TestGrafanaSilencesByFolderRights:
    """What rights on the folder suffice for."""

    @pytest.fixture(autouse=True)
    def folder_rights(self, fake: FakeGrafana) -> None:
        fake.rights = "folder"

    async def test_an_acknowledgement_of_a_row(self, adapter: GrafanaAlerts, raise_alerts: RaiseAlerts) -> None:
        raise_alerts([Raised("customers"), Raised("transactions")])
        row = next(each for each in await adapter.alerts() if each.labels["dataset"] == "customers")
        matchers = adapter.ack_matchers(row)
        assert Matcher(name=RULE_UID, value="bdr1") in matchers
        result = await adapter.silence(matchers, until=in_hours(1), by=ALICE, comment="mine", ack=True)
        with collected() as lost:
            states = {each.labels["dataset"]: each.state for each in await adapter.alerts()}
        assert (states, lost) == ({"customers": "acknowledged", "transactions": "firing"}, [])
        assert (await adapter.extend(result.id, in_hours(3))).changed
        assert (await adapter.expire(result.id)).changed
        assert {each.state for each in await adapter.alerts()} == {"firing"}

    async def test_one_that_names_no_rule_says_which_rights_it_needs(
        self, adapter: GrafanaAlerts, raise_alerts: RaiseAlerts
    ) -> None:
        raise_alerts([Raised("customers")])
        with pytest.raises(BackendError) as caught:
            await adapter.silence(
                (Matcher(name="alertname", value=NAME),), until=in_hours(1), by=ALICE, comment="", ack=False
            )
        assert (caught.value.kind, "alert.silences:create" in caught.value.fix) == ("auth", True)

    async def test_a_silence_that_only_grafana_can_match_is_told_as_missing(
        self, fake: FakeGrafana, adapter: GrafanaAlerts, raise_alerts: RaiseAlerts
    ) -> None:
        raise_alerts([Raised("customers")])
        fake.rights = "all"
        await adapter.silence(
            (Matcher(name="dataset", value="(cust|x)omers", is_regex=True),),
            until=in_hours(1), by=ALICE, comment="", ack=False,
        )  # fmt: skip
        assert [each.state for each in await adapter.alerts()] == ["silenced"]
        fake.rights = "folder"
        with collected() as lost:
            assert [each.state for each in await adapter.alerts()] == ["firing"]
        assert [error.kind for error in lost] == ["auth"]


async def only(adapter: GrafanaAlerts) -> Alert:
    (found,) = await adapter.alerts()
    return found


async def test_all_that_a_row_says(fake: FakeGrafana, connect: Connect) -> None:
    words = {"description": "p95 is 3 s", "runbook_url": "https://runbooks/slow"}
    began = (datetime.now(UTC) - timedelta(hours=2)).replace(microsecond=0)
    fake.groups = [group(rule("Slow", "u-1", alerts=[
        {"labels": {"service": "analytics", "cluster": "eu"}, "annotations": words, "activeAt": stamp(began)}
    ]))]  # fmt: skip
    found = await only(connect(org_id=7))
    assert (found.name, found.state, found.raw_state, found.severity) == ("Slow", "firing", "Alerting", "critical")
    assert (found.summary, found.runbook_url, found.since) == ("p95 is 3 s", "https://runbooks/slow", began)
    assert (found.group, found.labels["grafana_folder"]) == ("Slow cluster=eu service=analytics", "Data Platform")
    assert found.source_url == f"{fake.base}/alerting/grafana/u-1/view"
    assert fake.seen[0]["x-grafana-org-id"] == "7"
    assert found.fingerprint == fake.shown_alerts([])[0]["fingerprint"]


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Alerting", "firing"), ("Alerting (NoData)", "firing"), ("Alerting (Error, KeepLast)", "firing"),
        ("Recovering", "firing"), ("Pending", "pending"), ("Pending (Error)", "pending"),
        ("NoData", "unknown"), ("Error", "unknown"), ("Normal (NoData)", "unknown"), ("Normal (Error)", "unknown"),
        ("Normal (NoData, KeepLast)", "unknown"), ("Dreaming", "unknown"),
    ],
)  # fmt: skip
async def test_no_data_and_errors_are_never_ok(
    fake: FakeGrafana, adapter: GrafanaAlerts, word: str, state: str
) -> None:
    fake.groups = [group(rule(alerts=[{"state": word}], lastError="the source is away"))]
    found = await only(adapter)
    assert (found.name, found.state, found.raw_state, found.health != "ok") == (NAME, state, word, True)
    if state == "unknown":
        assert found.summary == f"{word}: the source is away"


@pytest.mark.parametrize("word", ["Normal", "Normal (MissingSeries)", "Normal (Updated)", "Normal (Paused)"])
async def test_what_is_normal_is_no_row(fake: FakeGrafana, adapter: GrafanaAlerts, word: str) -> None:
    fake.groups = [group(rule(alerts=[{"state": word}]))]
    assert await adapter.alerts() == []


@pytest.mark.parametrize(("word", "sent_as"), [("NoData", "DatasourceNoData"), ("Error", "DatasourceError")])
async def test_what_is_not_known_stays_so_where_it_is_acknowledged(
    fake: FakeGrafana, adapter: GrafanaAlerts, word: str, sent_as: str
) -> None:
    fake.groups = [group(rule(alerts=[{"state": word}]))]
    found = await only(adapter)
    assert (found.labels["alertname"], found.labels["rulename"]) == (sent_as, NAME)
    matchers = adapter.ack_matchers(found)
    await adapter.silence(matchers, until=in_hours(1), by=ALICE, comment="I see", ack=True)
    assert [each["status"]["state"] for each in fake.shown_alerts([])] == ["suppressed"]
    after = await only(adapter)
    assert (after.state, after.health, after.ack and after.ack.by) == ("unknown", "unknown", ALICE)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"health": "error", "lastError": "no such series"}, "rule cannot be evaluated: no such series"),
        ({"health": "error"}, "rule cannot be evaluated: it does not say why"),
        ({"health": "nodata"}, "rule has no data"),
        ({"lastEvaluation": "0001-01-01T00:00:00Z"}, f"1 of 1 rules of quality were not evaluated yet: {NAME}"),
        ({"health": "dreaming"}, f"1 of 1 rules of quality were not evaluated yet: {NAME}"),
    ],
)
async def test_a_rule_that_nobody_evaluates_is_a_blind_spot(
    fake: FakeGrafana, adapter: GrafanaAlerts, more: dict[str, Any], words: str
) -> None:
    fake.groups = [group(rule(alerts=[{"state": "Normal"}], **more))]
    found = await only(adapter)
    assert (found.state, found.summary) == ("unknown", words)
    fake.groups = [group(rule(isPaused=True, **more))]
    assert await adapter.alerts() == []


async def test_no_rules_prove_nothing(fake: FakeGrafana, adapter: GrafanaAlerts) -> None:
    fake.groups = []
    found = await only(adapter)
    assert (found.state, "may not read their folders" in found.summary) == ("unknown", True)


@pytest.mark.parametrize("folders", [["fold1"], ["Data Platform"], ["Data Platform/Quality", "Data Platform"]])
async def test_only_rules_of_the_folders(fake: FakeGrafana, connect: Connect, folders: list[str]) -> None:
    fake.groups = [
        group(rule(alerts=[{}])),
        group(rule("Below", "u-2", alerts=[{}]), folder="Data Platform/Quality", uid="fold2"),
        group(rule("Elsewhere", "u-3", alerts=[{}]), folder="Data Platforms", uid="fold3"),
    ]
    names = {each.name for each in await connect(folders=folders).alerts()}
    assert names == ({NAME} if folders == ["fold1"] else {NAME, "Below"})


async def test_a_folder_that_shows_nothing_is_told(fake: FakeGrafana, connect: Connect) -> None:
    fake.groups[0].pop("folderUid")  # before Grafana 11.3
    (found,) = await connect(folders=["Gone", "Data Platform"]).alerts()
    assert (found.state, found.labels["grafana_folder"]) == ("unknown", "Gone")


async def test_rules_of_data_sources_are_read_and_silenced_elsewhere(fake: FakeGrafana, connect: Connect) -> None:
    labels = {"alertname": "Slow", "severity": "warning"}
    slow = {"labels": labels, "annotations": {}, "state": "firing", "activeAt": stamp(datetime.now(UTC)), "value": "1"}
    broken = {"name": "Broken", "query": "x", "health": "err", "lastError": "bad", "type": "alerting", "alerts": []}
    rules = [{"name": "Slow", "query": "x", "health": "ok", "type": "alerting", "alerts": [slow]}, broken]
    fake.sources["prom-eu"] = [{"name": "g", "file": "rules.yml", "rules": rules}]
    adapter = connect(datasources=["prom-eu", "gone"])
    with collected() as lost:
        found = {each.name: each for each in await adapter.alerts()}
    assert {name: each.state for name, each in found.items()} == {
        "Slow": "firing", "Broken": "unknown", "GrafanaDataSource": "unknown",
    }  # fmt: skip
    assert (found["GrafanaDataSource"].labels["datasource"], [error.kind for error in lost]) == ("gone", ["not_found"])
    with pytest.raises(BackendError) as caught:
        adapter.ack_matchers(found["Slow"])
    assert (caught.value.kind, "Alertmanager" in caught.value.fix) == ("config", True)


async def test_a_token_that_is_refused_is_an_error(fake: FakeGrafana, adapter: GrafanaAlerts) -> None:
    fake.token = "another"
    with pytest.raises(BackendError) as caught:
        await adapter.alerts()
    assert caught.value.kind == "auth"
    assert "glsa_token" not in caught.value.message


async def test_silences_that_can_not_be_read_hide_nothing_and_are_told(
    fake: FakeGrafana, adapter: GrafanaAlerts, raise_alerts: RaiseAlerts
) -> None:
    raise_alerts([Raised("customers")])
    fake.answers["/api/alertmanager/grafana/api/v2/silences"] = (403, {"message": "Access denied"})
    with collected() as lost:
        assert (await only(adapter)).state == "firing"
    assert [error.kind for error in lost] == ["auth"]


async def test_the_watchdog_has_to_fire(fake: FakeGrafana, connect: Connect) -> None:
    missing = await only(connect("Watchdog"))
    assert (missing.name, missing.state, "in Grafana" in missing.summary) == ("Watchdog", "unknown", True)
    fake.groups = [group(rule("Watchdog", alerts=[{}]))]
    found = await only(connect("Watchdog"))
    assert (found.state, found.health) == ("firing", "ok")
    assert (await only(connect("Watchdog", watchdog=""))).health == "critical"


@pytest.mark.parametrize(
    "config",
    [{"url": "grafana:3000"}, {"org_id": 0}, {"folders": [""]}, {"datasources": [" "]}, {"token": "glsa_x"}],
    ids=str,
)
def test_what_can_not_be_is_refused(connect: Connect, config: dict[str, Any]) -> None:
    with pytest.raises(BackendError) as caught:
        connect(**config)
    assert caught.value.kind == "config"


@pytest.mark.parametrize(
    "body", [{"status": "error", "error": "no", "data": None}, {"status": "success", "data": 5}, []]
)
async def test_an_answer_of_another_shape_is_malformed(fake: FakeGrafana, adapter: GrafanaAlerts, body: Any) -> None:
    fake.answers["/api/prometheus/grafana/api/v1/rules"] = (200, body)
    with pytest.raises(BackendError) as caught:
        await adapter.alerts()
    assert caught.value.kind == "malformed"


async def test_one_odd_rule_is_named_and_takes_nothing_with_it(fake: FakeGrafana, adapter: GrafanaAlerts) -> None:
    fake.groups = [group(rule(alerts=[{}]), {"name": "Odd", "alerts": 5, "labels": {}}, name="mixed")]
    fake.groups[0]["rules"][1]["alerts"] = [{"labels": {}, "activeAt": "x"}]
    states = {each.name: each.state for each in await adapter.alerts()}
    assert states == {NAME: "firing", "Odd": "unknown"}


async def test_a_thousand_under_silences_leave_the_event_loop_free(fake: FakeGrafana, adapter: GrafanaAlerts) -> None:
    many = [{"labels": {"dataset": f"d{number}"}} for number in range(1000)]
    fake.groups = [group(rule(alerts=many))]
    await adapter.silence(
        (Matcher(name="dataset", value="d1.*", is_regex=True),), until=in_hours(1), by=ALICE, comment="", ack=False
    )
    late = 0.0

    async def beat() -> None:
        nonlocal late
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(0.01)
            late = max(late, loop.time() - began)

    beating = asyncio.create_task(beat())
    found = await adapter.alerts()
    beating.cancel()
    assert sum(each.state == "silenced" for each in found) == 111
    assert late < 0.5


async def test_annotations_of_others_are_events(fake: FakeGrafana, connect: Connect) -> None:
    until = datetime.now(UTC).replace(microsecond=0)
    since = until - timedelta(hours=1)
    begin, end = (round((since + timedelta(minutes=each)).timestamp() * 1000) for each in (10, 20))
    fake.annotate(text="before all", time=begin - 3_600_000)
    fake.annotate(text="an alert", time=begin, alertId=4)
    fake.annotate(text="ours", time=begin, tags=["tealdeck", "action:1"])
    fake.annotate(text="deploy &lt;2.4&gt;\x1b[31m", time=end, login="mia", tags=["deploy"], dashboardUID="d1")
    fake.annotate(text="load test", time=begin, timeEnd=end, login="")
    first, second = await connect().events(since, until)
    assert (first.kind, first.text, first.at, first.until) == (
        "annotation", "load test", since + timedelta(minutes=10), since + timedelta(minutes=20)
    )  # fmt: skip
    assert (second.text, second.until, second.ref) == ("deploy <2.4> by mia [deploy]", None, "grafana")
    assert second.url == f"{fake.base}/d/d1?from={end - 1_800_000}&to={end + 1_800_000}"
    assert await connect(annotations=False).events(since, until) == []


async def test_more_annotations_than_are_read_are_told(
    fake: FakeGrafana, adapter: GrafanaAlerts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.alerts.grafana.annotations.MOST", 2)
    until = datetime.now(UTC)
    for minutes in (3, 2, 1):
        fake.annotate(text=f"{minutes}", time=round((until - timedelta(minutes=minutes)).timestamp() * 1000), login="")
    events = await adapter.events(until - timedelta(hours=1), until)
    assert [(each.kind, each.text) for each in events][1:] == [("annotation", "2"), ("annotation", "1")]
    assert (events[0].kind, events[0].until) == ("unwatched", events[1].at)


async def test_a_token_that_may_read_no_annotations_is_an_error(fake: FakeGrafana, adapter: GrafanaAlerts) -> None:
    fake.answers["/api/annotations"] = (403, {"message": "Access denied"})
    with pytest.raises(BackendError) as caught:
        await adapter.events(datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
    assert caught.value.kind == "auth"
