"""Incidents of PagerDuty at the command line: listed, ordered, doubted."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console.cli.commands import teal
from console.cli.ending import run_command
from tests.backends.fake_alertmanager import FakeAlertmanager, cluster
from tests.backends.fake_pagerduty import TOKEN, FakePagerDuty

Teal = Callable[..., tuple[int, Any]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePagerDuty]:
    """On a loop of its own: a command has one, too."""
    monkeypatch.setenv("PAGERDUTY_TOKEN", TOKEN)
    server, loop = FakePagerDuty(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    yield server
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert server.complaints == []


@pytest.fixture
def run(
    server: FakePagerDuty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Teal:
    config = tmp_path / "config.toml"
    config.write_text(
        '[contexts.c]\n[[contexts.c.alerts]]\nname = "pd"\ntype = "pagerduty"\n'
        f'url = "{server.url}"\ntoken = {{ env = "PAGERDUTY_TOKEN" }}\n'
    )
    config.chmod(0o600)
    monkeypatch.setenv("TEAL_CONFIG", str(config))
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))

    def called(*words: str) -> tuple[int, Any]:
        call = [*words, "-o", "json"]
        monkeypatch.setattr("sys.argv", ["teal", *call])
        code = run_command(teal, call)
        return code, json.loads(capsys.readouterr().out)

    return called


LABELS = {"alertname": "Slow", "dataset": "customers"}


@pytest.fixture
def manager(run: Teal, tmp_path: Path) -> Iterator[FakeAlertmanager]:
    """An Alertmanager of the same context, in which the alert fires that opened the incident."""
    with cluster(1) as (manager,):
        with (tmp_path / "config.toml").open("a") as config:
            config.write('ack_links = true\n[[contexts.c.alerts]]\nname = "am"\ntype = "alertmanager"\n')
            config.write(f'urls = ["{manager.url}"]\n')
        manager.fire(**LABELS)
        yield manager


@pytest.mark.parametrize("name", ["pd", "am"])
def test_a_linked_acknowledgement_has_one_result_a_system(
    run: Teal, server: FakePagerDuty, manager: FakeAlertmanager, name: str
) -> None:
    incident = server.trigger("k", LABELS)
    _, told = run("alert", "list")
    refs = {item["backend"]: item["ref"] for item in told["items"]}
    assert {item["incident"]["ref"] for item in told["items"]} == {refs["pd"]}
    code, told = run("alert", "ack", refs[name], "-y", "--foreground")
    (action,) = told["items"]
    other = refs["am" if name == "pd" else "pd"]
    assert (code, action["status"], incident.status) == (0, "succeeded", "acknowledged"), told
    assert {step["name"]: step["status"] for step in action["steps"]}[f"ack {other}"] == "succeeded"
    _, told = run("alert", "list")
    assert {item["backend"]: item["state"] for item in told["items"]} == {"pd": "acknowledged", "am": "acknowledged"}
    assert len(server.orders) == 1, "one way: no system answers the other"


def test_by_their_name_the_incident_is_meant_which_stands_for_all(
    run: Teal, server: FakePagerDuty, manager: FakeAlertmanager
) -> None:
    incident = server.trigger("k", LABELS)
    code, told = run("alert", "ack", "Slow", "-y", "--foreground")
    assert (code, told["items"][0]["kind"], incident.status) == (0, "ack-incident", "acknowledged"), told


def test_what_one_system_refuses_keeps_no_other_from_it(
    run: Teal, server: FakePagerDuty, manager: FakeAlertmanager
) -> None:
    incident = server.trigger("k", LABELS)
    server.reads_only = True
    _, told = run("alert", "list")
    ref = next(item["ref"] for item in told["items"] if item["backend"] == "am")
    code, told = run("alert", "ack", ref, "-y", "--foreground")
    (action,) = told["items"]
    steps = {step["name"]: step["status"] for step in action["steps"]}
    assert (code, action["status"], action["changed"], incident.status) == (1, "aborted", True, "triggered"), told
    assert (steps["verify"], [status for step, status in steps.items() if step.startswith("ack ")]) == (
        "succeeded", ["failed"],
    )  # fmt: skip
    assert "Access Denied" in action["error"]["message"]


def test_an_incident_and_its_alert_are_acknowledged_apart_unless_that_is_configured(
    run: Teal, server: FakePagerDuty, manager: FakeAlertmanager, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(config.read_text().replace("ack_links = true", ""))
    incident = server.trigger("k", LABELS)
    _, told = run("alert", "list")
    ref = next(item["ref"] for item in told["items"] if item["backend"] == "am")
    assert run("alert", "ack", ref, "-y", "--foreground")[0] == 0
    assert incident.status == "triggered"


def test_an_incident_is_listed_with_who_has_it(run: Teal, server: FakePagerDuty) -> None:
    incident = server.trigger("k", {"alertname": "Slow", "dataset": "customers"})
    code, told = run("alert", "list")
    (item,) = told["items"]
    assert (code, item["name"], item["state"], item["incident"]["number"]) == (0, "Slow", "firing", incident.number)
    assert item["incident"]["assigned"] == ["Alice Greenholt"]


@pytest.mark.parametrize(
    ("words", "kind", "status"),
    [
        (("ack",), "ack-incident", "acknowledged"), (("snooze", "--for", "30m"), "snooze", "acknowledged"),
        (("resolve",), "resolve", "resolved"),
        (("escalate",), "escalate", "triggered"), (("reassign", "--to", "Bob Dee"), "reassign", "triggered"),
        (("note", "disk is full"), "note-incident", "triggered"),
    ],
)  # fmt: skip
def test_each_order_by_the_name_of_its_alert(
    run: Teal, server: FakePagerDuty, words: tuple[str, ...], kind: str, status: str
) -> None:
    incident = server.trigger("k", {"alertname": "Slow"})
    word, *more = words
    code, told = run("alert", word, "Slow", *more, "-y", "--foreground")
    (action,) = told["items"]
    assert (code, action["kind"], action["status"], action["changed"]) == (0, kind, "succeeded", True), told
    assert (incident.status, len(server.orders)) == (status, 1)


def test_an_incident_that_is_left_open_is_handed_over(run: Teal, server: FakePagerDuty) -> None:
    incident = server.trigger("k", {"alertname": "Slow"})
    server.ends("k")
    incident.status = "triggered"
    _, told = run("alert", "list")
    assert told["health"] == "warning"
    _, told = run("report", "--handover")
    (item,) = [each for each in told["items"][0]["open"] if each["kind"] == "incident"]
    assert "alert over, incident still open since" in item["text"]
    code, _ = run("alert", "resolve", "Slow", "-y", "--foreground")
    assert (code, incident.status) == (0, "resolved")


def test_an_incident_is_not_silenced(run: Teal, server: FakePagerDuty) -> None:
    server.trigger("k", {"alertname": "Slow"})
    code, told = run("alert", "silence", "Slow", "-y", "--foreground")
    assert (code, server.orders) == (2, [])
    assert "snooze" in told["errors"][0]["fix"]


def test_the_doctor_says_that_a_general_key_orders_nothing(run: Teal, server: FakePagerDuty) -> None:
    server.is_general = True
    _, told = run("doctor")
    assert "nobody's" in json.dumps(told)
