"""A headless command never loads Textual, and SQLAlchemy only where its config or a journal needs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "icalendar",
    "textual",
    "rich",
    "sqlalchemy",
    "alembic",
    "boto3",
    "botocore",
    "kubernetes",
    "prometheus_api_client",
    "jsonschema",
}

CONFIG = """
default_context = "c"
[contexts.c]
[[contexts.c.checks]]
name = "port"
type = "tcp"
host = "127.0.0.1"
port = 1
[[contexts.c.logs]]
name = "app"
type = "files"
paths = ["*.log"]
[[contexts.c.deployments]]
name = "analytics"
type = "file-switch"
path = "switch.json"
format = "json"
probe = { url = "http://127.0.0.1:1/health", header = "X-Environment" }
health = { blue = "http://127.0.0.1:1/health", green = "http://127.0.0.1:1/health" }
"""

RUN = """
import json, sys
sys.argv = ["teal", *json.loads(sys.argv[1])]
from console.cli.ending import run_command
from console.cli.commands import teal
code = run_command(teal)
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""

COMMANDS = [
    ["--version"],
    ["--help"],
    ["status"],
    ["status", "-o", "json"],
    ["check"],
    ["run", "list"],
    ["quality", "list"],
    ["alert", "list"],
    ["deploy", "status"],
    ["deploy", "history"],
    ["log"],
    ["error", "list"],
    ["oncall"],
    ["trace", "list"],
    ["action", "list"],
    ["audit", "list"],
    ["context", "list"],
    ["config", "show"],
    ["config", "schema"],
    ["schema"],
    ["doctor"],
    ["plugins"],
    ["completion", "bash"],
    ["sandbox", "status"],
]


def loaded_by(arguments: list[str], directory: Path) -> tuple[int, set[str]]:
    config = directory / "config.toml"
    config.write_text(CONFIG)
    config.chmod(0o600)
    ended = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(arguments)],
        env={"TEAL_CONFIG": str(config), "TEAL_STATE_DIR": str(directory / "state"), "HOME": str(directory)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    code, modules = json.loads(ended.stderr.splitlines()[-1])
    assert code != 70, ended.stderr
    return code, set(modules)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_headless_command_loads_nothing_heavy(arguments, tmp_path):
    _, modules = loaded_by(arguments, tmp_path)
    assert modules & HEAVY == set()


AWS_ENTRY = """
[[contexts.c.deployments]]
name = "model"
type = "alb"
aws = { region = "eu-central-1", endpoint_url = "http://127.0.0.1:1" }
timeout = "1s"
rules = ["arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener-rule/app/m/1/2/3"]
target_groups.blue = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/m-blue/1"
target_groups.green = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/m-green/1"
"""


@pytest.mark.parametrize(
    ("arguments", "asks"),
    [(["config", "show"], False), (["run", "list"], False), (["check", "port"], False), (["deploy", "status"], True)],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_boto3_is_loaded_when_something_of_aws_is_asked_for_and_not_before(arguments, asks, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.CONFIG", CONFIG + AWS_ENTRY)
    _, modules = loaded_by(arguments, tmp_path)
    assert ("boto3" in modules) is asks


def test_the_version_loads_neither_config_nor_http(tmp_path):
    code, modules = loaded_by(["--version"], tmp_path)
    assert code == 0
    assert modules & {"httpx", "asyncio", "tomllib", "zoneinfo"} == set()


LATER = {
    "backends.ports", "backends.http", "console.reading.tail", "console.reading.episode_file",
    "console.screens.prompt", "console.screens.too_small", "console.screens.menu", "console.screens.parts",
    "actions.gate", "hashlib", "httpx", "sqlalchemy", "click",
}  # fmt: skip
FIRST_PAINT = "import sys, console.cli.main, console.cli.console, console.app, console.driver; print(*sys.modules)"


def test_what_the_first_paint_needs_not_is_not_loaded_before_it() -> None:
    """Each is 0.3 to 3 ms of the 40 that the console may take longer than an empty app."""
    ended = subprocess.run([sys.executable, "-c", FIRST_PAINT], capture_output=True, text=True, timeout=60, check=True)
    assert LATER & set(ended.stdout.split()) == set()
