"""A deploy command that takes a side down first and then fails: the version is the old one, and nothing serves it."""

from pathlib import Path

from actions.models import Request
from tests.actions.house import House
from tests.two_colors import TwoColors

SCRIPT = 'case "$1" in *-boom) : > $0.version; exit 1;; *) echo $1 > $0.version;; esac'


async def test_a_side_that_a_failed_deploy_took_down_is_brought_up_again(tmp_path: Path, service: TwoColors) -> None:
    deploy = ["sh", "-c", SCRIPT, "{color}", "{version}"]
    async with House(tmp_path / "state", service, deploy=deploy, bake="100ms") as house:
        for version in ("2.4.9", "2.5.0"):  # each side has once been deployed to, and is remembered
            ended = await house.order(Request(kind="release", service="analytics", version=version))
            assert ended.status == "succeeded"
        assert service.version("green") == "2.4.9"
        ended = await house.order(Request(kind="release", service="analytics", version="2.6.0-boom"))
        assert (ended.status, service.version("green")) == ("aborted", "2.4.9")
        assert ended.error is not None
        assert "2.4.9 is back on GREEN" in ended.error.message


async def test_a_deploy_command_that_writes_to_the_live_side_has_changed_production(
    tmp_path: Path, service: TwoColors
) -> None:
    """It said "aborted (nothing changed)" and "production is unchanged: BLUE 100 % as before"."""
    deploy = ["sh", "-c", "echo $1 > blue.version", "{color}", "{version}"]
    async with House(tmp_path / "state", service, deploy=deploy, bake="100ms") as house:
        ended = await house.order(Request(kind="release", service="analytics", version="2.6.0", timeout_s=20.0))
        now_there = service.version("blue")
        assert now_there != "2.4.0"  # what was to be put back on GREEN went to BLUE, too
        assert (ended.status, ended.changed, service.weights()["blue"]) == ("aborted", True, 100)
        assert ended.error is not None
        assert f"BLUE, which has all traffic, runs {now_there} now: it ran 2.4.0 before" in ended.error.message
        assert "unchanged" not in ended.error.message
