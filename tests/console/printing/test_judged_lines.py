"""A gate on one line, and the four numbers of DORA as a report."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from actions.dora import Dora
from actions.models import GateView
from console.cli.commands import teal
from console.cli.ending import run_command
from console.printing.dora_report import dora_lines
from console.printing.gate_lines import gate_line

NOW = datetime(2026, 3, 8, 3, 0, tzinfo=UTC)


def test_a_gate_says_what_it_saw_what_it_was_held_to_and_how_it_went():
    gate = GateView(
        name="error rate", word="pass", sample="pass", unit="share", value=0.008, limit=0.027, production=0.007,
        requests=312, last=(0.0, 0.004, None, 0.008),
    )  # fmt: skip
    assert gate_line(gate) == "error rate  PASS  0.8 %  production 0.7 %  limit 2.7 %  312 requests  ▁▂▃"


def test_a_gate_without_a_verdict_says_why():
    gate = GateView(
        name="p95", word="inconclusive", sample="inconclusive", reason="provider_error", unit="s", dry_run=True,
        words="http://prometheus:9090: connection refused",
    )  # fmt: skip
    assert gate_line(gate) == "p95 (dry run)  INCONCLUSIVE (provider error)  http://prometheus:9090: connection refused"


def test_the_four_numbers_with_their_goals():
    rows = [
        Dora(service="analytics", deployments=14, per_day=2.0, lead_time_s=1800, failed=2, change_failure_rate=2 / 14,
             restored=2, time_to_restore_s=8.4),
        Dora(service="model", deployments=0, per_day=0.0, lead_time_s=None, failed=0, change_failure_rate=None,
             restored=0, time_to_restore_s=None),
    ]  # fmt: skip
    lines = dora_lines("analytics", rows, NOW - timedelta(days=7), NOW, UTC)
    assert lines[0] == "# analytics: deliveries, 2026-03-01 03:00 to 2026-03-08 03:00 UTC"
    assert "| analytics | 14 | 2.00 | 30 min | 2 (14.3%) ! | 8.4 s |" in lines
    assert "| model | 0 | 0.00 ! | – | – | – |" in lines
    assert "| goal | | 1 or more | under 60 min | under 5% | under 15 min |" in lines


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[contexts.day]\ntitle = "analytics"\n')
    config.chmod(0o600)
    monkeypatch.setenv("TEAL_CONFIG", str(config))
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))


def test_a_report_of_a_context_that_never_changed_anything(context, capsys):
    assert run_command(teal, ["report", "--dora", "-o", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["items"]
    assert found["about"] == "dora"
    since, until = (datetime.fromisoformat(found[key]) for key in ("since", "until"))
    assert until - since == timedelta(days=30)
    (row,) = found["dora"]
    assert (row["service"], row["deployments"], row["change_failure_rate"]) == ("all services", 0, None)
    assert run_command(teal, ["report", "--dora", "--since", "7d"]) == 0
    assert capsys.readouterr().out.startswith("# analytics: deliveries, ")


def test_two_reports_at_once_are_a_mistake(context, capsys):
    assert run_command(teal, ["report", "--dora", "--handover"]) == 2
    assert "either --handover or --dora" in capsys.readouterr().err
