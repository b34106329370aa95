"""The entry that a runner would go by, asked by a console that was opened before its file was edited."""

from pathlib import Path

import pytest

from actions.described import KeptEntry
from backends.errors import BackendError
from console.config.load import load_config, pick_context
from console.config_targets import ConfigTargets
from console.entry_now import EntryNow
from console.reading.adapters import Adapters

ROW = KeptEntry(port="deployments", type="file-switch", name="analytics")


def written(path: Path, more: str = "") -> None:
    path.write_text(
        f'[contexts.c]\n[[contexts.c.deployments]]\nname = "analytics"\ntype = "file-switch"\npath = "s.json"\n{more}'
    )
    path.chmod(0o600)


async def test_it_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    written(path)
    context = pick_context(load_config(path), "c")
    adapters = Adapters(context)
    entry_now = EntryNow(context, lambda: ConfigTargets(context, adapters))
    as_read = await entry_now(ROW)
    written(path, "# a remark\n")
    assert (await entry_now(ROW)).digest == as_read.digest
    written(path, 'bake = "7s"\n')
    edited = await entry_now(ROW)
    assert (edited.digest == as_read.digest, edited.config["bake"]) == (False, "7s")
    path.write_text("[contexts")
    with pytest.raises(BackendError) as broken:
        await entry_now(ROW)
    assert broken.value.kind == "config"
    await adapters.aclose()
