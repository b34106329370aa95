"""`teal deploy release` and `rollback` on a real Kubernetes control plane, under load through the NodePort, from the
command line: what is good gets the traffic and loses no request, what is bad never gets any.
"""

import asyncio
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.kubernetes import IMAGE, Cluster, Namespace, namespace
from tests.live.process import until
from tests.live.teal import CommandLine
from tests.load import Load

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kubernetes")]

RPS = 40.0
SMOKE = """
import sys, urllib.request
for number in range(50):
    urllib.request.urlopen(sys.argv[1] + "/work", timeout=10).read()
print("50 of 50")
"""


@pytest.fixture(scope="module")
def shared(kube: Cluster) -> Iterator[Namespace]:
    with namespace(kube) as space:
        yield space


@pytest.fixture
def space(shared: Namespace) -> Namespace:
    shared.reset()
    return shared


class Teal(CommandLine):
    """The command line over the Service of a namespace."""

    def __init__(self, home: Path, space: Namespace, **config: Any) -> None:
        super().__init__(home, {"type": "kubernetes", **space.config(bake="1s", **config)})


@pytest.fixture
def teal(space: Namespace, tmp_path: Path) -> Teal:
    return Teal(tmp_path, space)


def print_line(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        print(f"\n{line}", end=" ")


async def test_a_release_and_its_rollback_lose_no_request(
    space: Namespace, teal: Teal, capsys: pytest.CaptureFixture[str]
) -> None:
    teal.cold = True
    async with Load(space.url(path="/work"), RPS) as load:
        released = await teal.action("deploy", "release", "analytics", "--version", "2.4.1", "-y", "--reason", "go")
        assert (released["exit"], released["status"], released["changed"]) == (0, "succeeded", True), released
        assert (space.color(), space.tag("green"), space.tag("blue")) == ("green", "2.4.1", "2.4.0")
        assert released["switch"]["errors"] == 0
        again = await teal.action("deploy", "release", "analytics", "--version", "2.4.1", "-y", "--reason", "go")
        assert (again["exit"], again["changed"]) == (0, False), again
        pressed = time.monotonic()
        back = await teal.action("deploy", "rollback", "analytics", "-y", "--reason", "slow")
        assert (back["exit"], back["status"], back["changed"]) == (0, "succeeded", True), back
        assert (space.color(), space.tag("green")) == ("blue", "2.4.1")
        await asyncio.sleep(0.5)
    assert load.lost == []
    assert set(load.colors()) == {"blue", "green"}
    words = f"{len(load.seen)} requests, 0 lost; all-old-color {load.last_of('green', pressed):.2f} s after the command"
    print_line(capsys, f"kubernetes: release and rollback under {RPS:g} requests/s: {words}")
    code, _, complaints = await teal.run("audit", "verify")
    assert code == 0, complaints
    notes = space.get_service()["metadata"]["annotations"]
    assert notes["tealdeck.io/op"] == f"{back['id']}:shift-back"


@pytest.mark.parametrize(
    ("version", "more", "says"),
    [
        ("2.5.0-sick", ("--timeout", "30s"), "status unhealthy"),
        ("2.5.0-crash", (), "CrashLoopBackOff"),
        ("2.5.0-pull", ("--timeout", "20s"), "ImagePullBackOff"),
        ("2.5.0-err20", (), "smoke failed"),
    ],
)
async def test_what_is_bad_never_gets_traffic_and_production_is_proven_unchanged(
    space: Namespace, tmp_path: Path, version: str, more: tuple[str, ...], says: str
) -> None:
    teal = Teal(tmp_path, space, smoke=[sys.executable, "-c", SMOKE, "{url}"])
    before = space.get_service()["spec"], [pod["metadata"]["uid"] for pod in space.pods("blue")]
    async with Load(space.url(path="/work"), RPS) as load:
        order = ("deploy", "release", "analytics", "--version", version, "-y", "--reason", "go", *more)
        ended = await teal.action(*order)
    assert (ended["exit"], ended["status"], ended["changed"]) == (1, "aborted", False), ended
    assert says in ended["error"]["message"]
    assert "production is unchanged" in ended["error"]["message"]
    assert load.lost == []
    assert set(load.colors()) == {"blue"}
    assert (space.get_service()["spec"], [pod["metadata"]["uid"] for pod in space.pods("blue")]) == before
    assert space.tag("green") == "2.4.0", "what was there is back"


async def test_a_viewer_is_refused_with_the_verb_that_is_missing(space: Namespace, tmp_path: Path) -> None:
    teal = Teal(tmp_path, space, kubeconfig=str(space.cluster.as_user("viewer")))
    order = ("deploy", "release", "analytics", "--version", "2.4.1", "-y", "--reason", "go")
    refused = await teal.action(*order)
    assert refused["exit"] == 4, refused
    assert "cannot get resource" in str(refused["errors"])
    resources = ["services", "pods", "endpoints", "deployments"]
    space.grant("viewer", [{"apiGroups": ["", "apps"], "resources": resources, "verbs": ["get", "list"]}])
    for command in (order, ("deploy", "flip", "analytics", "--to", "green", "-y", "--reason", "go")):
        refused = await teal.action(*command)
        assert refused["exit"] == 4, refused
        assert re.search(r"viewer at sim may not patch (services|deployments)", str(refused["errors"])), refused
    assert (space.color(), space.tag("green")) == ("blue", "2.4.0")


async def test_an_edit_of_the_selector_between_plan_and_write_is_a_conflict(space: Namespace, teal: Teal) -> None:
    order = ("deploy", "release", "analytics", "--version", "2.4.1", "--reason", "go")
    planned = await teal.action(*order, "--dry-run")
    assert (planned["exit"], planned["status"]) == (0, "planned"), planned
    space.select("green")
    refused = await teal.action(*order, "-y", "--plan-hash", planned["plan_hash"])
    assert refused["exit"] == 6, refused
    assert (space.color(), space.tag("green"), space.tag("blue")) == ("green", "2.4.0", "2.4.0")


async def test_an_edit_while_the_version_rolls_out_is_left_alone(space: Namespace, teal: Teal) -> None:
    order = ("deploy", "release", "analytics", "--version", "2.4.1-ready5", "-y", "--reason", "go")
    running = asyncio.create_task(teal.action(*order))
    await asyncio.to_thread(until, lambda: space.tag("green") == "2.4.1-ready5", "it is deployed", within=60)
    space.select("green")
    space.select("blue")
    ended = await running
    assert (ended["exit"], ended["status"], ended["changed"]) == (6, "aborted", False), ended
    assert space.color() == "blue"
    assert "tealdeck.io/op" not in space.get_service()["metadata"].get("annotations", {})


async def test_a_release_after_a_retirement_brings_the_side_up_again(space: Namespace, teal: Teal) -> None:
    retired = await teal.action("deploy", "retire", "analytics", "-y", "--reason", "done")
    assert (retired["exit"], retired["status"]) == (0, "succeeded"), retired
    await asyncio.to_thread(until, lambda: not space.pods("green"), "no pods", within=60)
    released = await teal.action("deploy", "release", "analytics", "--version", "2.4.2", "-y", "--reason", "go")
    assert (released["exit"], released["status"]) == (0, "succeeded"), released
    assert (space.color(), len(space.pods("green")), IMAGE in str(released)) == ("green", space.replicas, True)
