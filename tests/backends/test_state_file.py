"""What adapters keep between two processes is of what they are about, not of the name that a config gives it."""

import json
from pathlib import Path
from typing import Any

import pytest

from backends.http import Http
from backends.models import ColorState
from backends.ports import SwitchState
from backends.registry import AdapterContext, build
from backends.state_file import StateFile, state_file


def test_a_file_of_before_is_read_until_it_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "web.json").write_text("old")
    one, other = (state_file(tmp_path, "web", {path, "x"}, "json") for path in ("a", "b"))
    assert (one.read(), other.read()) == (b"old", b"old")
    one.replace(b"new")
    assert (one.read(), other.read(), (tmp_path / "web.json").read_text()) == (b"new", b"old", "old")
    assert state_file(tmp_path, "web", ["x", "a"], "json").read(2) == b"ne"
    assert StateFile(tmp_path / "none").read() is None


@pytest.mark.parametrize("kind", ["file-switch", "haproxy"])
async def test_two_configs_of_the_same_names_keep_their_own_notes(tmp_path: Path, kind: str) -> None:
    """A staging.toml and a prod.toml, each with a context `default` and a service `web`, of one user."""

    def deployer(config: str) -> Any:
        entry: dict[str, Any] = {
            "file-switch": {"path": f"{config}.json"},
            "haproxy": {"nodes": [f"{config}:1"], "backend": "app", "servers": {"blue": ["b"], "green": ["g"]}},
        }[kind]
        entry |= {"deploy": ["true"], "health": dict.fromkeys(("blue", "green"), "http://127.0.0.1:9/")}
        made = build("deployments", kind, entry, AdapterContext("web", tmp_path, tmp_path / "own", Http())).deployer

        async def observe() -> SwitchState:
            return SwitchState(weights={"blue": 100, "green": 0}, revision="1")

        async def health(_: str) -> ColorState:
            return ColorState()

        made._observe, made._health = observe, health
        return made

    (tmp_path / "own").mkdir()
    old = {"green": {"version": "1.0", "stamp": "A:deploy"}}
    (tmp_path / "own" / "web.deployed.json").write_text(json.dumps(old))
    prod, staging = deployer("prod"), deployer("staging")
    before = await prod.deployed("green")
    assert before.version == "1.0"
    await prod.deploy(before, "green", "2.0", replicas=None, stamp="B:deploy")
    assert ((await prod.deployed("green")).version, (await staging.deployed("green")).version) == ("2.0", "1.0")
