"""In every phase: it ends at its `--timeout`, an edit from outside is seen, an order is obeyed at once."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from actions.models import Action, Request
from actions.outcome import exit_code
from backends.errors import BackendError
from tests.actions.hanging import Bench
from tests.own_time import Watch

FLIP = Request(kind="flip", service="svc", to="green")
HALF = replace(FLIP, strategy="half")
RELEASE = Request(kind="release", service="svc", version="2.0")
BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
DEADLINE_S = 2.5  # from the order: what comes before the phase takes its part of it
WITH_ALL_BEFORE_S = 4.0  # the same for the phases that come last
LATE_S = 3.0
EDITED = {"blue": 70, "green": 30}

Hang = Callable[[Bench], Awaitable[Action]]
T: dict[str, float | None] = {"timeout_s": None}


def _phase(name: str) -> Callable[[Action], bool]:
    return lambda action: action.phase == name


async def preflight(bench: Bench) -> Action:
    bench.on_launch = lambda: setattr(bench.switch, "at", "preflight")
    return await bench.sees(await bench.begin(replace(FLIP, **T)), _phase("preflight"))


async def deploy(bench: Bench) -> Action:
    bench.switch.at = "deploy"
    action = await bench.begin(replace(RELEASE, **T))
    await bench.switch.hung.wait()
    return await bench.sees(action, _phase("deploy"))


async def health(bench: Bench) -> Action:
    return await bench.sees(await bench.begin(replace(RELEASE, version="2.0-sick", **T)), _phase("health"))


async def smoke(bench: Bench) -> Action:
    bench.config["smoke"] = ["sleep", "600"]
    return await bench.sees(await bench.begin(replace(RELEASE, **T)), _phase("smoke"))


async def paused_before_traffic(bench: Bench) -> Action:
    action = await health(bench)
    await bench.order(action, "pause")
    bench.switch.healthy["green"] = True
    return await bench.sees(action, lambda found: found.status == "paused")


async def shift(bench: Bench) -> Action:
    bench.switch.at = "shift"
    action = await bench.begin(replace(FLIP, **T))
    await bench.switch.hung.wait()
    return action


async def verify(bench: Bench) -> Action:
    action = await _lying(bench, replace(FLIP, **T))
    return await bench.sees(action, _phase("verify"))


async def verify_a_split(bench: Bench) -> Action:
    action = await _lying(bench, replace(HALF, **T))
    return await bench.sees(action, _phase("verify[50]"))


async def _lying(bench: Bench, request: Request) -> Action:
    """Fresh requests say BLUE for ever: as they should before traffic moves."""
    bench.switch.lying = "blue"
    return await bench.begin(request)


async def analyse(bench: Bench) -> Action:
    bench.config["stage_time"] = "600s"
    return await bench.sees(await bench.begin(replace(HALF, **T)), _phase("analyse[50]"))


async def held(bench: Bench) -> Action:
    bench.config["stage_time"] = "1s"
    action = await bench.sees(await bench.begin(replace(HALF, **T)), _phase("analyse[50]"))
    bench.switch.hidden = True
    return await bench.sees(action, lambda found: found.status == "paused" and found.hold is not None)


async def paused_at_half(bench: Bench) -> Action:
    action = await analyse(bench)
    await bench.order(action, "pause")
    return await bench.sees(action, lambda found: found.status == "paused")


async def bake(bench: Bench) -> Action:
    bench.config["bake"] = "600s"
    return await bench.sees(await bench.begin(replace(FLIP, **T)), _phase("bake"))


async def smoke_in_the_bake(bench: Bench) -> Action:
    bench.config["smoke"] = ["sh", "-c", 'test -e "$0" && exec sleep 600; touch "$0"', str(bench.directory / "smoked")]
    return await bench.sees(await bench.begin(replace(RELEASE, **T)), _phase("bake"))


async def paused_at_full(bench: Bench) -> Action:
    action = await bake(bench)
    await bench.order(action, "pause")
    return await bench.sees(action, lambda found: found.status == "paused")


BEFORE: tuple[Hang, ...] = (preflight, deploy, health, smoke, paused_before_traffic, shift)
SPLITTING: tuple[Hang, ...] = (verify, verify_a_split, analyse, held, paused_at_half)
FULL: tuple[Hang, ...] = (bake, smoke_in_the_bake, paused_at_full)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    T["timeout_s"] = None
    async with Bench(tmp_path) as bench:
        yield bench


def nothing_runs(action: Action) -> bool:
    return not [step.name for step in action.steps if step.status == "running"]


@pytest.mark.parametrize("hang", [*BEFORE, *SPLITTING], ids=lambda hang: hang.__name__)
async def test_its_deadline_ends_every_phase(bench: Bench, hang: Hang) -> None:
    T["timeout_s"] = DEADLINE_S
    watch = Watch()
    action = await hang(bench)
    ended = await bench.sees(action, lambda found: not found.open)
    assert watch.seconds() < DEADLINE_S + LATE_S
    assert (ended.status, exit_code(ended)) == ("aborted" if hang in BEFORE else "rolled_back", 1)
    assert ended.error is not None
    assert (ended.error.kind, "out of time (--timeout 2.5s)" in ended.error.message) == ("deadline", True)
    assert bench.switch.weights == BLUE
    assert nothing_runs(ended)
    assert (await bench.gate.verify_audit()).intact


@pytest.mark.parametrize("hang", FULL, ids=lambda hang: hang.__name__)
async def test_where_all_traffic_has_arrived_it_is_held_at_its_deadline(bench: Bench, hang: Hang) -> None:
    T["timeout_s"] = WITH_ALL_BEFORE_S
    began, watch = time.monotonic(), Watch()
    action = await hang(bench)
    found = await bench.sees(action, lambda found: found.hold is not None and found.status == "paused")
    assert time.monotonic() - began > WITH_ALL_BEFORE_S - 0.2
    assert watch.seconds() < WITH_ALL_BEFORE_S + LATE_S
    assert (found.status, exit_code(found), bench.switch.weights) == ("paused", 8, GREEN)
    assert found.hold is not None
    assert found.hold.until is None
    await bench.order(action, "rollback")
    assert (await bench.sees(action, lambda found: not found.open)).status == "rolled_back"


# But for `shift`: a write that hangs is looked for when it has ended.
@pytest.mark.parametrize(
    "hang", [each for each in (*BEFORE, *SPLITTING, *FULL) if each is not shift], ids=lambda hang: hang.__name__
)
async def test_an_edit_from_outside_is_seen_in_every_phase(bench: Bench, hang: Hang) -> None:
    action = await hang(bench)
    bench.switch.write_by_hand(EDITED)
    watch = Watch()
    found = await bench.sees(action, lambda found: found.status in ("conflict", "aborted"))
    assert watch.seconds() < 2.5
    assert (found.status, exit_code(found)) == ("aborted" if hang in BEFORE else "conflict", 6)
    assert nothing_runs(found)
    assert bench.switch.weights == EDITED
    assert found.error is not None
    assert "BLUE 70 %, GREEN 30 %" in found.error.message


@pytest.mark.parametrize("hang", [*BEFORE, *SPLITTING, *FULL], ids=lambda hang: hang.__name__)
async def test_an_abort_is_obeyed_in_every_phase(bench: Bench, hang: Hang) -> None:
    action = await hang(bench)
    watch = Watch()
    await bench.order(action, "abort")
    ended = await bench.sees(action, lambda found: not found.open)
    assert watch.seconds() < 2.0
    assert (ended.status, bench.switch.weights) == ("aborted" if hang in BEFORE else "rolled_back", BLUE)
    assert nothing_runs(ended)


async def test_planning_ends_in_time(bench: Bench) -> None:
    bench.switch.at = "preflight"
    watch = Watch()
    with pytest.raises(BackendError, match="planning was not done within --timeout 300ms") as caught:
        await bench.gate.plan(replace(FLIP, timeout_s=0.3))
    assert caught.value.kind == "timeout"
    assert watch.seconds() < 1
    with pytest.raises(BackendError, match="--timeout 0s leaves no time to plan"):
        await bench.gate.plan(replace(FLIP, timeout_s=0.0))
    assert await bench.gate.actions() == []
