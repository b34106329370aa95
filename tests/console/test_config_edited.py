"""A console that runs goes by the config that it has read, and says where that was edited since."""

import os
from pathlib import Path

from console.config.edited import ConfigFiles
from tests.console.fakes import FakeContext, FakeSession
from tests.console.screens.test_overview import console, text


async def test_an_edit_is_told_until_it_is_taken_back(tmp_path: Path) -> None:
    path, beside = tmp_path / "config.toml", tmp_path / "production.toml"
    path.write_text("a = 1\n")
    files = ConfigFiles([path, beside, path])
    read = path.stat()
    assert await files.edited() == ""
    path.write_text("a = 22\n")
    assert await files.edited() == "config.toml"
    path.write_text("a = 1\n")
    os.utime(path, ns=(read.st_atime_ns, read.st_mtime_ns))
    assert await files.edited() == ""
    beside.touch()
    assert await files.edited() == "production.toml"
    beside.unlink()
    path.unlink()
    assert await files.edited() == "config.toml"


async def test_the_strip_says_that_the_config_was_edited(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("a = 1\n")
    session = FakeSession(FakeContext(config_files=(path,)))  # what is wrong would come first
    async with console(session) as (app, overview, pilot):
        assert "config.toml" not in text(app)
        path.write_text("a = 22\n")
        overview._tick()
        await app.workers.wait_for_complete()
        overview._tick()
        await pilot.pause()
        assert "config.toml was edited since this console read it: q, then start it again" in text(app)
