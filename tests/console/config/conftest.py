"""`teal config validate` over a text."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.cli.commands import teal
from console.cli.ending import run_command
from tests.console.config.written import Validate


@pytest.fixture
def validate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Validate:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("TEAL_CONTEXT", raising=False)
    config = tmp_path / "config.toml"
    monkeypatch.setenv("TEAL_CONFIG", str(config))

    def run(text: str, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        config.write_text(text)
        capsys.readouterr()
        code = run_command(teal, ["config", "validate", "-o", "json", *arguments])
        return code, json.loads(capsys.readouterr().out)["items"]

    return run
