"""`teal deploy release` and `rollback` over a route, from the command line and under load: shares of 10, 50 and 100
percent lose no request, and what is not a weight is as it was, byte for byte."""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from tests.live.kubernetes import Cluster
from tests.live.routes import KINDS, Routed, routed
from tests.live.teal import CommandLine
from tests.load import Load

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]

RPS = 40.0
STAGED: dict[str, Any] = {"stages": {"gradual": [10, 50, 100]}, "stage_time": "500ms", "bake": "1s"}
YES = ("-y", "--reason", "go")


def teal_over(space: Routed, home: Path) -> CommandLine:
    home.mkdir()
    return CommandLine(home, {"type": space.kind, **space.config(**STAGED)})


async def there_and_back(space: Routed, teal: CommandLine) -> str:
    """A line with what was seen."""
    before = space.without_weights()
    async with Load(space.url(path="/work"), RPS) as load:
        order = ("deploy", "release", "analytics", "--version", "2.4.1", "--strategy", "gradual")
        released = await teal.action(*order, *YES)
        assert (released["exit"], released["status"]) == (0, "succeeded"), released
        assert (space.weights(), space.without_weights()) == ({"blue": 0, "green": 100}, before)
        assert (space.tag("green"), space.tag("blue")) == ("2.4.1", "2.4.0")
        assert [step["name"] for step in released["steps"] if step["name"].startswith("shift")] == [
            "shift[10]", "shift[50]", "shift[100]",
        ]  # fmt: skip
        pressed = time.monotonic()
        back = await teal.action("deploy", "rollback", "analytics", *YES)
        assert (back["exit"], back["status"]) == (0, "succeeded"), back
        await asyncio.sleep(0.3)
    assert (space.weights(), space.without_weights()) == ({"blue": 100, "green": 0}, before)
    assert load.lost == []
    assert set(load.colors()) == {"blue", "green"}
    notes = space.get_route()["metadata"]["annotations"]
    assert notes["tealdeck.io/op"] == notes["tealdeck.io/ended"] == f"{back['id']}:shift-back"
    words = f"{len(load.seen)} requests, 0 lost; all-old-color {load.last_of('green', pressed):.2f} s after the command"
    return f"{space.kind}: 10/50/100 and back under {RPS:g} requests/s: {words}"


async def edited_in_between(space: Routed, teal: CommandLine) -> None:
    order = ("deploy", "flip", "analytics", "--to", "green", "--reason", "go")
    planned = await teal.action(*order, "--dry-run")
    assert (planned["exit"], planned["status"]) == (0, "planned"), planned
    space.weigh({"blue": 99, "green": 1})
    refused = await teal.action(*order, "-y", "--plan-hash", planned["plan_hash"])
    assert refused["exit"] == 6, refused
    assert space.weights() == {"blue": 99, "green": 1}


async def test_a_release_by_shares_and_its_rollback_lose_no_request_and_restore_all_else(
    kube: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both kinds at once: a proof of a share takes 200 requests, and nothing but time."""
    with contextlib.ExitStack() as stack:
        spaces = [stack.enter_context(routed(kube, kind)) for kind in KINDS]
        teals = [teal_over(space, tmp_path / space.kind) for space in spaces]
        lines = await asyncio.gather(*map(there_and_back, spaces, teals))
        await asyncio.gather(*map(edited_in_between, spaces, teals))
    with capsys.disabled():
        print("", *lines, sep="\n", end=" ")
