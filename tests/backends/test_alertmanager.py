"""`alertmanager` against peers in this process: the contracts, several peers, lost answers, watchdogs, thousands."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from backends.alerts.alertmanager.alerts import Alertmanager
from backends.errors import BackendError
from backends.http import Http
from backends.missing import collected
from backends.models import Alert
from backends.registry import AdapterContext, build
from backends.testing.alerts import NAME, AlertsContract, Lose, RaiseAlerts, Raised
from backends.testing.silences import ALICE, CUSTOMERS, SilencerContract, in_hours
from tests.backends.fake_alertmanager import FakeAlertmanager, cluster

GIVEN: dict[str, Any] = {"timeout": "30s", "visible_within": "10s"}
HASTY: dict[str, Any] = {"timeout": "2s"}  # towards a peer that hangs, beside one that answers
BRIEF: dict[str, Any] = {"visible_within": "400ms"}  # where a peer never shows it


Connect = Callable[..., Alertmanager]


def alertmanager(http: Http, peers: list[FakeAlertmanager], of_context: str = "", **config: Any) -> Alertmanager:
    config = {"urls": [peer.url for peer in peers], **GIVEN, **config}
    context = AdapterContext("am", Path(), Path(), http, watchdog=of_context)
    adapter: Alertmanager = build("alerts", "alertmanager", config, context)
    return adapter


async def read(peers: list[FakeAlertmanager], of_context: str = "", **config: Any) -> list[Alert]:
    http = Http()
    try:
        return await alertmanager(http, peers, of_context, **config).alerts()
    finally:
        await http.aclose()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    http = Http()
    yield partial(alertmanager, http)
    await http.aclose()


@pytest.fixture
def peers() -> Iterator[list[FakeAlertmanager]]:
    with cluster(2) as peers:
        yield peers


@pytest.fixture
async def adapter(peers: list[FakeAlertmanager], connect: Connect) -> AsyncIterator[Alertmanager]:
    adapter = connect(peers)
    yield adapter
    await adapter.aclose()


@pytest.fixture
def raise_alerts(peers: list[FakeAlertmanager]) -> RaiseAlerts:
    def raised(alerts: list[Raised]) -> None:
        wanted: set[str] = set()
        for peer in peers:
            for alert in alerts:
                before = dict(peer.alerts)
                found = peer.fire(alertname=NAME, dataset=alert.dataset, severity="critical")
                peer.alerts[found]["annotations"] = {"summary": f"score {alert.score}"}
                peer.alerts[found]["startsAt"] = before.get(found, peer.alerts[found])["startsAt"]
                wanted.add(found)
            for gone in peer.alerts.keys() - wanted:
                del peer.alerts[gone]

    return raised


@pytest.fixture
def lose(peers: list[FakeAlertmanager]) -> Lose:
    def lose() -> None:
        for peer in peers:
            peer.fault = "read reset"

    return lose


class TestAlertmanager(AlertsContract):
    pass


class TestAlertmanagerSilences(SilencerContract):
    pass


# ---- several peers


async def test_an_alert_of_one_peer_is_not_lost(peers: list[FakeAlertmanager]) -> None:
    peers[0].fire(alertname="OnlyHere")
    peers[1].fire(alertname="OnlyThere")
    for peer in peers:
        peer.fire(alertname="Both")
    assert sorted(alert.name for alert in await read(peers)) == ["Both", "OnlyHere", "OnlyThere"]


async def test_the_earliest_start_and_the_newest_words(peers: list[FakeAlertmanager]) -> None:
    first, second = (peer.fire(alertname="A", age_s=age, heard_s=heard) for peer, age, heard in zip(
        peers, (60, 3600), (1, 30), strict=True
    ))  # fmt: skip
    assert first == second
    peers[0].alerts[first]["annotations"] = {"summary": "new words"}
    peers[1].alerts[first]["annotations"] = {"summary": "old words"}
    (alert,) = await read(peers)
    assert alert.summary == "new words"
    assert alert.since is not None
    assert 3595 < (datetime.now(UTC) - alert.since).total_seconds() < 3660


@pytest.mark.parametrize("fault", ["read reset", "read 503", "read garbage", "read 401", "read hang"])
async def test_a_lost_peer_is_said_loudly_and_loses_no_alert(peers: list[FakeAlertmanager], fault: str) -> None:
    for peer in peers:
        peer.fire(alertname="A")
    peers[0].fault = fault
    given = HASTY if fault == "read hang" else {}
    alert, lost = sorted(await read(peers, **given), key=lambda each: each.name)
    assert (alert.name, alert.state) == ("A", "firing")
    assert (lost.name, lost.state, lost.health) == ("AlertmanagerPeer", "unknown", "unknown")
    assert lost.labels["peer"] == peers[0].url
    assert peers[0].url in lost.summary
    assert lost.ref.startswith("am/")
    again = next(each for each in await read(peers, **given) if each.name == "AlertmanagerPeer")
    assert again.ref == lost.ref


async def test_all_peers_lost_names_each(peers: list[FakeAlertmanager]) -> None:
    peers[0].fault, peers[1].fault = "read 401", "read reset"
    with pytest.raises(BackendError) as caught:
        await read(peers)
    assert caught.value.kind == "unreachable"
    assert all(peer.url in caught.value.message for peer in peers)
    peers[1].fault = "read 403"
    with pytest.raises(BackendError) as caught:
        await read(peers)
    assert caught.value.kind == "auth"


async def test_a_peer_that_has_not_heard_of_the_silence_still_pages(
    peers: list[FakeAlertmanager], connect: Connect
) -> None:
    for peer in peers:
        peer.fire(alertname=NAME, dataset="customers")
    peers[0].gossips = False
    result = await connect(peers, **BRIEF).silence(CUSTOMERS, until=in_hours(1), by=ALICE, comment="", ack=True)
    assert result.visible_on == (peers[0].url,)
    assert (result.behind, result.lost) == ((peers[1].url,), {})
    (alert,) = await read(peers)
    assert alert.state == "firing"
    assert alert.ack is not None


async def test_one_write_to_one_peer_where_the_first_is_lost(peers: list[FakeAlertmanager], connect: Connect) -> None:
    peers[0].fault = "read reset"
    result = await connect(peers).silence(CUSTOMERS, until=in_hours(1), by=ALICE, comment="", ack=True)
    assert result.visible_on == (peers[1].url,)
    assert "connection" in result.lost[peers[0].url]
    assert (peers[0].orders, peers[1].orders) == ([], ["POST /silences"])


# ---- answers that are lost


@pytest.mark.parametrize("fault", ["reset after", "hang after", "502 after", "garbage after"])
async def test_an_order_whose_answer_is_lost_is_looked_for_and_not_sent_again(
    peers: list[FakeAlertmanager], connect: Connect, fault: str
) -> None:
    adapter = connect(peers, **(HASTY if fault == "hang after" else {}))
    peers[0].fault = fault
    made = await adapter.silence(CUSTOMERS, until=in_hours(1), by=ALICE, comment="x", ack=True)
    assert made.changed
    assert made.visible_on == made.peers
    peers[0].fault = fault
    extended = await adapter.extend(made.id, in_hours(2))
    assert (extended.id, extended.changed) == (made.id, True)
    peers[0].fault = fault
    assert (await adapter.expire(made.id)).changed
    orders = [order for peer in peers for order in peer.orders]
    assert orders == ["POST /silences", "POST /silences", f"DELETE /silence/{made.id}"]
    assert [silence.state for silence in await adapter.silences()] == ["expired"]


@pytest.mark.parametrize("fault", ["reset before", "502 before", "400 before", "403 before"])
async def test_an_order_that_came_to_nothing_is_an_error(
    peers: list[FakeAlertmanager], connect: Connect, fault: str
) -> None:
    adapter = connect(peers, **BRIEF)
    peers[0].fault = fault
    with pytest.raises(BackendError) as caught:
        await adapter.silence(CUSTOMERS, until=in_hours(1), by=ALICE, comment="", ack=True)
    assert caught.value.kind == {"403": "auth", "400": "config"}.get(fault.split()[0], "unreachable")
    assert peers[0].orders == ["POST /silences"]
    assert await adapter.silences() == []
    made = await adapter.silence(CUSTOMERS, until=in_hours(1), by=ALICE, comment="", ack=True)
    peers[0].fault = fault
    with pytest.raises(BackendError):
        await adapter.expire(made.id)
    assert [silence.state for silence in await adapter.silences()] == ["active"]


async def test_somebody_elses_silence_is_not_taken_for_ours(peers: list[FakeAlertmanager], connect: Connect) -> None:
    adapter = connect(peers, **BRIEF)
    until = in_hours(1)
    await adapter.silence(CUSTOMERS, until=until, by="bob", comment="x", ack=True)
    peers[0].fault = "reset before"
    with pytest.raises(BackendError):
        await adapter.silence(CUSTOMERS, until=until, by=ALICE, comment="x", ack=True)


# ---- the watchdog


async def test_a_watchdog_that_is_missing_or_old_is_unknown(peers: list[FakeAlertmanager]) -> None:
    (alert,) = await read(peers, "Watchdog")
    assert (alert.name, alert.state) == ("Watchdog", "unknown")
    assert "missing" in alert.summary
    for peer in peers:
        peer.fire(alertname="Watchdog", heard_s=450)
    (alert,) = await read(peers, "Watchdog")
    assert (alert.state, alert.health) == ("unknown", "unknown")
    assert "not heard of for 7m" in alert.summary
    (alert,) = await read(peers, "Watchdog", watchdog_age="10m")
    assert (alert.state, alert.health) == ("firing", "ok")


async def test_one_peer_that_hears_the_watchdog_is_enough(peers: list[FakeAlertmanager]) -> None:
    peers[0].fire(alertname="Watchdog", heard_s=400)
    peers[1].fire(alertname="Watchdog", heard_s=10)
    (alert,) = await read(peers, "Watchdog")
    assert alert.state == "firing"


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
async def test_the_clock_of_a_peer_makes_no_watchdog_old(peers: list[FakeAlertmanager], ahead_s: int) -> None:
    for peer in peers:
        peer.clock_ahead = timedelta(seconds=ahead_s)
        peer.fire(alertname="Watchdog", heard_s=10)
    (alert,) = await read(peers, "Watchdog")
    assert alert.state == "firing"


async def test_an_entry_may_name_its_own_watchdog_or_none(peers: list[FakeAlertmanager]) -> None:
    assert await read(peers, "Watchdog", watchdog="") == []
    (alert,) = await read(peers, "Watchdog", watchdog="Heartbeat")
    assert alert.name == "Heartbeat"


# ---- how it is asked


@pytest.mark.parametrize("ending", ["", "/", "/api/v2", "/api/v2/"])
async def test_a_path_prefix_is_kept(ending: str) -> None:
    with cluster(1, prefix="/api/alertmanager/grafana") as (peer,):
        peer.fire(alertname="A")
        (alert,) = await read([peer], urls=[peer.url + ending])
        assert alert.name == "A"


async def test_credentials_and_headers(
    peers: list[FakeAlertmanager], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AM_TOKEN", "first")
    adapter = connect(
        peers[:1], auth={"token": {"env": "AM_TOKEN"}}, headers={"X-Scope-OrgID": "team-a"}
    )  # fmt: skip
    await adapter.silence(CUSTOMERS, until=in_hours(1), by=ALICE, comment="", ack=True)
    for _, _, headers in peers[0].requests:
        assert {name.lower(): value for name, value in headers.items()}.items() >= {
            "authorization": "Bearer first", "x-scope-orgid": "team-a",
        }.items()  # fmt: skip
    monkeypatch.setenv("AM_TOKEN", "second")
    peers[0].fault = "read 401"
    with pytest.raises(BackendError) as caught:
        await adapter.alerts()
    assert caught.value.kind == "auth"
    peers[0].fault = ""
    await adapter.alerts()
    assert peers[0].requests[-1][2]["authorization"] == "Bearer second"


@pytest.mark.parametrize(
    "config",
    [
        {"urls": []},
        {"urls": ["am:9093"]},
        {"urls": ["http://u:p@am:9093"]},
        {"urls": ["http://am:9093", "http://am:9093/"]},
        {"urls": ["http://am"], "identity": []},
        {"urls": ["http://am"], "headers": {"Authorization": "Bearer x"}},
        {"urls": ["http://am"], "timeout": "0s"},
        {"urls": ["http://am"], "nope": 1},
    ],
)
def test_a_bad_config_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(BackendError) as caught:
        build("alerts", "alertmanager", config, AdapterContext("am", Path(), Path(), Http()))
    assert caught.value.kind == "config"


# ---- many


async def test_five_thousand_alerts_do_not_hold_the_event_loop(peers: list[FakeAlertmanager], connect: Connect) -> None:
    for peer in peers:
        for number in range(5000):
            peer.fire(
                alertname=f"Alert{number % 40}", instance=f"host-{number}:9100", cluster="eu", service=f"s{number % 7}",
                namespace="analytics", severity="warning", job="node", pod=f"pod-{number:08x}",
            )  # fmt: skip
    adapter = connect(peers, timeout="20s")
    await adapter.alerts()
    longest, began = 0.0, time.perf_counter()
    reading = asyncio.create_task(adapter.alerts())
    while not reading.done():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before)
    took = time.perf_counter() - began
    alerts = reading.result()
    print(f"5,000 alerts of 2 peers: {took * 1000:.0f} ms, the event loop held for {longest * 1000:.0f} ms at most")
    assert len(alerts) == 5000
    assert len({alert.group for alert in alerts}) == 280


# ---- what is missing


async def test_a_lost_peer_makes_the_answer_partial(peers: list[FakeAlertmanager], connect: Connect) -> None:
    peers[0].fire(alertname=NAME)
    peers[1].fault = "read reset"
    for read_all in (connect(peers).alerts, connect(peers).silences):
        with collected() as lost:
            await read_all()
        assert lost
        assert all(peers[1].url in error.message for error in lost)


async def test_one_odd_alert_or_silence_is_named_and_takes_nothing_with_it(
    peers: list[FakeAlertmanager], connect: Connect
) -> None:
    for peer in peers:
        peer.fire(alertname=NAME)
        odd = peer.fire(alertname="Odd")
        peer.alerts[odd]["startsAt"] = "yesterday"
    adapter = connect(peers)
    assert {each.name: each.state for each in await adapter.alerts()} == {NAME: "firing", "Odd": "unknown"}
    for name in ("a", "b"):
        await adapter.silence(CUSTOMERS, until=in_hours(1), by=name, comment="", ack=False)
    first = next(iter(peers[0].known))
    for peer in peers:
        peer.known[first]["updatedAt"] = None
        peer.known[first]["comment"] = 5
    with collected() as lost:
        assert [each.created_by for each in await adapter.silences()] == ["b"]
    assert "silences" in lost[0].message


@pytest.mark.parametrize(("up_s", "state"), [(20, "pending"), (600, "unknown"), (None, "unknown")])
async def test_a_watchdog_is_awaited_just_after_a_start(
    peers: list[FakeAlertmanager], up_s: float | None, state: str
) -> None:
    for peer in peers:
        peer.up_s = up_s
    (spot,) = await read(peers, "Watchdog")
    assert (spot.name, spot.state) == ("Watchdog", state)
    assert f"in Alertmanager ({peers[0].url}, {peers[1].url})" in spot.summary
