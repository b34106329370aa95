"""A source that its message names already is not named twice."""

from pathlib import Path

import pytest

from tests.console.test_foreground import Teal
from tests.console.test_orphan_commands import said


@pytest.mark.parametrize("wrong", ['target_groups = "x"', "region = 3"])
async def test_it_is_named_once(tmp_path: Path, wrong: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[contexts.c]\n[[contexts.c.deployments]]\nname = "web"\ntype = "alb"\n{wrong}\n')
    config.chmod(0o600)
    _, out, err = await said(Teal(tmp_path, config), "deploy", "status")
    assert "deployments.web: " in err
    assert "deployments.web: deployments.web: " not in out + err
