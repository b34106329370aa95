"""Stages judged by gates: a real engine, switch and journal, with metrics that a test sets."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actions.described import Described
from actions.journal.journal import Journal
from actions.journal.lease import Lease
from actions.journal.rows import Event
from actions.models import Action, Consent, Request
from actions.switching.conditions import unjudged
from backends.deployments.file_switch import FileSwitch
from backends.errors import BackendError
from console.cli.following import waits_for_a_person
from tests.actions.house import YES, House
from tests.backends.fake_prometheus import FakePrometheus
from tests.two_colors import TwoColors

ERRORS = {
    "name": "errors", "candidate": "errors_{color}", "requests": "requests_{color}", "unit": "share", "max": 0.05,
    "max_increase": 0.02, "window": "300ms", "every": "100ms", "hold": "2s",
}  # fmt: skip
CANARY = Request(kind="flip", service="analytics", to="green", strategy="gradual")
STRAIGHT = Request(kind="flip", service="analytics", to="green")
HISTORY = 3600


class Numbers:
    """What Prometheus says of both colors, from an hour ago to an hour ahead, until it is told otherwise."""

    def __init__(self, fake: FakePrometheus) -> None:
        self.fake = fake
        for color in ("blue", "green"):
            self.say(color, 0.01, 5000)

    def say(self, color: str, errors: float | str, requests: float = 5000) -> None:
        at = datetime.now(UTC) - timedelta(seconds=HISTORY / 2)
        for name, value in ((f"errors_{color}", errors), (f"requests_{color}", requests)):
            self.fake.series.pop(name, None)
            self.fake.put(name, value, at)

    def forget(self, color: str) -> None:
        for name in (f"errors_{color}", f"requests_{color}"):
            self.fake.series[name] = {}


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    fake = FakePrometheus()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def numbers(prometheus: FakePrometheus) -> Numbers:
    return Numbers(prometheus)


def house(state: Path, service: TwoColors, url: str, **config: Any) -> House:
    base = service.directory
    settings = {
        "stages": {"gradual": [50, 100]}, "stage_time": "500ms", "bake": "300ms", "metrics": "prom", "gates": [ERRORS],
    }  # fmt: skip
    found = House(state, service, **{**settings, **config})
    told = Described(
        port="metrics", type="prometheus", name="prom", config={"url": url, "timeout": "5s"},
        base_dir=base, state_dir=base / "state",
    )  # fmt: skip
    found.targets.described = (told,)
    return found


def verdicts(action: Action) -> dict[str, str]:
    return {step.name: step.status for step in action.steps}


async def test_a_healthy_side_goes_through_every_stage(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    async with house(tmp_path / "state", service, prometheus.url) as home:
        action = await home.order(CANARY)
        assert (action.status, action.error) == ("succeeded", None)
        assert set(verdicts(action).values()) == {"succeeded"}
        (gate,) = action.gates
        assert (gate.name, gate.word, gate.value, gate.frozen) == ("errors", "pass", 0.01, True)
        assert gate.limit == pytest.approx(0.03)
        assert len(gate.last) >= 3
        details = {step.name: step.detail for step in action.steps}
        assert "errors PASS: 1 % of 5000 requests, limit 3 %" in details["analyse[50]"]


@pytest.mark.parametrize(
    ("bake", "window", "every"),
    [("1200ms", "600ms", "300ms"), ("1s", "300ms", "400ms"), ("300ms", "600ms", "100ms")],
)
async def test_a_healthy_side_is_never_held_for_its_last_sample(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers, bake: str, window: str, every: str
) -> None:
    """The third sample is due exactly when the time is over, or after the look before it."""
    gates = [{**ERRORS, "window": window, "every": every}]
    async with house(tmp_path / "state", service, prometheus.url, bake=bake, gates=gates) as home:
        action = await home.order(STRAIGHT)
        told = [line.event for line in await home.journal.history(str(action.id))]
    assert action.status == "succeeded"
    assert [event.detail for event in told if event.kind == "held" or event.detail == "paused"] == []


async def test_what_a_gate_waits_for_is_said_in_words(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    gates = [{**ERRORS, "window": "200ms", "every": "400ms"}]
    async with house(tmp_path / "state", service, prometheus.url, bake="1s", gates=gates) as home:
        action = await home.order(STRAIGHT)
        told = [line.event.detail for line in await home.journal.history(str(action.id))]
    assert any("waiting: errors has 1 good sample of the 3 it needs" in detail for detail in told), told


async def test_one_look_that_sees_nothing_holds_nothing(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch can not be read once, when the time of the bake is over."""
    over: list[datetime] = []
    blinked: list[datetime] = []
    observe = FileSwitch.observe

    async def blinks(switch: FileSwitch) -> Any:
        if over and datetime.now(UTC) >= over[0] and not blinked:
            blinked.append(datetime.now(UTC))
            raise BackendError("timeout", "the switch: no answer")
        return await observe(switch)

    monkeypatch.setattr(FileSwitch, "observe", blinks)
    async with house(tmp_path / "state", service, prometheus.url, bake="1s", gates=[]) as home:
        action = await home.gate.submit(await home.gate.plan(STRAIGHT), YES)
        await home.reaches(action, "bake")
        told = [line.event for line in await home.journal.history(str(action.id))]
        (bake,) = [event for event in told if (event.step, event.kind) == ("bake", "begun")]
        over.append(datetime.fromisoformat(bake.data["until"]))
        action = await home.ended(action)
        told = [line.event for line in await home.journal.history(str(action.id))]
    assert action.status == "succeeded"
    assert blinked
    assert [event.detail for event in told if event.kind == "held"] == []


async def test_gross_errors_at_the_first_stage_go_back_and_say_who_was_hit(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    numbers.say("green", 0.2, 1000)
    async with house(tmp_path / "state", service, prometheus.url) as home:
        action = await home.order(CANARY)
    assert action.status == "rolled_back"
    assert action.error is not None
    assert action.error.kind == "gate_failed"
    assert "errors: 20 % of 1000 requests" in action.error.message
    assert "GREEN took 1000 of 6000 requests (16.7%), 200 of them failed (3.33% of all)" in action.error.message
    assert service.weights() == {"blue": 100, "green": 0}


async def test_errors_that_begin_after_the_last_stage_go_back_from_the_bake(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    async with house(tmp_path / "state", service, prometheus.url, bake="30s") as home:
        action = await home.gate.submit(await home.gate.plan(STRAIGHT), YES)
        await home.reaches(action, "bake")
        numbers.say("green", 0.045)
        action = await home.ended(action)
    assert (action.status, verdicts(action)["bake"]) == ("rolled_back", "failed")
    assert action.error is not None
    assert "more than 2 points over production before (1 %)" in action.error.message


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[Action]:
    """The row of an action as each write of its runner leaves it: somebody reads it just then."""
    seen: list[Action] = []
    write = Journal.write

    async def seen_by_everybody(journal: Journal, hold: Lease, *events: Event, **told: Any) -> bool:
        written = await write(journal, hold, *events, **told)
        seen.extend(await journal.action("test", hold.action_id))
        return written

    monkeypatch.setattr(Journal, "write", seen_by_everybody)
    return seen


async def test_a_lost_source_holds_and_goes_back_at_the_deadline(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers, rows: list[Action]
) -> None:
    """Who watches it is never told in between that it waits for a person."""
    async with house(tmp_path / "state", service, prometheus.url, stage_time="60s") as home:
        action = await home.gate.submit(await home.gate.plan(CANARY), YES)
        await home.reaches(action, "analyse[50]")
        prometheus.stop()
        held = await home.stands(action, "paused")
        assert held.hold is not None
        assert held.hold.until is not None
        assert "errors" in held.hold.why
        action = await home.ended(action)
    assert action.status == "rolled_back"
    assert action.error is not None
    assert "nothing could be proven for 2s" in action.error.message
    assert [(seen.status, seen.phase) for seen in rows if waits_for_a_person(seen)] == []
    assert all(seen.status != "paused" or verdicts(seen).get("analyse[50]") != "failed" for seen in rows)


async def test_a_source_that_comes_back_within_the_hold_lets_it_go_on(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers, rows: list[Action]
) -> None:
    gates = [{**ERRORS, "hold": "60s"}]
    async with house(tmp_path / "state", service, prometheus.url, stage_time="2s", gates=gates) as home:
        action = await home.gate.submit(await home.gate.plan(CANARY), YES)
        await home.reaches(action, "analyse[50]")
        prometheus.answers["query"] = (503, {"status": "error", "errorType": "timeout", "error": "too busy"})
        await home.stands(action, "paused")
        del prometheus.answers["query"]
        action = await home.ended(action)
    assert action.status == "succeeded"
    assert [(seen.status, seen.phase) for seen in rows if waits_for_a_person(seen)] == []


async def test_a_breach_while_an_operator_has_paused_it_goes_back(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    async with house(tmp_path / "state", service, prometheus.url) as home:
        action = await home.gate.submit(await home.gate.plan(CANARY), YES)
        await home.reaches(action, "analyse[50]")
        await home.journal.enqueue(str(action.id), "pause", home.gate.actor, "")
        await home.stands(action, "paused")
        numbers.say("green", 0.3)
        action = await home.ended(action)
    assert action.status == "rolled_back"


async def test_missing_evidence_at_100_percent_waits_for_a_person_who_may_accept_it(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    async with house(tmp_path / "state", service, prometheus.url, bake="1s") as home:
        action = await home.gate.submit(await home.gate.plan(STRAIGHT), YES)
        await home.reaches(action, "bake")
        numbers.forget("green")
        held = await home.stands(action, "paused")
        assert held.hold is not None
        assert held.hold.until is None
        await home.journal.enqueue(str(action.id), "accept", home.gate.actor, "the exporter is being replaced")
        action = await home.ended(action)
    assert action.status == "succeeded"
    assert "accepted by hand" in {step.name: step.detail for step in action.steps}["bake"]


async def test_a_dry_run_is_shown_and_not_counted(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    numbers.say("green", 0.9)
    gates = [{**ERRORS, "dry_run": True}]
    async with house(tmp_path / "state", service, prometheus.url, gates=gates) as home:
        action = await home.order(STRAIGHT)
    assert action.status == "succeeded"
    assert [(gate.word, gate.dry_run) for gate in action.gates] == [("fail", True)]


@pytest.mark.parametrize(
    ("gates", "code", "words"),
    [
        ([{**ERRORS, "candidate": "erors_{color}"}], "gate-series", "has no series erors_green"),
        ([{**ERRORS, "max": None, "max_increase": None}], "gates", "cannot fail"),
        ([{**ERRORS, "metrics": "other"}], "metrics", 'no metrics source "other"'),
        ([{**ERRORS, "production": "nothing"}], "gate-series", "has no series nothing"),
        ([{**ERRORS, "min_requests": 9999}], "baseline", "only 5000 requests reached production; 9999 are needed"),
    ],
)
async def test_a_gate_that_could_not_judge_is_refused_before_anything_moves(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers, gates: Any, code: str, words: str
) -> None:
    written = [{key: value for key, value in gate.items() if value is not None} for gate in gates]
    async with house(tmp_path / "state", service, prometheus.url, gates=written) as home:
        plan = await home.gate.plan(STRAIGHT)
    (finding,) = [found for found in plan.findings if found.level == "block"]
    assert (finding.code, words in finding.text) == (code, True), finding


async def test_a_source_that_does_not_answer_forbids_it_and_can_be_overridden(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    prometheus.stop()
    async with house(tmp_path / "state", service, prometheus.url) as home:
        plan = await home.gate.plan(STRAIGHT)
        assert [found.code for found in plan.findings if found.level == "block"] == ["metrics"]
        request = Request(kind="flip", service="analytics", to="green", overrides=("metrics",))
        consent = Consent(confirmed=True, reason="prometheus is down, green has the fix")
        action = await home.gate.submit(await home.gate.plan(request), consent)
        held = await home.stands(action, "paused")
        assert held.phase == "bake"
        await home.journal.enqueue(str(action.id), "accept", home.gate.actor, "seen by hand")
        action = await home.ended(action)
    assert action.status == "succeeded"


async def test_few_requests_are_foreseen(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    numbers.say("blue", 0.0, 60)
    async with house(tmp_path / "state", service, prometheus.url, stages={"gradual": [5, 100]}) as home:
        plan = await home.gate.plan(CANARY)
    (finding,) = [found for found in plan.findings if found.code == "low-traffic"]
    assert "at 5 % the new side gets about 5 requests in 500ms, 50 are needed" in finding.text


async def test_each_strategy_is_tried_at_its_own_first_stage(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    """At a fixed 5 %, whatever the config said."""
    numbers.say("blue", 0.0, 100)
    stages = {"canary": [20, 100], "gradual": [50, 100], "slow": [20, 100]}
    async with house(tmp_path / "state", service, prometheus.url, stages=stages) as home:
        found = await unjudged(await home.targets.switch("analytics"))
    (finding,) = found
    assert "errors: canary, slow: at 20 % the new side gets about 33 requests in 500ms, 50 are needed" in finding.text


async def test_a_quiet_hour_is_no_mistake_of_the_config(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    numbers.say("blue", 0.01, 5000)
    gates = [{**ERRORS, "min_requests": 9999}]
    async with house(tmp_path / "state", service, prometheus.url, gates=gates) as home:
        (found,) = await unjudged(await home.targets.switch("analytics"))
        plan = await home.gate.plan(STRAIGHT)
    assert (found.level, "only 5000 requests reached production; 9999 are needed" in found.text) == ("warning", True)
    assert [each.level for each in plan.findings if each.code == "baseline"] == ["block"], "a plan depends on it"


async def test_what_is_down_is_no_production_to_compare_with_and_that_keeps_no_traffic_there(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    numbers.say("blue", "NaN", 0)
    async with house(tmp_path / "state", service, prometheus.url, probe_timeout="2s") as home:
        plan = await home.gate.plan(STRAIGHT)
        assert [each.level for each in plan.findings if each.code == "baseline"] == ["block"]
        service.sicken("blue")
        service.router_says = (503, "")
        plan = await home.gate.plan(STRAIGHT)
        assert [each.level for each in plan.findings if each.code == "baseline"] == ["warning"]
        opened = await home.gate.submit(plan, YES)
        while service.weights() != {"blue": 0, "green": 100}:
            assert (await home.gate.action(str(opened.id))).open
            await asyncio.sleep(0.02)
        service.router_says = None
        held = await home.stands(opened, "paused")
        assert held.error is not None
        assert "nothing is known of production to compare with" in held.error.message
        accept = Request(kind="flip", service="analytics", ref=str(opened.id), order="accept")
        because = Consent(confirmed=True, reason="blue is dead, green has the traffic")
        await home.gate.submit(await home.gate.plan(accept), because)
        assert (await home.ended(opened)).status == "succeeded"


async def test_a_stage_that_will_take_longer_is_named_in_the_plan(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    gates = [{**ERRORS, "window": "1m", "every": "2s", "min_requests": 1}]
    config = {"gates": gates, "stage_time": "8s", "bake": "2m"}
    async with house(tmp_path / "state", service, prometheus.url, **config) as home:
        plan = await home.gate.plan(CANARY)
        (finding,) = [found for found in plan.findings if found.code == "gate-fit"]
        assert finding.level == "warning"
        assert "a window of 1m and 3 samples every 2s: a stage of 8s will take 1m4s" in finding.text
        plan = await home.gate.plan(STRAIGHT)
        assert [found.code for found in plan.findings if found.code == "gate-fit"] == [], "it has no stage"


async def test_a_runner_that_takes_over_has_the_baseline_of_before(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    async with house(tmp_path / "state", service, prometheus.url, bake="3s") as home:
        action = await home.gate.submit(await home.gate.plan(STRAIGHT), YES)
        await home.reaches(action, "bake")
        await home.kill_runner()
        numbers.forget("blue")
        takeover = Request(kind="flip", service="analytics", ref=str(action.id), order="takeover")
        await home.gate.submit(await home.gate.plan(takeover), Consent(confirmed=True, reason="its host died"))
        action = await home.ended(action)
        assert action.status == "succeeded", action.error
        assert action.gates[0].frozen
        assert action.gates[0].production == 0.01


async def test_looks_cost_little(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    """Every sample is told once: whoever watches reads the whole history each time."""
    async with house(tmp_path / "state", service, prometheus.url, bake="2s") as home:
        began = time.monotonic()
        action = await home.order(STRAIGHT)
        took_s = time.monotonic() - began
        told = [line for line in await home.journal.history(str(action.id)) if "gates" in line.event.data]
        assert 3 <= len(told) <= took_s / 0.1 + 1


async def test_the_config_can_be_tried_before_it_is_needed(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    """What `teal config validate` says of gates: each query asked once, and nothing of what is well."""
    async with house(tmp_path / "state", service, prometheus.url) as home:
        assert await unjudged(await home.targets.switch("analytics")) == []
        numbers.fake.series.pop("errors_green")
        (found,) = await unjudged(await home.targets.switch("analytics"))
        assert "has no series errors_green" in found.text
        service.write({"blue": 50, "green": 50})
        assert await unjudged(await home.targets.switch("analytics")) == []


@pytest.mark.parametrize("worse", [True, False], ids=["gets worse", "stays well"])
async def test_a_split_that_a_freeze_holds_is_judged_by_its_gates_meanwhile(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers, worse: bool
) -> None:
    async with house(tmp_path / "state", service, prometheus.url) as home:
        opened = await home.reaches(await home.gate.submit(await home.gate.plan(CANARY), YES), "analyse[50]")
        await home.order(Request(kind="freeze", service="analytics"), Consent(confirmed=True, reason="quarter end"))
        async with asyncio.timeout(10):
            while (held := await home.gate.action(str(opened.id))).error is None or held.error.kind != "held_back":
                await asyncio.sleep(0.02)
        assert "deploy unfreeze" in held.error.fix
        if worse:
            numbers.say("green", 0.5)
        else:
            await home.order(Request(kind="unfreeze", service="analytics"))
        ended = await home.ended(opened)
    assert (ended.status, ended.error and ended.error.kind) == (
        ("rolled_back", "gate_failed") if worse else ("succeeded", None)
    )


async def test_a_hold_says_what_holds_it_now(
    tmp_path: Path, service: TwoColors, prometheus: FakePrometheus, numbers: Numbers
) -> None:
    """Evidence went missing while a freeze held it: with the freeze lifted, it said still that it was frozen, and an
    `accept` took the missing evidence."""
    gates = [{**ERRORS, "hold": "60s"}]
    async with house(tmp_path / "state", service, prometheus.url, gates=gates) as home:
        opened = await home.reaches(await home.gate.submit(await home.gate.plan(CANARY), YES), "analyse[50]")
        await home.order(Request(kind="freeze", service="analytics"), Consent(confirmed=True, reason="quarter end"))
        frozen = await _held_by(home, opened, "held_back")
        prometheus.answers["query"] = (503, {"status": "error", "errorType": "timeout", "error": "too busy"})
        blind = await _held_by(home, opened, "unreachable", "held")
        await home.order(Request(kind="unfreeze", service="analytics"))
        assert frozen.hold is not None
        assert blind.hold is not None
        assert blind.hold.since is not None
        assert frozen.hold.since is not None
        assert "frozen" in frozen.hold.why
        assert ("frozen" in blind.hold.why, blind.hold.since > frozen.hold.since) == (False, True)
        assert blind.error is not None
        assert "frozen" not in blind.error.message
        del prometheus.answers["query"]
        ended = await home.ended(opened)
    assert ended.status == "succeeded"


async def _held_by(home: House, opened: Action, *kinds: str) -> Action:
    async with asyncio.timeout(20):
        while True:
            held = await home.gate.action(str(opened.id))
            if held.error is not None and held.error.kind in kinds:
                return held
            await asyncio.sleep(0.02)
