"""`teal deploy release`, `flip` and `rollback` behind a load balancer that really routes, under load, by the command
line."""

import asyncio
import contextlib
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.alb import Bench, alb_bench
from tests.live.aws import ACCOUNT
from tests.live.guard import guarded
from tests.live.kubernetes import answering
from tests.live.moto import KEYS, REGION
from tests.live.process import until
from tests.live.teal import CommandLine
from tests.load import Load
from tests.two_colors import COLORS, TwoColors

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("aws-release")]
RPS = 30.0
FLIP = ("deploy", "flip", "analytics", "--to", "green", "--reason", "go")
ROUNDS = 3


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with alb_bench(tmp_path_factory.mktemp("aws")) as found:
        yield found


@pytest.fixture
async def colors(tmp_path: Path, bench: Bench) -> AsyncIterator[TwoColors]:
    async with bench.service(tmp_path) as service:
        await asyncio.to_thread(bench.reset)
        yield service


def teal_of(bench: Bench, colors: TwoColors, **more: Any) -> CommandLine:
    commands = {key: value for key, value in colors.config().items() if key in ("deploy", "retire")}
    given = {"bake": "1s", **commands}
    return CommandLine(colors.directory, {"type": "alb", **bench.entry(colors, rules=2, **given), **more}, KEYS)


async def test_a_release_and_its_rollback_lose_no_request(
    bench: Bench, colors: TwoColors, capsys: pytest.CaptureFixture[str]
) -> None:
    teal = teal_of(bench, colors, smoke=["true"])
    teal.cold = True
    async with contextlib.AsyncExitStack() as loads:
        load = [await loads.enter_async_context(Load(f"{url}/health", RPS)) for url in bench.urls]
        released = await teal.action("deploy", "release", "analytics", "--version", "2.5.0", "-y", "--reason", "go")
        assert (released["exit"], released["status"]) == (0, "succeeded"), released
        assert (bench.live(), colors.version("green"), colors.version("blue")) == ({"green"}, "2.5.0", "2.4.0")
        assert released["switch"]["errors"] == 0
        pressed = time.monotonic()
        back = await teal.action("deploy", "rollback", "analytics", "-y", "--reason", "slow")
        took = time.monotonic() - pressed
        assert (back["exit"], back["status"], back["changed"]) == (0, "succeeded", True), back
        assert bench.live() == {"blue"}
        await asyncio.sleep(0.5)
    assert [gone for one in load for gone in one.lost] == []
    with capsys.disabled():
        seen = sum(len(one.seen) for one in load)
        print(f"\nalb: release and rollback under {RPS * len(load):g} requests/s: {seen} requests, 0 lost", end="; ")
        print(f"last answer of the old side {back['switch']['last_old_s']} s after the write began", end=", ")
        print(f"the command took {took:.2f} s", end=" ")
    code, _, complaints = await teal.run("audit", "verify")
    assert code == 0, complaints


async def test_a_rollback_is_all_old_two_seconds_after_the_command_and_what_the_load_balancer_takes(
    bench: Bench, colors: TwoColors, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told by requests of the test's own, through both listeners, and counted from the command. What the load balancer
    takes is measured in the same round by a person's own writes, so that a busy machine slows both; the best round
    counts."""
    teal = teal_of(bench, colors, bake="0s")
    rounds = list[tuple[float, float]]()
    async with contextlib.AsyncExitStack() as loads:
        load = [await loads.enter_async_context(Load(f"{url}/health", RPS)) for url in bench.urls]

        async def all_old_s(pressed: float) -> float:
            await asyncio.sleep(1)
            return max(one.last_of("green", pressed) for one in load)

        for number in range(ROUNDS):
            again = ("--override", "rejected") if number else ()
            flipped = await teal.action(*FLIP, "-y", *again)
            assert (flipped["exit"], bench.live()) == (0, {"green"}), flipped
            pressed = time.monotonic()
            back = await teal.action("deploy", "rollback", "analytics", "-y", "--reason", "slow")
            assert (back["exit"], bench.live()) == (0, {"blue"}), back
            ours_s = await all_old_s(pressed)
            await moved_by_hand(bench, "green")
            pressed = time.monotonic()
            await moved_by_hand(bench, "blue")
            rounds.append((ours_s, await all_old_s(pressed)))
    assert [gone for one in load for gone in one.lost] == []
    with capsys.disabled():
        told = ", ".join(f"{ours:.2f} s ({hand:.2f} s by hand)" for ours, hand in rounds)
        print(f"\nalb: all old after a rollback, two listeners, from the command: {told}", end=" ")
    assert min(ours - hand for ours, hand in rounds) <= 2.0


async def moved_by_hand(bench: Bench, color: str) -> None:
    """As a person writes it, and waits until requests go there."""
    for rule in bench.balancer.rules:
        weights = {each: int(each == color) for each in COLORS}
        await asyncio.to_thread(bench.lab.weigh, rule, bench.balancer.groups, weights)
    for url in bench.urls:
        there = f"{url}/health"
        await asyncio.to_thread(until, lambda there=there: answering(there) == color, "requests follow")


@pytest.mark.parametrize("by_hand", [False, True])
async def test_without_a_journal_an_ended_action_is_taken_back_by_its_mark_unless_a_hand_has_done_so(
    bench: Bench, colors: TwoColors, by_hand: bool
) -> None:
    teal = teal_of(bench, colors)
    flipped = await teal.action(*FLIP, "-y")
    assert (flipped["exit"], bench.live()) == (0, {"green"}), flipped
    shutil.rmtree(colors.directory / "state")
    if by_hand:
        for rule in bench.balancer.rules:
            bench.lab.weigh(rule, bench.balancer.groups, {"blue": 100, "green": 0})
    back = await teal.action("deploy", "rollback", "analytics", "-y", "--reason", "lost")
    assert (back["exit"], back["changed"], bench.live()) == (0, not by_hand, {"blue"}), back
    assert "by-the-mark" in [finding["code"] for finding in back["findings"]]


async def test_a_rollback_asks_little_before_it_writes(
    bench: Bench, colors: TwoColors, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held to the calls, which load does not change: each is a round trip to AWS while a bad side has the traffic."""
    with guarded(bench.lab.endpoint_url) as guard:
        guard.allow([{"Action": ["*"]}])
        access = {**bench.lab.access, "endpoint_url": guard.url}
        teal = teal_of(bench, colors, aws=access)
        assert (await teal.action(*FLIP, "-y"))["exit"] == 0
        guard.calls.clear()
        back = await teal.action("deploy", "rollback", "analytics", "-y", "--reason", "slow")
        calls = [right.partition(":")[2] for right in guard.calls]
    assert (back["exit"], bench.live()) == (0, {"blue"}), back
    last = len(calls) - calls[::-1].index("ModifyRule")
    with capsys.disabled():
        print(f"\nalb: a rollback asks {Counter(calls[:last])} before its last write", end=" ")
    # Targets are looked at once a second at most, and for edits from outside each two: that is of load.
    assert sum(call != "DescribeTargetHealth" for call in calls[:last]) <= 32 + 6
    # What is only told is asked for a plan, and again as it is agreed to; by its runner no more.
    assert calls[:last].count("DescribeTargetGroupAttributes") == 2 * len(COLORS)


async def test_an_edit_between_plan_and_write_is_a_conflict(bench: Bench, colors: TwoColors) -> None:
    teal = teal_of(bench, colors)
    planned = await teal.action(*FLIP, "--dry-run")
    assert (planned["exit"], planned["status"]) == (0, "planned"), planned
    (who,) = (each["text"] for each in planned["findings"] if each["code"] == "identity")
    assert f"in account {ACCOUNT}, {REGION}" in who
    assert f"account {ACCOUNT}, {REGION}" in planned["plan"]["effects"][0]
    bench.lab.weigh(bench.balancer.rules[1], bench.balancer.groups, {"blue": 50, "green": 50})
    refused = await teal.action(*FLIP, "-y", "--plan-hash", planned["plan_hash"])
    assert refused["exit"] == 6, refused
    assert (bench.weights(0), bench.weights(1)) == ({"blue": 1, "green": 0}, {"blue": 50, "green": 50})


async def test_a_gradual_release_goes_through_its_shares_and_a_sick_one_gets_none(
    bench: Bench, colors: TwoColors
) -> None:
    teal = teal_of(bench, colors, stages={"gradual": [20, 100]}, stage_time="1s")
    release = ("deploy", "release", "analytics", "-y", "--reason", "go", "--version")
    async with Load(f"{bench.urls[0]}/health", RPS) as load:
        sick = await teal.action(*release, "2.5.0-sick", "--timeout", "20s")
        assert (sick["exit"], sick["status"], bench.live()) == (1, "aborted", {"blue"}), sick
        assert set(load.colors()) == {"blue"}
        ended = await teal.action(*release, "2.5.1", "--strategy", "gradual")
        assert (ended["exit"], ended["status"], bench.live()) == (0, "succeeded", {"green"}), ended
    assert load.lost == []
    steps = {step["name"]: step["status"] for step in ended["steps"]}
    assert steps["shift[20]"] == steps["verify[20]"] == steps["shift[100]"] == "succeeded"


async def test_what_can_not_be_has_the_exit_code_of_its_kind(bench: Bench, colors: TwoColors) -> None:
    """Each in one line with what to do, and nothing written."""
    access, rule = bench.lab.access, bench.balancer.rules[0]
    cases = {
        "another region": ({"aws": {**access, "region": "us-east-1"}}, 2, f"of region {REGION}"),
        "another account": ({"aws": {**access, "account": "111122223333"}}, 2, f"of account {ACCOUNT}"),
        "another caller": ({"aws": {**access, "role_arn": "arn:aws:iam::111122223333:role/x"}}, 4, "111122223333"),
        "no such rule": ({"rules": [rule[:-4] + "0000"]}, 5, "RuleNotFound"),
        "no such profile": ({"aws": {**access, "profile": "nobody"}}, 2, "nobody"),
    }
    for name, (more, code, said) in cases.items():
        refused = await teal_of(bench, colors, **more).action(*FLIP, "-y")
        assert (refused["exit"], bool(refused["errors"])) == (code, True), (name, refused)
        (error,) = refused["errors"][:1]
        assert said in error["message"], (name, error)
        assert error["fix"], name
        assert "\n" not in error["message"]
    assert (bench.weights(), bench.tags(rule)) == ({"blue": 1, "green": 0}, {})
