"""What others could change is not acted on: each way in which they could or not."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.commands import run_bounded
from backends.deployments.file_store import run_command
from backends.ownership import Unsafe, command_problem, refuse_unsafe, refuse_unsafe_command
from backends.settings import Secret, SecretError

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file two directories below a safe one."""
    path = tmp_path / "above" / "beside" / "file"
    path.parent.mkdir(parents=True, mode=0o755)
    path.write_text("#!/bin/sh\necho hello > ran\n")
    path.chmod(0o700)
    return path


def others(path: Path) -> None:
    path.chmod(path.stat().st_mode | stat.S_IWOTH)


def group(path: Path) -> None:
    os.chown(path, -1, 1)  # `daemon`: of whoever it may be, not ours alone
    path.chmod(path.stat().st_mode | stat.S_IWGRP)


def owner(path: Path) -> None:
    os.chown(path, NOBODY, -1)


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize(
    ("spoil", "words", "fix"),
    [
        (others, "others can write", "chmod go-w"),
        pytest.param(group, "the group daemon can write", "chmod g-w", marks=as_root),
        pytest.param(owner, "owned by nobody, who could", "chown root", marks=as_root),
    ],
)
def test_what_others_could_change_is_named(
    place: Path, depth: int, spoil: Callable[[Path], None], words: str, fix: str
) -> None:
    spoiled = (place, *place.parents)[depth]
    refuse_unsafe(place)
    spoil(spoiled)
    with pytest.raises(Unsafe) as caught:
        refuse_unsafe(place)
    assert caught.value.words.startswith(f"{spoiled}: {words}")
    assert caught.value.fix == f"{fix} {spoiled}"
    assert caught.value.fix in str(caught.value.strerror)


def test_a_sticky_directory_may_be_everybodys(place: Path) -> None:
    place.parent.chmod(0o1777)
    refuse_unsafe(place)
    others(place)
    with pytest.raises(Unsafe):
        refuse_unsafe(place)


@as_root
def test_a_sticky_directory_is_not_anothers(place: Path) -> None:
    place.parent.chmod(0o1777)
    owner(place.parent)
    with pytest.raises(Unsafe, match="owned by nobody, who could replace what is in it"):
        refuse_unsafe(place)


def test_a_link_is_as_safe_as_where_it_is_and_where_it_leads(place: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "link"
    link.symlink_to(os.path.relpath(place, link.parent))
    refuse_unsafe(link)
    others(link.parent)
    with pytest.raises(Unsafe, match="links: others can write this directory"):
        refuse_unsafe(link)
    link.parent.chmod(0o755)
    others(place.parent)
    with pytest.raises(Unsafe, match="beside: others can write this directory"):
        refuse_unsafe(link)


@as_root
def test_a_link_of_another_in_a_sticky_directory(place: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    link = tmp_path / "link"
    link.symlink_to(place)
    os.chown(link, NOBODY, -1, follow_symlinks=False)
    with pytest.raises(Unsafe) as caught:
        refuse_unsafe(link)
    assert caught.value.fix == f"chown -h root {link}"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match=r"[Tt]oo many"):
        refuse_unsafe(tmp_path / "a")


class Named:
    """A group or a user as the system tells of it."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


@pytest.mark.parametrize(
    ("name", "members", "also", "safe"),
    [
        ("me", [], [], True),
        ("me", ["me"], [], True),
        ("me", ["me", "mallory"], [], False),
        ("ops", [], [], False),
        ("me", [], [("mallory", 4711)], False),
    ],
)
def test_only_ones_own_private_group_may_write(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str, members: list[str], also: list[tuple[str, int]], safe: bool
) -> None:
    import grp
    import pwd

    me, gid = os.geteuid(), place.stat().st_gid
    users = [Named(pw_name="me", pw_uid=me, pw_gid=gid), *(Named(pw_name=n, pw_uid=u, pw_gid=gid) for n, u in also)]
    monkeypatch.setattr(grp, "getgrgid", lambda _: Named(gr_name=name, gr_mem=members))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: users[0])
    monkeypatch.setattr(pwd, "getpwall", lambda: users)
    place.chmod(0o770)
    if safe:
        refuse_unsafe(place)
        monkeypatch.setattr(os, "getxattr", lambda *_: b"a list of others")
    with pytest.raises(Unsafe):
        refuse_unsafe(place)


def test_a_path_is_quoted_in_what_to_run(tmp_path: Path) -> None:
    path = tmp_path / "a b; touch x"
    path.write_text("")
    others(path)
    with pytest.raises(Unsafe) as caught:
        refuse_unsafe(path)
    assert caught.value.fix == f"chmod go-w '{path}'"


async def test_a_command_that_others_could_change_is_not_run(place: Path) -> None:
    others(place)
    where = place.parent
    ended = await run_bounded(["./file"], where, timeout_s=5)
    assert (ended.status, "others can write it" in ended.why, "chmod go-w" in ended.why) == (None, True, True)
    assert "others can write it" in run_command(["./file"], where)
    with pytest.raises(SecretError) as caught:
        await Secret(command=("./file",)).resolve(where)
    assert caught.value.message.startswith(f"secret command {place}: others can write it")
    assert caught.value.fix == f"chmod go-w {place}"
    assert not (where / "ran").exists()


async def test_a_secret_file_that_others_could_change_is_no_secret(place: Path) -> None:
    assert (await Secret(file="file").resolve(place.parent)).startswith("#!")
    others(place.parent)
    with pytest.raises(SecretError, match=r"secret file .*beside: others can write this directory"):
        await Secret(file="file").resolve(place.parent)


def test_a_command_that_path_finds_is_as_safe_as_path_is(tmp_path: Path) -> None:
    refuse_unsafe_command(["sh", "-c", "true"], tmp_path)
    refuse_unsafe_command(["./not-there"], tmp_path)
    refuse_unsafe_command([], tmp_path)


def test_the_python_that_runs_this_is_as_safe_as_this(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's own config names it, also in a virtual environment of another user."""
    others(place)
    with pytest.raises(Unsafe):
        refuse_unsafe_command([str(place)], place.parent)
    monkeypatch.setattr(sys, "executable", str(place))
    refuse_unsafe_command([str(place)], place.parent)
    assert command_problem([str(place)], place.parent) is None


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sh", ""),
        ("./file", ""),
        ("no-such-command", "no command no-such-command"),
        ("./deply.sh", "deply.sh: no such file or directory"),
        ("./plain", "plain: not executable"),
        ("./", "not a file"),
    ],
)
def test_why_a_command_could_not_be_started(place: Path, command: str, words: str) -> None:
    (place.parent / "plain").write_text("")
    problem = command_problem([command], place.parent)
    assert (problem is None) if not words else (problem is not None and words in problem[0]), problem
