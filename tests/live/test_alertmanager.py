"""`alertmanager` and `teal alert` against two real peers, with amtool as the witness."""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Button

from backends.alerts.alertmanager.alerts import Alertmanager
from backends.errors import BackendError
from backends.http import Http
from backends.models import Matcher
from backends.registry import AdapterContext, build
from backends.testing.alerts import NAME, AlertsContract, Lose, RaiseAlerts, Raised
from backends.testing.silences import SilencerContract, in_hours
from console.app import TealApp
from console.cli.commands import teal
from console.cli.ending import run_command
from console.config.selection import select
from console.screens.page import SECOND_ENTER_S
from console.screens.several import SeveralPlans
from console.session import Session
from tests.console.screen_fakes import text_of
from tests.live.alertmanager import Cluster, alertmanagers

pytestmark = pytest.mark.live

CUSTOMERS = {"alertname": NAME, "dataset": "customers", "severity": "critical", "service": "analytics"}
TRANSACTIONS = {**CUSTOMERS, "dataset": "transactions"}
INHIBITED = {"alertname": "SlowLoad", "dataset": "customers", "severity": "warning", "service": "analytics"}
CONFIG = """
default_context = "production"
[contexts.production]
[[contexts.production.alerts]]
name = "am"
type = "alertmanager"
urls = {urls}
visible_within = "20s"
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with alertmanagers(tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def adapter(cluster: Cluster) -> AsyncIterator[Alertmanager]:
    http = Http()
    config = {"urls": cluster.urls, "visible_within": "20s"}
    adapter: Alertmanager = build("alerts", "alertmanager", config, AdapterContext("am", Path(), Path(), http))
    yield adapter
    await http.aclose()


@pytest.fixture
def raise_alerts(cluster: Cluster) -> RaiseAlerts:
    def raised(alerts: list[Raised]) -> None:
        cluster.fire(
            [
                ({"alertname": NAME, "dataset": alert.dataset, "severity": "critical"}, {"summary": f"{alert.score}"})
                for alert in alerts
            ]
        )

    return raised


@pytest.fixture
def lose(cluster: Cluster) -> Lose:
    def lose() -> None:
        for peer in cluster.peers:
            peer.stop()

    return lose


class TestRealAlertmanager(AlertsContract):
    pass


class TestRealSilences(SilencerContract):
    pass


class Teal:
    """The command line over the cluster, in this process."""

    def __init__(self, cluster: Cluster, directory: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        config = directory / "config.toml"
        config.write_text(CONFIG.format(urls=json.dumps(cluster.urls)))
        config.chmod(0o600)
        monkeypatch.setenv("TEAL_CONFIG", str(config))
        monkeypatch.setenv("TEAL_STATE_DIR", str(directory / "state"))
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str) -> tuple[int, Any]:
        """The exit code, and the JSON document."""
        arguments = [*words, "-o", "json"]
        self._monkeypatch.setattr("sys.argv", ["teal", *arguments])
        self._capsys.readouterr()
        code = run_command(teal, arguments)
        return code, json.loads(self._capsys.readouterr().out)

    def order(self, *words: str, code: int = 0) -> Any:
        """The action that an order was."""
        found, document = self("alert", *words, "-y")
        (action,) = document["items"]
        assert found == code, action
        return action

    def alerts(self) -> dict[str, str]:
        """Dataset and name to state."""
        return {f"{item['labels'].get('dataset')} {item['name']}": item["state"] for item in self.list()}

    def list(self) -> list[Any]:
        """All alerts."""
        items: list[Any] = self("alert", "list", "--limit", "0")[1]["items"]
        return items

    def ref(self, dataset: str, name: str = NAME) -> str:
        """Of one alert."""
        found = [
            item["ref"] for item in self.list() if (item["labels"].get("dataset"), item["name"]) == (dataset, name)
        ]
        return str(found[0])


@pytest.fixture
def teal_alert(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Teal:
    cluster.fire([(labels, {}) for labels in (CUSTOMERS, TRANSACTIONS, INHIBITED)])
    return Teal(cluster, tmp_path, capsys, monkeypatch)


def test_the_list_names_what_amtool_names_in_the_same_states(cluster: Cluster, teal_alert: Teal) -> None:
    teal_alert.order("ack", teal_alert.ref("transactions"), "--reason", "on it")
    listed = teal_alert.list()
    for peer in cluster.peers:
        assert {item["fingerprint"]: item["raw_state"] for item in listed} == peer.states()
    assert teal_alert.alerts() == {
        f"customers {NAME}": "firing", f"transactions {NAME}": "acknowledged", "customers SlowLoad": "inhibited",
    }  # fmt: skip


def test_one_ack_is_one_silence_that_amtool_shows_on_both_peers(cluster: Cluster, teal_alert: Teal) -> None:
    ref = teal_alert.ref("customers")
    action = teal_alert.order("ack", ref, "--reason", "looking at it")
    assert (action["status"], action["changed"], action["to"]) == ("succeeded", True, "acknowledged")
    assert "visible on 2/2 peers, hides 1 alert" in [step["detail"] for step in action["steps"]]
    for peer in cluster.peers:
        (silence,) = peer.silences()
        assert action["ref"] == f"am/{silence['id']}"
        assert silence["comment"] == "ACK! looking at it"
        assert {matcher["name"]: matcher["value"] for matcher in silence["matchers"]} == CUSTOMERS
    again = teal_alert.order("ack", ref, "--reason", "looking at it")
    assert (again["status"], again["changed"]) == ("succeeded", False)
    assert [len(peer.silences()) for peer in cluster.peers] == [1, 1]


def test_a_silence_from_its_plan_to_its_end(cluster: Cluster, teal_alert: Teal) -> None:
    code, document = teal_alert("alert", "silence", "-m", f"alertname={NAME}", "--for", "30m", "--dry-run")
    plan = document["items"][0]["plan"]
    assert code == 0
    assert f"hides    2 alerts: {NAME} dataset=transactions, {NAME} dataset=customers now" in plan["effects"]
    assert [peer.silences() for peer in cluster.peers] == [[], []]
    made = teal_alert.order("silence", "-m", f"alertname={NAME}", "--for", "30m")
    ref = made["ref"]
    extended = teal_alert.order("extend", ref, "--for", "1h")
    assert (extended["changed"], extended["ref"]) == (True, ref)
    assert teal_alert.order("extend", teal_alert.ref("customers"), "--for", "1h")["changed"] is False
    (listed,) = teal_alert("alert", "silences")[1]["items"]
    assert (listed["ref"], listed["matches"], listed["is_ack"]) == (ref, 2, False)
    assert [silence["id"] for peer in cluster.peers for silence in peer.silences()] == [listed["id"]] * 2
    ended = teal_alert.order("unsilence", teal_alert.ref("customers"))
    assert (ended["changed"], ended["to"]) == (True, "expired")
    assert [peer.silences() for peer in cluster.peers] == [[], []]
    assert teal_alert.order("unsilence", ref)["changed"] is False
    assert teal_alert.order("unsilence", teal_alert.ref("customers"))["changed"] is False
    assert set(teal_alert.alerts().values()) == {"firing", "inhibited"}


def test_one_peer_stopped_loses_no_alert_and_is_said(cluster: Cluster, teal_alert: Teal) -> None:
    before = teal_alert.alerts()
    cluster.peers[0].stop()
    after = teal_alert.alerts()
    assert before.items() < after.items()
    assert after.keys() - before.keys() == {"None AlertmanagerPeer"}
    assert after["None AlertmanagerPeer"] == "unknown"
    action = teal_alert.order("ack", teal_alert.ref("customers"))
    assert any("visible on 1/2 peers" in step["detail"] for step in action["steps"])
    assert len(cluster.peers[1].silences()) == 1
    cluster.peers[0].start()
    cluster.peers[1].stop()
    code, document = teal_alert("alert", "list")
    assert code == 0
    assert document["health"] == "unknown"
    cluster.peers[0].stop()
    code, document = teal_alert("alert", "list")
    assert (code, document["health"], document["errors"][0]["kind"]) == (7, "unknown", "unreachable")


def test_a_silence_over_a_crowd_asks_for_the_count(cluster: Cluster, teal_alert: Teal) -> None:
    cluster.fire([({**CUSTOMERS, "dataset": f"d{number}"}, {}) for number in range(137)])
    words = ("silence", "-m", f"alertname={NAME}")
    refused = teal_alert.order(*words, code=3)
    assert "--override matches-137" in refused["error"]["fix"]
    teal_alert.order(*words, "--override", "matches-136", "--reason", "migration", code=3)
    assert cluster.peers[0].silences() == []
    done = teal_alert.order(*words, "--override", "matches-137", "--reason", "migration")
    assert done["changed"] is True
    assert set(teal_alert.alerts().values()) == {"silenced"}


async def test_five_thousand_alerts_of_two_peers(cluster: Cluster, adapter: Alertmanager) -> None:
    many: list[tuple[dict[str, str], dict[str, str]]] = [
        (
            {"alertname": f"Alert{number % 40}", "instance": f"host-{number}", "service": f"s{number % 7}"},
            {},
        )
        for number in range(5000)
    ]
    cluster.fire(many)
    await adapter.alerts()
    began = time.perf_counter()
    alerts = await adapter.alerts()
    print(f"5,000 alerts of 2 real peers read and merged in {(time.perf_counter() - began) * 1000:.0f} ms")
    assert len(alerts) == 5000
    assert len({alert.group for alert in alerts}) == 280
    matchers = adapter.ack_matchers(alerts[0])
    result = await adapter.silence(matchers, until=in_hours(1), by="alice", comment="", ack=True)
    assert result.visible_on == result.peers


@pytest.mark.parametrize("value", ["two\nlines", "a\ttab", "zero\u200bwidth", "\u202ebidi", "x" * 700, 'q"\\n'])
async def test_a_label_that_is_shown_cleaned_is_matched_as_it_is(
    cluster: Cluster, adapter: Alertmanager, value: str
) -> None:
    cluster.fire([({"alertname": NAME, "dataset": value}, {}), ({"alertname": NAME, "dataset": "other"}, {})])
    alert = next(each for each in await adapter.alerts() if each.labels["dataset"] != "other")
    matchers = adapter.ack_matchers(alert)
    assert [each.fingerprint for each in await adapter.matching(matchers)] == [alert.fingerprint]
    made = await adapter.silence(matchers, until=in_hours(1), by="me", comment="", ack=True)
    assert made.visible_on == made.peers
    again = await adapter.silence(matchers, until=in_hours(1), by="me", comment="", ack=True)
    assert (again.id, again.changed) == (made.id, False)


def test_an_acknowledgement_hides_the_alert_that_is_shown_and_no_other(cluster: Cluster, teal_alert: Teal) -> None:
    down = {"alertname": "InstanceDown", "service": "analytics", "severity": "critical"}
    cluster.fire([(down, {}), *(({**down, "instance": f"host-{number}:9100"}, {}) for number in range(3))])

    def shown() -> list[Any]:
        return [each for each in teal_alert.list() if each["name"] == "InstanceDown"]

    refs = {each["labels"].get("instance", ""): each["ref"] for each in shown()}
    assert len(refs) == 4
    acknowledged = set[str]()
    for instance in ("host-1:9100", ""):
        plan = teal_alert.order("ack", refs[instance], "--dry-run", code=0)
        assert "hides    1 alert: " in " ".join(plan["plan"]["effects"])
        teal_alert.order("ack", refs[instance], "--reason", "on it")
        acknowledged.add(refs[instance])
        assert {each["ref"] for each in shown() if each["state"] == "acknowledged"} == acknowledged
    teal_alert.order("unsilence", refs[""])


def test_a_silence_of_everything_is_refused(cluster: Cluster, teal_alert: Teal) -> None:
    refused = teal_alert.order("silence", "-m", "alertname=~.+", code=3)
    assert "--override matches-all" in refused["error"]["fix"]
    assert cluster.peers[0].silences() == []


async def test_a_pattern_that_alertmanager_can_not_read_is_refused_and_not_called_lost(adapter: Alertmanager) -> None:
    with pytest.raises(BackendError) as caught:
        await adapter.matching((Matcher(name="alertname", value="[", is_regex=True),))
    assert (caught.value.kind, caught.value.fix) == ("config", "correct the matchers")
    assert "error parsing regexp" in caught.value.message
    assert "no Alertmanager peer answers" not in caught.value.message


def test_an_alert_says_what_silences_it(cluster: Cluster, teal_alert: Teal, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.fire([(CUSTOMERS, {})])
    code, _ = teal_alert("alert", "silence", "-m", "dataset=customers", "-y", "--reason", "being mended")
    assert code == 0
    run_command(teal, ["alert", "show", NAME])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("silence ")]
    assert "until" in line
    assert line.endswith("being mended")


def test_a_lost_peer_makes_the_document_partial(cluster: Cluster, teal_alert: Teal) -> None:
    assert teal_alert("alert", "list")[1]["partial"] is False
    cluster.peers[0].stop()
    document = teal_alert("alert", "list")[1]
    assert document["partial"] is True
    assert [cluster.urls[0] in error["message"] for error in document["errors"]] == [True]


async def test_two_silences_are_ended_together_from_the_console_each_as_its_own_action(
    cluster: Cluster, adapter: Alertmanager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(urls=json.dumps(cluster.urls)))
    config.chmod(0o600)
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    cluster.fire([(CUSTOMERS, {}), (TRANSACTIONS, {})])
    for labels in (CUSTOMERS, TRANSACTIONS):
        matchers = (Matcher(name="dataset", value=labels["dataset"]),)
        await adapter.silence(matchers, until=in_hours(0.1), by="mia", comment="late", ack=False)
    session = Session(select(str(config), None))
    app = TealApp(session)
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_silences()
        await settles(pilot, lambda: "2 ends soon" in text_of(app))
        await pilot.press("asterisk", "u")
        await settles(pilot, lambda: isinstance(app.screen, SeveralPlans) and app.screen.focused is not None)
        await pilot.press("enter")
        await settles(pilot, lambda: isinstance(app.screen.focused, Button))
        await pilot.pause(2 * SECOND_ENTER_S)  # a second Enter that comes at once goes no further
        await pilot.press("enter")
        await settles(pilot, lambda: "2 of 2 done" in text_of(app))
        ended = [action.kind for action in await session.actions()]
        assert (ended, cluster.peers[1].silences()) == (["unsilence", "unsilence"], [])


async def settles(pilot: Any, is_so: Callable[[], bool]) -> None:
    """Wait for it, a minute at most."""
    ends = time.monotonic() + 60.0
    while not is_so():
        assert time.monotonic() < ends, text_of(pilot.app)
        await pilot.pause(0.1)
