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
