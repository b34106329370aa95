"""The bytes of headless output, held: scripts outside of the project rely on them.

`TEAL_UPDATE_GOLDEN=1 pytest tests/console/test_golden.py` writes them anew; read the difference before you commit it.
"""

import os
import re
from pathlib import Path

import pytest

from backends import registry
from console import moment
from console.cli.commands import teal
from console.cli.ending import run_command
from console.printing import check_output
from tests.console import fixed_adapters

GOLDEN = Path(__file__).parent / "golden"
LATENCY = re.compile(r'("latency_ms": ?)\d+(?=,\n\s+"error")')

CASES = {
    "status.table": (0, ["status"]),
    "status.json": (0, ["status", "-o", "json"]),
    "run-list.table": (0, ["run", "list"]),
    "run-list.json": (0, ["run", "list", "-o", "json"]),
    "run-list.jsonl": (0, ["run", "list", "-o", "jsonl", "--fields", "ref,state,error"]),
    "run-list-fields.table": (0, ["run", "list", "--fields", "pipeline,state"]),
    "run-show.table": (0, ["run", "show", "production_data_pipeline@failed"]),
    "run-show.json": (0, ["run", "show", "airflow/production", "-o", "json"]),
    "run-log.table": (0, ["run", "log", "customer_360@latest"]),
    "quality-list.table": (0, ["quality", "list"]),
    "quality-list.json": (0, ["quality", "list", "-o", "json"]),
    "quality-show.table": (0, ["quality", "show", "transactions"]),
    "alert-list.table": (0, ["alert", "list"]),
    "alert-list.json": (0, ["alert", "list", "-o", "json"]),
    "alert-show.table": (0, ["alert", "show", "42"]),
    "deploy-status.table": (0, ["deploy", "status"]),
    "deploy-status.json": (0, ["deploy", "status", "analytics", "-o", "json"]),
    "open-run.table": (0, ["open", "production_data_pipeline@failed"]),
    "open-run.json": (0, ["open", "airflow/production", "-o", "json"]),
    "open-url.table": (0, ["open", "https://runbooks.example.com/quality/"]),
    "open-service.table": (0, ["open", "analytics"]),
    "open-nothing.json": (4, ["open", "nothing", "-o", "json"]),
    "log.table": (0, ["log"]),
    "error-list.table": (0, ["error", "list"]),
    "error-list.json": (0, ["error", "list", "-o", "json"]),
    "error-show.table": (0, ["error", "show", "sentry/ANALYTICS-7"]),
    "oncall.table": (0, ["oncall"]),
    "oncall-at.json": (0, ["oncall", "--at", "2026-11-21T19:00", "-o", "json"]),
    "trace-list.table": (0, ["trace", "list"]),
    "trace-show.table": (0, ["trace", "show", "a" * 32]),
    "trace-show.json": (0, ["trace", "show", "jaeger/" + "a" * 32, "-o", "json"]),
    "log.jsonl": (0, ["log", "-o", "jsonl"]),
    "check.nagios": (2, ["check"]),
    "check-one.nagios": (0, ["check", "api"]),
    "check-lost.nagios": (3, ["check", "vault"]),
    "check-list.nagios": (0, ["check", "--list"]),
    "check.json": (2, ["check", "-o", "json"]),
    "check.junit": (2, ["check", "-o", "junit"]),
    "check.prom": (2, ["check", "-o", "prom"]),
    "check-range.nagios": (1, ["check", "api", "--warning", "0.01", "--critical", "~:0.1"]),
    "check-usage.nagios": (3, ["check", "api", "--warning", "soon"]),
    "check-usage.json": (3, ["check", "--warning", "1", "-o", "json"]),
    "check-not-found.junit": (3, ["check", "nothing", "-C", "production", "-o", "junit"]),
    "check-not-found.prom": (3, ["check", "nothing", "-C", "production", "-o", "prom"]),
    "context-list.json": (0, ["context", "list", "-o", "json", "--fields", "name,title,protected,default"]),
    "plugins.jsonl": (
        0,
        ["plugins", "--limit", "2", "-o", "jsonl", "--fields", "port,type,package,api,problem"],
    ),
    "not-found.json": (5, ["run", "show", "nothing", "-o", "json"]),
    "no-service.json": (5, ["deploy", "status", "nothing", "-o", "json"]),
    "usage.json": (2, ["run", "list", "--since", "soon", "-o", "json"]),
}


@pytest.fixture
def fixed_world(tmp_path, monkeypatch):
    config = tmp_path / "config.toml"
    config.write_text(fixed_adapters.CONFIG)
    config.chmod(0o600)
    monkeypatch.setenv("TEAL_CONFIG", str(config))
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(registry, "ADAPTERS", {**registry.ADAPTERS, **fixed_adapters.ADAPTERS})
    monkeypatch.setattr(moment, "utc_now", lambda: fixed_adapters.NOW)
    monkeypatch.setattr(check_output, "host_name", lambda: "ops-1")


@pytest.mark.parametrize("name", CASES)
def test_output_is_as_recorded(name, fixed_world, capsys, monkeypatch):
    expected_code, arguments = CASES[name]
    monkeypatch.setattr("sys.argv", ["teal", *arguments])
    code = run_command(teal, arguments)
    printed = LATENCY.sub(r"\g<1>0", capsys.readouterr().out)
    path = GOLDEN / name
    if os.environ.get("TEAL_UPDATE_GOLDEN"):
        path.write_text(printed)
    assert code == expected_code
    assert printed == path.read_text()


def test_every_recorded_file_has_a_case():
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(CASES)
