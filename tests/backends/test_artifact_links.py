"""One artifact is listed once, and a link that nobody can follow costs itself only."""

import os
from pathlib import Path

from backends.artifacts.reading import Artifacts
from backends.aws.access import AwsAccess


async def listed(root: Path) -> tuple[list[str], list[str]]:
    artifacts = Artifacts(str(root), base_dir=root, access=AwsAccess(), timeout_s=10)
    try:
        found, closed = await artifacts.find(lambda name: name.endswith(".json"))
        return sorted(one.name for one in found), sorted(one.name for one in closed)
    finally:
        await artifacts.aclose()


async def test_second_names_of_one_file(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/1.json").write_text("{}")
    (tmp_path / "latest.json").symlink_to("runs/1.json")
    os.link(tmp_path / "runs/1.json", tmp_path / "runs/hard-1.json")
    (tmp_path / "loop").symlink_to(".")
    assert await listed(tmp_path) == (["runs/1.json"], [])


async def test_a_link_to_what_is_called_otherwise(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("{}")
    (tmp_path / "run.json").symlink_to("blob")
    assert await listed(tmp_path) == (["run.json"], [])


async def test_links_that_nobody_can_follow(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "self.json").symlink_to("self.json")
    (tmp_path / "gone.json").symlink_to("nowhere")
    (tmp_path / "gone.txt").symlink_to("nowhere")
    assert await listed(tmp_path) == (["run.json"], ["gone.json", "self.json"])
