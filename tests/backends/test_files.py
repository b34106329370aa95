"""A pipe under the name of a file: nobody waits for who may write into it, whatever reads the name."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actions.journal.lease import is_held, take
from backends.deployments.file_store import locked, read_bounded, replace_file
from backends.deployments.nginx.include import accepting_workers
from backends.errors import BackendError
from backends.files import NotRegular, Planted, open_plain, open_regular, read_regular, write_plain
from backends.http import Http
from backends.pipelines.local import lock as local_lock
from backends.registry import AdapterContext, build
from backends.settings import Secret, SecretError
from backends.state_file import StateFile

QUICKLY_S = 5.0
HEALTH = {"blue": "http://127.0.0.1:1/", "green": "http://127.0.0.1:1/"}


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o600)
    return path


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert (read_regular(path), read_regular(path, 3)) == (b"12345", b"123")
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)


async def quickly(call: Callable[[], Any]) -> Any:
    async with asyncio.timeout(QUICKLY_S):
        return await asyncio.to_thread(call)


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (read_regular, NotRegular),
        (lambda path: read_bounded(path, 10), BackendError),
        (lambda path: StateFile(path).read(), NotRegular),
        (open_regular, NotRegular),
    ],
)
async def test_a_pipe_is_no_file(pipe: Path, read: Callable[[Path], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        await quickly(lambda: read(pipe))


async def test_a_pipe_is_no_lock_that_anybody_waits_for(pipe: Path) -> None:
    assert await quickly(lambda: is_held(pipe)) is False
    assert await quickly(lambda: accepting_workers(pipe)) == set()

    def take() -> None:
        os.mkfifo(pipe.with_name("file.lock"))
        with pytest.raises(BackendError, match="not a regular file"), locked(pipe.with_name("file")):
            pass

    await quickly(take)


def test_what_a_hand_writes_while_a_file_is_made_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "file", os.fsync
    path.write_bytes(b"before")
    replace_file(path, b"first", of=b"before")

    def fsync(descriptor: int) -> None:
        path.write_bytes(b"by hand")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(BackendError, match="in the same moment") as caught:
        replace_file(path, b"second", of=b"first")
    assert (caught.value.kind, path.read_bytes()) == ("conflict", b"by hand")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "file-switch", "path": "pipe"},
        {
            "type": "nginx", "include": "pipe", "upstream": "u", "servers": {"blue": ["b:1"], "green": ["g:1"]},
            "stamp_url": "http://127.0.0.1:1/__color",
        },
    ],
)  # fmt: skip
async def test_a_switch_that_is_a_pipe_says_so_at_once(pipe: Path, entry: dict[str, Any]) -> None:
    http = Http()
    kind = entry["type"]
    settings = {key: value for key, value in entry.items() if key != "type"} | {"health": HEALTH}
    adapter = build("deployments", kind, settings, AdapterContext("s", pipe.parent, pipe.parent, http))
    async with asyncio.timeout(QUICKLY_S):
        with pytest.raises(BackendError, match="not a regular file") as caught:
            await adapter.observe()
        assert (caught.value.kind, "put a file in its place" in caught.value.fix) == ("unreachable", True)
        found = await adapter.deployment()
        assert (found.live, "not a regular file" in found.truth.control.detail) == ("unknown", True)
        assert adapter.manual_commands({"blue": 100, "green": 0})
    await adapter.aclose()
    await http.aclose()


async def test_a_secret_that_is_a_pipe_is_refused_at_once(pipe: Path) -> None:
    async with asyncio.timeout(QUICKLY_S):
        with pytest.raises(SecretError, match="not a regular file"):
            await Secret(file=str(pipe)).resolve(pipe.parent)


def _switch_lock(path: Path) -> None:
    path.rename(path.with_name("switch.lock"))
    with locked(path.with_name("switch")):
        pass


def _state_lock(path: Path) -> None:
    path.rename(path.with_name(".state.lock"))
    with StateFile(path.with_name("state")).locked():
        pass


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to], ids=["symbolic", "hard"])
@pytest.mark.parametrize(
    "opens",
    [
        take, _switch_lock, _state_lock,
        lambda path: local_lock.take(path, 0),
        lambda path: open_plain(path, os.O_WRONLY | os.O_APPEND),
        lambda path: write_plain(path, b"planted"),
    ],
)  # fmt: skip
def test_what_is_planted_under_a_name_is_not_followed(
    tmp_path: Path, opens: Callable[[Path], Any], link: Callable[[Path, Path], None]
) -> None:
    target, shared = tmp_path / "bashrc", tmp_path / "shared"
    shared.mkdir()
    target.write_text("mine")
    target.chmod(0o600)
    link(shared / "name", target)
    with pytest.raises((Planted, BackendError), match="take it away"):
        opens(shared / "name")
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("mine", 0o600)


def test_a_link_to_nothing_makes_no_file_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "cron")
    with pytest.raises(Planted):
        take(tmp_path / "link")
    replace_file(tmp_path / "link", b"ours", mode=0o600)
    assert ((tmp_path / "link").is_symlink(), (tmp_path / "link").read_bytes()) == (False, b"ours")
    assert not (tmp_path / "cron").exists()


def test_a_directory_that_is_a_link_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "owners").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Planted):
        take(tmp_path / "owners" / "A.lock")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_lock_of_ours_is_for_the_whole_group_and_an_older_one_keeps_its_mode(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert take(tmp_path / "new") is not None
    finally:
        os.umask(before)
    (tmp_path / "old").touch(mode=0o600)
    assert take(tmp_path / "old") is not None
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("new", "old")] == [0o660, 0o600]
