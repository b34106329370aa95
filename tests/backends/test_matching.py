"""The files of globs: each once, whatever leads to it; as `glob` has them where nothing leads back."""

import glob
import os
from pathlib import Path

import pytest

from backends.matching import Matches, matching
from tests.backends.unreadable import shut


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def look(root: Path, *patterns: str, most: int = 1000) -> Matches:
    return matching([str(root / pattern) for pattern in patterns], most=most)


def names(root: Path, *patterns: str) -> list[str]:
    return [str(match.path.relative_to(root)) for match in look(root, *patterns).found]


@pytest.mark.parametrize(
    "pattern",
    ["*", "**", "*.log", "**/*.log", "**/a.log", "a/**", "a/**/*.log", "*/b/*.log", "**/b/*", "**/b/**/*.log",
     "**/**/c", "a/../a/*.log", "a/a.log", "none/*.log", ".h/*", "**/.h*", ".*", "[ab]/*",
     "a/?.log", "**/b/../a.log", "a.log/*"],
)  # fmt: skip
def test_what_matches_is_what_glob_has(tmp_path: Path, pattern: str) -> None:
    put(
        tmp_path, "a.log", "a/a.log", "a/b/c.log", "a/b/c/d.log", "b/x", ".h/a.log", "a/.h/b.log", ".h.log", "z/b/e.log"
    )
    theirs = {os.path.normpath(path) for path in glob.glob(str(tmp_path / pattern), recursive=True)}
    found = look(tmp_path, pattern)
    mine = {os.path.normpath(match.path) for match in found.found}
    assert {path for path in mine if Path(path).is_file()} == {path for path in theirs if Path(path).is_file()}
    assert bool(found.unmatched) == (not theirs)


def test_links_that_lead_back_lead_nowhere_new(tmp_path: Path) -> None:
    put(tmp_path, "logs/app.log", "logs/in/deep.log")
    for name in ("loop", "again", "in/up"):
        (tmp_path / "logs" / name).symlink_to(tmp_path / "logs")
    assert names(tmp_path, "logs/**/*.log", "**/*.log") == ["logs/app.log", "logs/in/deep.log"]


def test_the_shortest_path_names_a_file_and_a_link_comes_last(tmp_path: Path) -> None:
    put(tmp_path, "app-2026.log", "out/of/it/far.log")
    (tmp_path / "now.log").symlink_to("app-2026.log")
    (tmp_path / "here").symlink_to("out/of/it")
    os.link(tmp_path / "out/of/it/far.log", tmp_path / "far.log")
    assert names(tmp_path, "*.log", "here/*", "**/*.log") == ["app-2026.log", "far.log"]
    assert names(tmp_path, "here/*") == ["here/far.log"], "a link out of the tree is followed"


def test_a_broken_link_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "gone.log").symlink_to("nowhere")
    found = look(tmp_path, "*.log", "**/gone.log", "gone.log")
    assert [(Path(error.filename).name, error.strerror) for error in found.broken] == [
        ("gone.log", "a link to what is not there")
    ]
    assert len(found.unmatched) == 3


def test_a_link_to_itself_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "self.log").symlink_to("self.log")
    assert [Path(error.filename).name for error in look(tmp_path, "*.log", "**/*.log").closed] == ["self.log"]


def test_a_closed_directory_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.log", "shut/b.log")
    shut(monkeypatch, tmp_path / "shut")
    (found,) = look(tmp_path, "**/*.log", "shut/*.log", "*/*.log").closed
    assert (found.filename, found.strerror) == (str(tmp_path / "shut"), "Permission denied")


@pytest.mark.usefixtures("bound_by_modes")
def test_a_directory_that_may_be_listed_only_is_named_once(tmp_path: Path) -> None:
    put(tmp_path, "shut/a.log", "shut/b.log")
    (tmp_path / "shut").chmod(0o400)
    (found,) = look(tmp_path, "**/*.log").closed
    (tmp_path / "shut").chmod(0o700)
    assert found.filename == str(tmp_path / "shut")


def test_a_wide_tree_is_cut_and_says_so_and_the_top_comes_first(tmp_path: Path) -> None:
    put(tmp_path, "a/1/x.log", *(f"z/{number}.log" for number in range(50)))
    assert not look(tmp_path, "**/*.log").is_cut
    found = look(tmp_path, "**/*.log", most=20)
    assert found.is_cut
    assert len(found.found) < 20


def test_a_deep_tree_ends_and_says_so(tmp_path: Path) -> None:
    put(tmp_path, "top.log")
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(tmp_path)
        for _ in range(2200):  # longer than a path may be
            os.mkdir("d")
            os.chdir("d")
        os.chdir(before)
        found = look(tmp_path, "**/*.log", most=100_000)
        assert [match.path.name for match in found.found] == ["top.log"]
        assert [error.strerror for error in found.closed] == ["File name too long"]
    finally:
        os.chdir(tmp_path)
        while os.path.isdir("d"):
            os.chdir("d")
        while os.stat(".").st_ino != tmp_path.stat().st_ino:
            os.chdir("..")
            os.rmdir("d")
        os.chdir(before)
        os.close(before)
