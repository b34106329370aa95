"""`rules` alerts on real SQLite files: the contract, blind spots, and the memory of since when."""

import asyncio
import fcntl
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends import state_file
from backends.alerts.rules import RuleAlerts, fill, fingerprint_of
from backends.alerts.since import SinceFile
from backends.alerts.wildcards import matches
from backends.errors import BackendError
from backends.http import Http
from backends.missing import collected
from backends.models import Alert, Matcher
from backends.registry import AdapterContext, build
from backends.testing.alerts import NAME, AlertsContract, Lose, RaiseAlerts
from backends.testing.silences import SilencerContract

ROOT = Path(__file__).parents[2]
QUERY = "select dataset, score as value from scores"
RULE = {"name": NAME, "severity": "critical", "query": QUERY, "summary": "score {value} below 0.8", "group": "quality"}
BROKEN = {"name": "Broken", "severity": "warning", "query": "select nope from scores"}


def alerts_in(directory: Path, *rules: dict[str, Any], **config: Any) -> RuleAlerts:
    config = {"url": "sqlite:///warehouse.db", "state": "alerts.json", "rules": rules or (RULE,), **config}
    adapter: RuleAlerts = build("alerts", "rules", config, AdapterContext("rules", directory, directory, Http()))
    return adapter


def write(directory: Path, *rows: tuple[Any, ...]) -> None:
    with sqlite3.connect(directory / "warehouse.db") as connection:
        connection.execute("delete from scores")
        connection.executemany("insert into scores values (?, ?)", rows)
    connection.close()


def state_of(directory: Path) -> Any:
    return json.loads((directory / "alerts.json").read_text())


async def once(adapter: RuleAlerts) -> list[Alert]:
    found = await adapter.alerts()
    await adapter.aclose()
    return found


async def only(adapter: RuleAlerts) -> Alert:
    (alert,) = await once(adapter)
    return alert


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "warehouse.db") as connection:
        connection.execute("create table scores (dataset, score)")
    connection.close()
    return tmp_path


@pytest.fixture
async def adapter(warehouse: Path) -> AsyncIterator[RuleAlerts]:
    adapter = alerts_in(warehouse)
    yield adapter
    await adapter.aclose()


@pytest.fixture
def raise_alerts(warehouse: Path) -> RaiseAlerts:
    return lambda alerts: write(warehouse, *alerts)


@pytest.fixture
def lose(warehouse: Path) -> Lose:
    return (warehouse / "warehouse.db").unlink


class TestRuleAlerts(AlertsContract):
    pass


class TestSilencesOfRules(SilencerContract):
    pass


async def test_columns_become_labels_and_words(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.70666666))
    rule = RULE | {
        "query": "select dataset, score as value, 3 as tries, 0.1 + 0.2 as share, x'00ff' as raw, null as gone,"
        " '2026-01-02T03:04:05+01:00' as since from scores",
        "labels": {"team": "data", "dataset": "overridden"},
        "summary": "{dataset} of {team}: {value} in {tries}, {gone} {} {nope} {{dataset}}",
        "runbook_url": "https://wiki.internal/q",
    }
    alert = await only(alerts_in(warehouse, rule))
    columns = {"dataset": "customers", "tries": "3", "share": "0.3", "raw": "00ff"}
    assert alert.labels == {"alertname": NAME, "team": "data", **columns}
    assert alert.summary == "customers of data: 0.7067 in 3, {gone} {} {nope} {customers}"
    assert alert.since == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert (alert.group, alert.runbook_url) == ("quality", "https://wiki.internal/q")


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8)), st.randoms())
def test_a_fingerprint_depends_on_the_labels_and_not_on_their_order(labels: dict[str, str], random: Any) -> None:
    items = list(labels.items())
    random.shuffle(items)
    assert fingerprint_of("a", dict(items)) == fingerprint_of("a", labels)
    assert fingerprint_of("a", labels) != fingerprint_of("b", labels)
    assert fingerprint_of("a", labels) != fingerprint_of("a", {**labels, "one more": "x"})
    assert len(fingerprint_of("a", labels)) == 16


def test_a_fingerprint_does_not_change_with_a_release() -> None:
    assert fingerprint_of(NAME, {"dataset": "customers"}) == "1fabd9cbac32e49b"


def test_what_was_filled_in_is_not_filled_in_again() -> None:
    assert fill("{a} {b}", {"a": "{b}", "b": "x"}) == "{b} x"


async def test_pending_until_it_held_long_enough(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.5))
    rule = RULE | {"for": "1s"}
    began = time.monotonic()
    first = await only(alerts_in(warehouse, rule))
    assert (first.state, first.health) == ("pending", "warning")
    while (alert := await only(alerts_in(warehouse, rule))).state == "pending":  # each time another process, as it were
        assert time.monotonic() - began < 10
        await asyncio.sleep(0.05)
    assert time.monotonic() - began >= 1
    assert (alert.state, alert.since) == ("firing", first.since)


async def test_a_since_column_counts_for_how_long_it_held(warehouse: Path) -> None:
    write(warehouse, ("customers", (datetime.now(UTC) - timedelta(minutes=5)).isoformat()))
    rule = RULE | {"query": "select dataset, score as since from scores"}
    assert (await only(alerts_in(warehouse, rule | {"for": "4m"}))).state == "firing"
    assert (await only(alerts_in(warehouse, rule | {"for": "6m"}))).state == "pending"


async def test_rows_with_the_same_labels_are_one_alert(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.5), ("customers", 0.4))
    assert (await only(alerts_in(warehouse))).labels == {"alertname": NAME, "dataset": "customers"}


async def test_a_rule_that_cannot_be_evaluated_is_a_blind_spot_and_costs_no_other(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.5))
    firing, blind = await once(alerts_in(warehouse, RULE, BROKEN))
    assert (firing.name, firing.state) == (NAME, "firing")
    assert (blind.name, blind.state, blind.health, blind.severity) == ("Broken", "unknown", "unknown", "warning")
    assert blind.summary.startswith("rule cannot be evaluated: ")
    assert blind.summary.endswith("no such column: nope")
    assert (await only(alerts_in(warehouse, BROKEN))).ref == blind.ref


async def test_a_rule_without_end_costs_no_other(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.5))
    endless = "with recursive t(n) as (select 1 union all select n + 1 from t) select n from t where n < 0"
    firing, blind = await once(alerts_in(warehouse, RULE, {"name": "Endless", "query": endless}, timeout="2s"))
    assert (firing.state, blind.state) == ("firing", "unknown")


async def test_a_rule_that_writes_is_a_blind_spot(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.5))
    firing, blind = await once(alerts_in(warehouse, RULE, BROKEN | {"query": "delete from scores returning *"}))
    assert (firing.state, blind.state) == ("firing", "unknown")
    assert len(await once(alerts_in(warehouse))) == 1


async def test_too_many_rows_are_said(warehouse: Path) -> None:
    write(warehouse, *((f"d{number}", 0.5) for number in range(5500)))
    alerts = await once(alerts_in(warehouse))
    assert len(alerts) == 5001
    assert (alerts[-1].state, alerts[-1].summary) == ("unknown", "more than 5000 rows: the rest is not shown")
    assert len({alert.ref for alert in alerts}) == 5001


async def test_since_survives_a_rule_that_could_not_be_evaluated_meanwhile(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.5))
    since = (await only(alerts_in(warehouse))).since
    assert (await only(alerts_in(warehouse, RULE | {"query": "select nope"}))).state == "unknown"
    assert (await only(alerts_in(warehouse))).since == since


async def test_the_state_file_is_written_only_when_something_changed(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.5))
    await once(alerts_in(warehouse))
    before = (warehouse / "alerts.json").stat()
    write(warehouse, ("customers", 0.4))
    await once(alerts_in(warehouse))
    after = (warehouse / "alerts.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    write(warehouse)
    await once(alerts_in(warehouse))
    assert state_of(warehouse) == {}
    assert sorted(path.name for path in warehouse.iterdir()) == [".alerts.json.lock", "alerts.json", "warehouse.db"]


async def test_nothing_is_written_where_nothing_ever_fired(warehouse: Path) -> None:
    await once(alerts_in(warehouse))
    assert [path.name for path in warehouse.iterdir()] == ["warehouse.db"]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"[]", b'{"DataQualityDegradation": {"x": "y"}}'])
async def test_a_damaged_state_file_costs_the_ages_only(warehouse: Path, damage: bytes) -> None:
    (warehouse / "alerts.json").write_bytes(damage)
    write(warehouse, ("customers", 0.5))
    assert (await only(alerts_in(warehouse))).since is not None
    assert list(state_of(warehouse)) == [NAME]


async def test_a_state_file_that_cannot_be_written_does_not_silence_alerts(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.5))
    (warehouse / "file").touch()
    alert = await only(alerts_in(warehouse, RULE | {"for": "1h"}, state="file/alerts.json"))
    assert (alert.state, alert.since) == ("firing", None)
    assert alert.summary.startswith("score 0.5 below 0.8 (cannot remember since when: ")


async def test_a_lock_that_is_held_is_not_waited_for_forever(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_file, "LOCK_WAIT_S", 0.1)
    write(warehouse, ("customers", 0.5))
    with open(warehouse / ".alerts.json.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        alert = await only(alerts_in(warehouse))
    assert (alert.since, "locked by another process" in alert.summary) == (None, True)
    assert (await only(alerts_in(warehouse))).since is not None


async def test_another_config_of_the_same_context_costs_no_age(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.5))
    since = (await only(alerts_in(warehouse))).since
    await once(alerts_in(warehouse, RULE | {"name": "Other"}))
    assert (await only(alerts_in(warehouse))).since == since


def test_a_rule_that_nobody_asks_about_is_forgotten_in_time(tmp_path: Path) -> None:
    file, then = SinceFile(tmp_path / "since.json"), datetime(2026, 1, 1, tzinfo=UTC)
    file.update({"old": ["a"]}, set(), then)
    file.update({"new": ["b"]}, set(), then + timedelta(days=29))
    assert file.update({"old": ["a"]}, set(), then + timedelta(days=29)) == {"a": then}
    late = then + timedelta(days=90)
    file.update({"new": ["b"]}, set(), late)
    assert file.update({"old": ["a"]}, set(), late) == {"a": late}


async def test_processes_agree_on_since_when(warehouse: Path) -> None:
    write(warehouse, *((f"d{number}", 0.5) for number in range(50)))
    code = (
        "import asyncio, pathlib, sys; from tests.backends.test_rule_alerts import alerts_in, once;"
        "print(sorted((a.ref, str(a.since)) for a in asyncio.run(once(alerts_in(pathlib.Path(sys.argv[1]))))))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(warehouse)], stdout=subprocess.PIPE, cwd=ROOT)
        for _ in range(3)
    ]
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert len(answers) == 1
    assert answers.pop().count(b"rules/") == 50


async def test_the_default_state_file_is_in_the_state_directory(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.5))
    context = AdapterContext("rules", warehouse, warehouse / "private" / "state", Http())
    adapter = build("alerts", "rules", {"url": "sqlite:///warehouse.db", "rules": [RULE]}, context)
    assert (await only(adapter)).since is not None
    assert (warehouse / "private" / "state" / "rules.json").stat().st_mode & 0o777 == 0o600
    assert (warehouse / "private" / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"url": "postgresql://u:p@h/db"}, "a password inside a URL"),
        ({"rules": []}, "at least one"),
        ({"rules": [RULE, RULE]}, f"more than one is named {NAME}"),
        ({"rules": [RULE | {"query": " "}]}, r"neither may be empty.*\$\.rules\[0\]"),
        ({"rules": [RULE | {"for": "soon"}]}, r"not a duration.*\$\.rules\[0\]\.for"),
        ({"rules": [RULE | {"hold": "5m"}]}, "unknown field `hold`"),
        ({"timeout": "0s"}, "timeout"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words):
        alerts_in(tmp_path, **config)


async def test_d8_an_acknowledgement_is_there_for_another_process_and_ends_by_itself(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.5))
    alert = await only(alerts_in(warehouse))
    first = alerts_in(warehouse)
    matchers = first.ack_matchers((await first.alerts())[0])
    assert [str(matcher) for matcher in matchers] == [f'alertname="{NAME}"', 'dataset="customers"']
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    made = await first.silence(matchers, until=soon, by="alice@laptop", comment="on it", ack=True)
    await first.aclose()
    acked = await only(alerts_in(warehouse))
    assert (acked.state, acked.fingerprint, acked.since) == ("acknowledged", alert.fingerprint, alert.since)
    assert acked.ack is not None
    assert (acked.ack.by, acked.ack.reason, acked.ack.silence_id) == ("alice@laptop", "on it", made.id)
    await asyncio.sleep(0.35)
    assert (await only(alerts_in(warehouse))).state == "firing"
    assert (await first.effects(matchers, ack=True)).says == (
        f"it is kept in {warehouse / 'alerts.silences.json'}: who does not read that still sees it fire",
    )  # fmt: skip
    assert json.loads((warehouse / "alerts.json").read_text()).keys() == {NAME}, "an older program reads the ages"


async def test_another_alert_of_the_same_labels_is_not_hidden(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.5))
    adapter = alerts_in(warehouse, RULE, RULE | {"name": "Other"})
    first, other = await adapter.alerts()
    await adapter.silence(
        adapter.ack_matchers(first), until=datetime.now(UTC) + timedelta(hours=1), by="a", comment="", ack=True
    )
    assert [alert.state for alert in await once(adapter)] == ["acknowledged", "firing"]
    assert other.name == "Other"


@pytest.mark.parametrize("broken", [b"{", b'[{"id": 1}]'])
async def test_a_file_of_silences_that_is_broken_hides_nothing_and_is_said(warehouse: Path, broken: bytes) -> None:
    write(warehouse, ("customers", 0.5))
    (warehouse / "alerts.silences.json").write_bytes(broken)
    adapter = alerts_in(warehouse)
    with collected() as lost:
        assert [alert.state for alert in await adapter.alerts()] == ["firing"]
    assert [error.kind for error in lost] == ["malformed"]
    with pytest.raises(BackendError) as caught:
        await adapter.silence(
            (Matcher(name="dataset", value="x"),), until=datetime.now(UTC), by="a", comment="", ack=True
        )
    assert caught.value.kind == "malformed"
    assert (warehouse / "alerts.silences.json").read_bytes() == broken
    await adapter.aclose()


async def test_what_can_not_be_evaluated_is_never_hidden(warehouse: Path) -> None:
    write(warehouse, ("customers", 0.5))
    adapter = alerts_in(warehouse, RULE, BROKEN)
    until = datetime.now(UTC) + timedelta(hours=1)
    await adapter.silence(
        (Matcher(name="alertname", value=".*e.*", is_regex=True),), until=until, by="a", comment="", ack=False
    )
    assert {alert.name: alert.state for alert in await once(adapter)} == {NAME: "silenced", "Broken": "unknown"}


@pytest.mark.parametrize(
    ("regex", "text", "fits"),
    [
        ("cust.*", "customers", True), ("cust.*", "my customers", False), ("a|b", "b", True), ("a|b", "ab", False),
        (".+", "", False), (".*", "", True), ("a.c", "abc", True), ("a.c", "ac", False), ("a.*b.*c", "a1b2b3c", True),
        ("a.*b.*c", "acb", False), (r"a\.b", "a.b", True), (r"a\.b", "axb", False), ("", "", True),
        (".*".join("a" * 40), "a" * 500 + "b", False),
    ],
)  # fmt: skip
def test_the_regular_expressions_that_are_known_are_anchored_and_quick(regex: str, text: str, fits: bool) -> None:
    began = time.monotonic()
    assert matches([Matcher(name="x", value=regex, is_regex=True)], {"x": text}) is fits
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("regex", ["(a+)+b", "[ab]", "a*", "a?", "a{3}", "^a", r"\d"])
def test_others_are_refused(regex: str) -> None:
    with pytest.raises(BackendError, match="only"):
        matches([Matcher(name="x", value=regex, is_regex=True)], {"x": "a"})
