"""A console that runs goes by the config that it has read, and says where that was edited since."""

import asyncio
import os
from pathlib import Path

import pytest

from console.config.edited import ConfigFiles
from tests.console.fakes import FakeContext, FakeSession
from tests.console.screens.test_overview import console, text


async def test_an_edit_is_told_until_it_is_taken_back(tmp_path: Path) -> None:
    path, beside = tmp_path / "config.toml", tmp_path / "production.toml"
    path.write_text("a = 1\n")
    files = ConfigFiles([path, beside, path], look_s=0)
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


async def test_they_are_looked_at_once_for_all_who_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    path.write_text("a = 1\n")
    files, looks = ConfigFiles([path]), 0

    def look(*_: object) -> dict[Path, tuple[int, int]]:
        nonlocal looks
        looks += 1
        return {path: (looks, 0)}

    monkeypatch.setattr(ConfigFiles, "_look", look)
    assert await asyncio.gather(files.edited(), files.edited()) == ["", ""]
    assert await files.edited() == ""
    assert looks == 1


async def test_the_strip_says_that_the_config_was_edited(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("a = 1\n")
    session = FakeSession(FakeContext())  # what is wrong would come first
    session.config_files = ConfigFiles([path], look_s=0)
    async with console(session) as (app, overview, pilot):
        assert "config.toml" not in text(app)
        path.write_text("a = 22\n")
        overview._tick()
        await app.workers.wait_for_complete()
        overview._tick()
        await pilot.pause()
        assert "config.toml was edited since this console read it: q, then start it again" in text(app)
