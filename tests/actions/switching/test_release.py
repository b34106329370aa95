"""A release from the order to its end: what never reaches traffic, what is put back, and what is proven of the rest."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions.models import Action, Refused, Request
from actions.outcome import exit_code
from actions.starting import start
from actions.switching import deploying
from actions.switching import machine as switching
from actions.work import Work
from backends.deployments.command_deployer import CommandDeployer
from backends.errors import BackendError
from backends.ports import Rollout
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.two_colors import TwoColors

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}
RELEASE = Request(kind="release", service="analytics", version="2.5.0")
RETIRE = Request(kind="retire", service="analytics", overrides=("rollback-window",))
WITH_REASON = replace(YES, reason="we are sure")


def statuses(action: Action) -> dict[str, str]:
    return {step.name: step.status for step in action.steps}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not healthy at once will not be: these services do not start up."""
    monkeypatch.setattr(switching, "HEALTH_S", 0.5)
    monkeypatch.setattr(deploying, "RESTORE_S", 0.5)


async def test_it_deploys_to_the_idle_color_then_moves_the_traffic(tmp_path: Path, service: TwoColors) -> None:
    smoke = ("sh", "-c", "echo smoke of $0 $1 $2 at $3", "{service}", "{color}", "{version}", "{url}")
    async with House(tmp_path / "state", service, smoke=smoke) as house:
        plan = await house.gate.plan(RELEASE)
        assert any("2.4.1 → 2.5.0 on GREEN" in line for line in plan.summary.effects)
        ended = await house.order(RELEASE)
        assert (ended.status, ended.error, ended.changed, exit_code(ended)) == ("succeeded", None, True, 0)
        assert (ended.version, ended.from_, ended.to) == ("2.5.0", "blue", "green")
        assert (service.weights(), service.version("green"), service.version("blue")) == (GREEN, "2.5.0", "2.4.0")
        names = ("preflight", "deploy", "health", "smoke", "shift", "verify", "bake")
        assert statuses(ended) == dict.fromkeys(names, "succeeded")
        (said,) = [step.detail for step in ended.steps if step.name == "smoke"]
        assert said == f"smoke of analytics green 2.5.0 at {service.url('green', '')}"
        again = await house.order(RELEASE)
        assert (again.status, again.changed, exit_code(again)) == ("succeeded", False, 0)
        back = await house.order(ANALYTICS_ROLLBACK)
        assert (back.status, service.weights()) == ("succeeded", BLUE)


@pytest.mark.parametrize(
    ("version", "config", "why"),
    [
        ("2.5.0-sick", {}, "unhealthy"),
        ("2.5.0", {"smoke": ("sh", "-c", "echo 7 of 50 answers are errors; exit 3")}, "7 of 50 answers are errors"),
        ("2.5.0", {"smoke": ("no-such-program",)}, "no-such-program"),
        ("2.5.0", {"deploy": ("sh", "-c", "echo no such artifact; exit 1")}, "no such artifact"),
        ("2.5.0", {"deploy": ("sh", "-c", "echo ${1%.0}.9 > $0.version", "{color}", "{version}")}, "not up on GREEN"),
    ],
)  # fmt: skip
async def test_what_is_bad_never_reaches_traffic_and_production_is_proven_unchanged(
    tmp_path: Path, service: TwoColors, version: str, config: dict[str, Any], why: str
) -> None:
    content = service.switch.read_bytes()
    async with House(tmp_path / "state", service, **config) as house:
        ended = await house.order(replace(RELEASE, version=version, timeout_s=30 if "not up" not in why else 6))
        assert (ended.status, ended.changed, exit_code(ended)) == ("aborted", False, 1)
        assert ended.error is not None
        assert why in ended.error.message
        assert "production is unchanged: BLUE 100 % as before, proven by 5 of 5" in ended.error.message
        assert service.switch.read_bytes() == content
        assert statuses(ended)["shift"] == "skipped"
        if "deploy" not in config:
            assert statuses(ended)["restore"] == "succeeded"
            assert service.version("green") == "2.4.1"
        assert (await house.gate.verify_audit()).intact


async def test_a_smoke_test_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path, service: TwoColors) -> None:
    smoke = ("sh", "-c", "sleep 600 & echo $! > sleeper; wait")
    async with House(tmp_path / "state", service, smoke=smoke) as house:
        ended = await house.order(replace(RELEASE, timeout_s=8))
        assert (ended.status, exit_code(ended)) == ("aborted", 1)
        assert ended.error is not None
        assert "killed" in ended.error.message
        status = Path(f"/proc/{(tmp_path / 'sleeper').read_text().strip()}/status")
        assert not status.exists() or "State:\tZ" in status.read_text()


@pytest.mark.parametrize("version", ["", "latest please", "-v", "a" * 200, "2.4/1"])
async def test_a_malformed_version_is_a_matter_of_usage(house: House, version: str) -> None:
    with pytest.raises(Refused) as caught:
        await house.gate.plan(replace(RELEASE, version=version))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("request_", "config", "code"),
    [
        (RELEASE, {"deploy": ()}, "no-deployer"),
        (replace(RELEASE, strategy="canary"), {"format": "template", "template": "{live}\n{stamp}\n"}, "no-weights"),
    ],
)
async def test_what_can_not_be_done_is_said_before_anything_is(
    tmp_path: Path, service: TwoColors, request_: Request, config: dict[str, Any], code: str
) -> None:
    async with House(tmp_path / "state", service, **config) as house:
        if "template" in config:
            target = await house.targets.switch("analytics")
            service.switch.write_text(target.adapter.manual_commands(BLUE)[0].split("'")[1].replace("\\n", "\n"))
            service.router_frozen = "blue"
        plan = await house.gate.plan(request_)
        assert code in {finding.code for finding in plan.findings if finding.level == "block"}


async def test_an_unknown_strategy_and_stages_that_do_not_rise_are_refused(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, stages={"odd": [50, 20]}) as house:
        for strategy in ("sideways", "odd"):
            with pytest.raises(Refused) as caught:
                await house.gate.plan(replace(RELEASE, strategy=strategy))
            assert caught.value.exit_code == 2


async def test_stages_move_a_share_at_a_time_and_each_is_observed(tmp_path: Path, service: TwoColors) -> None:
    config: dict[str, Any] = {"stages": {"gradual": [30, 100]}, "stage_time": "200ms"}
    async with House(tmp_path / "state", service, **config) as house:
        ended = await house.order(replace(ANALYTICS_FLIP, strategy="gradual"))
        assert (ended.status, ended.error, service.weights()) == ("succeeded", None, GREEN)
        steps = {step.name: step for step in ended.steps}
        names = ["preflight", *(f"{what}[{share}]" for share in (30, 100) for what in ("shift", "verify", "analyse"))]
        assert list(steps) == [*names, "bake"]
        assert "planned 30 %" in steps["verify[30]"].detail
        shifts = [record for record in await house.gate.audit_records() if record.kind == "observed"]
        assert [record.after["weights"] for record in shifts] == [{"blue": 70, "green": 30}, GREEN]


async def test_a_share_that_does_not_arrive_is_taken_back(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, stages={"gradual": [50, 100]}, stage_time="200ms") as house:
        service.router_frozen = "blue"  # as it is now: nothing shows it before traffic should move
        plan = await house.gate.plan(replace(ANALYTICS_FLIP, strategy="gradual", timeout_s=15))
        opened = await house.gate.submit(plan, YES)
        ended = await house.ended(opened)
        assert (ended.status, service.weights()) == ("rolled_back", BLUE)
        assert ended.error is not None
        assert "planned 50 %" in ended.error.message


async def test_a_runner_that_dies_after_the_deploy_is_followed_by_one_that_goes_on(
    house: House, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, deploys = Work.end, 0

    async def dies(self: Work, step: str, *given: Any, **more: Any) -> None:
        if step == "deploy":
            raise BackendError("unreachable", "journal: disk full")
        await original(self, step, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Work, "end", dies)
        opened = await house.ended(await house.gate.submit(await house.gate.plan(RELEASE), YES))
    assert (opened.status, service.version("green"), service.weights()) == ("running", "2.5.0", BLUE)
    await start(str(opened.id), house.gate._launch, house.journal, house.gate.action)
    ended = await house.ended(opened)
    assert (ended.status, ended.error, service.weights()) == ("succeeded", None, GREEN)
    deploys = sum(told.event.kind == "intent" and told.event.step == "deploy"
                  for told in await house.journal.history(str(opened.id)))  # fmt: skip
    assert deploys == 1


async def test_retired_the_old_side_is_started_before_a_rollback_goes_there(house: House, service: TwoColors) -> None:
    await house.order(RELEASE)
    with pytest.raises(Refused) as caught:
        await house.order(replace(RETIRE, overrides=()))
    assert (caught.value.exit_code, "rollback window" in caught.value.error.message) == (3, True)
    assert (await house.gate.plan(RETIRE)).summary.undo == ""  # a rollback would move the traffic there
    retired = await house.order(RETIRE, WITH_REASON)
    assert retired.undo == ""
    assert (retired.status, retired.error, retired.to, service.version("blue")) == ("succeeded", None, "blue", "")
    assert service.weights() == GREEN
    again = await house.order(RETIRE, WITH_REASON)
    assert (again.status, again.changed) == ("succeeded", False)
    plan = await house.gate.plan(ANALYTICS_ROLLBACK)
    assert "slow-rollback" in {finding.code for finding in plan.findings}
    back = await house.order(ANALYTICS_ROLLBACK)
    assert (back.status, back.error, service.weights(), service.version("blue")) == ("succeeded", None, BLUE, "2.4.0")
    assert statuses(back) == dict.fromkeys(("preflight", "start", "health", "shift", "verify"), "succeeded")


async def test_a_retired_side_starts_with_what_was_left_there_and_not_with_what_came_since(
    house: House, service: TwoColors
) -> None:
    await house.order(RELEASE)
    (service.directory / "blue.version").write_text("2.4.9")  # by hand, on the idle side
    assert (await house.order(RETIRE, WITH_REASON)).status == "succeeded"
    back = await house.order(ANALYTICS_ROLLBACK)
    assert (back.status, back.error, service.weights(), service.version("blue")) == ("succeeded", None, BLUE, "2.4.0")


async def test_nothing_is_deployed_or_retired_where_traffic_is(house: House, service: TwoColors) -> None:
    for request in (replace(RELEASE, to="blue"), replace(RETIRE, to="blue")):
        with pytest.raises(Refused) as caught:
            await house.order(request, WITH_REASON)
        assert (caught.value.exit_code, "takes traffic" in caught.value.error.message) == (3, True)
    adapter = (await house.targets.switch("analytics")).adapter
    assert adapter.deployer is not None
    with pytest.raises(BackendError) as refused:
        await adapter.deployer.deploy(
            await adapter.deployer.deployed("blue"), "blue", "2.5.0", replicas=None, stamp="x:deploy"
        )
    assert (refused.value.kind, service.version("blue")) == ("conflict", "2.4.0")


async def test_a_deploy_beside_it_is_a_conflict(house: House, service: TwoColors) -> None:
    adapter = (await house.targets.switch("analytics")).adapter
    deployer = adapter.deployer
    assert deployer is not None
    before = await deployer.deployed("green")
    await deployer.deploy(before, "green", "2.5.0", replicas=None, stamp="a:deploy")
    with pytest.raises(BackendError) as caught:
        await deployer.deploy(before, "green", "2.6.0", replicas=None, stamp="b:deploy")
    assert (caught.value.kind, service.version("green")) == ("conflict", "2.5.0")
    await asyncio.sleep(0)


async def test_a_side_that_says_no_version_is_told_before_and_named_while_it_is_waited_for(
    tmp_path: Path, service: TwoColors
) -> None:
    service.faults["green"].body = b'{"status": "healthy"}'
    async with House(tmp_path / "state", service) as house:
        plan = await house.gate.plan(RELEASE)
        (found,) = [finding for finding in plan.findings if finding.code == "health-version"]
        assert (found.level, found.fix) == ("warning", '"version": "2.5.0" in the JSON of its health URL')
        deployer = (await house.targets.switch("analytics")).adapter.deployer
        assert deployer is not None
        seen = await deployer.rollout("green", "2.5.0")
    words = 'GREEN is healthy and says no version: "version": "2.5.0" is wanted in its JSON'
    assert (seen.state, seen.detail) == ("progressing", words)


async def test_a_version_that_somebody_takes_back_at_once_is_not_waited_for(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited out its --timeout, 106 s, and had known it after 4."""

    async def rollout(_: object, color: str, version: str) -> Rollout:
        if version == "2.5.0":
            raise BackendError("conflict", f"{color} runs 2.4.0 now, not {version}", fix="plan anew")
        return Rollout(state="complete", detail="it is back")

    monkeypatch.setattr(CommandDeployer, "rollout", rollout)
    async with House(tmp_path / "state", service) as house:
        ended = await asyncio.wait_for(house.order(replace(RELEASE, timeout_s=60.0)), 30)
    assert ended.error is not None
    assert (ended.status, ended.changed, ended.error.kind, exit_code(ended)) == ("aborted", False, "conflict", 6)
    assert "green runs 2.4.0 now, not 2.5.0" in ended.error.message
