"""What a newcomer does, on the real sandbox, by the command line alone."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.warm import Job, called

pytestmark = pytest.mark.xdist_group("sandbox")

LOAD = {"rps": "200", "seconds": "12s"}


class Teal:
    """The command line with a state directory of its own."""

    def __init__(self, home: Path) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.env = {"PATH": path, "HOME": str(home), "TEAL_STATE_DIR": str(home / "state"), "LANG": "C.UTF-8"}
        self.env |= {"TEAL_CONTEXT": "sandbox", "TEAL_SANDBOX_BAKE": "2s"}

    def run(self, *arguments: str, cold: bool = False) -> subprocess.CompletedProcess[str]:
        """`cold`: as a new interpreter, else forked from one that has imported all."""
        module = "console.cli.main" if cold else "tests.warm_teal"
        return called(Job(module, "main", list(arguments), self.env, cold=cold), within_s=120)

    def json(self, *arguments: str, cold: bool = False) -> dict[str, Any]:
        ended = self.run(*arguments, "-o", "json", cold=cold)
        assert ended.stdout, ended.stderr
        return {"exit": ended.returncode, **json.loads(ended.stdout)}

    def action(self, *arguments: str) -> dict[str, Any]:
        found = self.json(*arguments)
        return {"exit": found["exit"], **found["items"][0]}


@pytest.fixture(scope="module")
def teal(tmp_path_factory):
    runner = Teal(tmp_path_factory.mktemp("home"))
    started = runner.run("sandbox", "start", cold=True)
    assert started.returncode == 0, started.stderr
    yield runner
    runner.run("sandbox", "stop")


@pytest.fixture
def healthy(teal):
    yield teal
    teal.run("sandbox", "fix")


def test_status_shows_real_work_on_every_panel(teal):
    status = teal.json("status", cold=True)
    assert status["schema"] == "teal/v1/status"
    assert {run["pipeline"] for run in status["pipelines"]} == {"production_data_pipeline", "monitoring_and_alerting"}
    assert {score["dataset"] for score in status["quality"]} >= {"customers", "transactions"}
    assert all(0.9 < score["score"] <= 1 for score in status["quality"])
    assert [item["service"] for item in status["deployments"]] == ["analytics"]
    assert status["logs"]
    assert {check["state"] for check in status["checks"]} <= {"ok", "warning"}  # a busy machine answers late
    assert status["partial"] is False


def test_a_flip_under_load_loses_no_request_and_is_undone_once(teal):
    report: dict[str, Any] = {}

    def drive() -> None:
        report.update(teal.json("sandbox", "load", "--rps", LOAD["rps"], "--for", LOAD["seconds"])["items"][0])

    before = teal.json("deploy", "status")["items"][0]["live"]
    load = threading.Thread(target=drive)
    load.start()
    flip = teal.action("deploy", "flip", "analytics", "-y", "--reason", "test")
    live = teal.json("deploy", "status")["items"][0]
    back = teal.action("deploy", "rollback", "analytics", "-y")
    again = teal.action("deploy", "rollback", "analytics", "-y")
    load.join()

    assert (flip["exit"], flip["status"], flip["changed"]) == (0, "succeeded", True)
    assert flip["from"] == before
    assert live["live"] == flip["to"]
    assert live["rollback"]["to"] == before
    assert flip["switch"]["errors"] == 0
    assert flip["switch"]["requests"] >= 20
    assert flip["switch"]["first_new_s"] < 2
    assert flip["switch"]["last_old_s"] < 2
    assert (back["exit"], back["status"], back["to"]) == (0, "succeeded", before)
    assert (again["exit"], again["changed"]) == (0, False)
    assert report["errors"] == 0
    assert report["requests"] > 1000
    assert set(report["by_color"]) == {"blue", "green"}


def test_already_live_changes_nothing(teal):
    live = teal.json("deploy", "status")["items"][0]["live"]
    flip = teal.action("deploy", "flip", "analytics", "--to", live, "-y")
    assert (flip["exit"], flip["changed"]) == (0, False)


def test_a_bad_release_gets_no_traffic(healthy):
    healthy.run("sandbox", "break", "bad-release")
    flip = healthy.action("deploy", "flip", "analytics", "-y")
    assert flip["exit"] == 3
    assert flip["id"] is None
    assert any(finding["level"] == "block" for finding in flip["findings"])
    assert healthy.json("deploy", "status")["items"][0]["live"] == flip["from"]


def test_without_a_terminal_and_without_yes_nothing_happens(teal):
    flip = teal.action("deploy", "flip", "analytics")
    assert flip["exit"] == 3
    assert "-y" in flip["error"]["fix"]


def test_a_dry_run_prints_the_hash_that_a_real_run_accepts(teal):
    plan = teal.action("deploy", "flip", "analytics", "--dry-run")
    assert (plan["exit"], plan["status"], plan["changed"]) == (0, "planned", False)
    assert plan["plan"]["effects"]
    wrong = teal.action("deploy", "flip", "analytics", "-y", "--plan-hash", "0" * 16)
    assert wrong["exit"] == 6
    assert teal.action("deploy", "flip", "analytics", "--dry-run", "--plan-hash", "0" * 16)["exit"] == 6
    right = teal.action("deploy", "flip", "analytics", "-y", "--plan-hash", plan["plan_hash"])
    assert right["exit"] == 0
    assert teal.action("deploy", "rollback", "analytics", "-y")["exit"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["deploy", "flip", "nothing", "-y"], 'no service "nothing"'),
        (["deploy", "flip", "analytics", "--to", "purple", "-y"], 'no color "purple"'),
        (["run", "trigger", "nothing", "-y"], 'no pipeline "nothing"'),
        (["run", "show", "nothing"], 'no run "nothing"'),
        (["action", "show", "nothing"], "no action"),
        (["log", "nothing"], 'no log source "nothing"'),
    ],
)
def test_what_is_not_there_is_exit_5_with_what_is(teal, arguments, words):
    ended = teal.run(*arguments)
    assert ended.returncode == 5
    assert words in ended.stderr
    assert "(" in ended.stderr or "\n  there are: " in ended.stderr  # a long list stands on a line of its own


def test_an_edit_between_plan_and_write_is_a_conflict(teal):
    plan = teal.action("deploy", "flip", "analytics", "--dry-run")
    switch = Path(teal.env["TEAL_STATE_DIR"]) / "sandbox" / "switch.json"
    before = switch.read_text()
    switch.write_text(json.dumps({"weights": {"blue": 50, "green": 50}, "generation": 999, "stamp": "by hand"}))
    try:
        flip = teal.action("deploy", "flip", "analytics", "-y", "--plan-hash", plan["plan_hash"])
        assert flip["exit"] == 6
        assert json.loads(switch.read_text())["stamp"] == "by hand"
    finally:
        switch.write_text(before)


def test_a_run_is_triggered_followed_and_retried(healthy):
    triggered = healthy.action("run", "trigger", "monitoring_and_alerting", "-y", "--wait")
    assert (triggered["exit"], triggered["changed"]) == (0, True)
    shown = healthy.json("run", "show", triggered["ref"])["items"][0]
    assert shown["state"] == "success"
    assert [task["state"] for task in shown["tasks"]] == ["success"] * 5
    healthy.run("sandbox", "break", "failing-task")
    failed = healthy.json("run", "show", "production_data_pipeline@failed")["items"][0]
    assert "validate_transactions_data" in failed["error"]
    healthy.run("sandbox", "fix", "failing-task")
    retried = healthy.action("run", "retry", failed["ref"], "-y", "--wait")
    assert retried["exit"] == 0
    assert healthy.json("run", "show", failed["ref"])["items"][0]["state"] == "success"


def test_bad_data_lowers_a_score_and_fires_an_alert(healthy):
    healthy.run("sandbox", "break", "bad-data")
    [score] = healthy.json("quality", "show", "transactions")["items"]
    assert score["score"] < 0.8
    assert score["state"] == "critical"
    assert score["failures"]
    alerts = healthy.json("alert", "list")["items"]
    assert "DataQualityDegradation" in {alert["name"] for alert in alerts if alert["state"] == "firing"}
    assert healthy.run("check", "-C", "sandbox").returncode == 2


def test_a_dead_backend_is_unknown_never_ok(healthy):
    healthy.run("sandbox", "break", "dead-backend")
    listed = healthy.json("quality", "list")
    assert listed["exit"] == 7
    assert listed["health"] == "unknown"
    assert listed["errors"][0]["kind"] == "unreachable"
    assert healthy.json("status")["partial"] is True


def test_the_audit_holds_and_exports(teal):
    teal.run("deploy", "flip", "analytics")
    assert teal.run("audit", "verify").returncode == 0
    newest = json.loads(json.loads(teal.run("audit", "export").stdout.splitlines()[-1])["text"])
    assert (newest["kind"], newest["result"]) == ("refused", "exit 3")


def test_check_without_a_config_names_the_places_it_looked(tmp_path):
    teal = Teal(tmp_path)
    del teal.env["TEAL_CONTEXT"]
    ended = teal.run("check")
    assert ended.returncode == 3
    assert ended.stdout.startswith("UNKNOWN: no config; looked at ")
    assert "/etc/tealdeck/config.toml" in ended.stdout


def test_an_idempotency_key_acts_once(teal):
    key = ["--idempotency-key", "drill-7"]
    first = teal.action("run", "trigger", "monitoring_and_alerting", "-y", *key)
    second = teal.action("run", "trigger", "monitoring_and_alerting", "-y", *key)
    other = teal.action("run", "trigger", "production_data_pipeline", "-y", *key)
    assert first["id"] == second["id"]
    assert first["ref"] == second["ref"]
    assert other["exit"] == 6
