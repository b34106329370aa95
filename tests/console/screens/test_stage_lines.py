"""Stages, gates, holds and the way back on the action screen, and in the strip: said as they are, and they fit."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actions.models import Action, Finding, GateView, Hold, Step
from backends.models import Alert, ColorState, RollbackOffer
from console.ports.store import Snapshot, SourceError, SourceKey
from console.screens import stage_lines
from console.screens.action import ActionScreen
from console.screens.readings import troubles
from panels.words import ASCII, UNICODE
from tests.console.screen_fakes import FakeSession, Holder, a_deployment, ago, an_action, outside, said, text_of
from tests.console.screens.test_plan_screen import SIZE, until

SEEN_AT = ago(0)
ALONE = SEEN_AT - timedelta(seconds=90)
STAGES = (5, 10, 25, 50, 100)
GATES = (
    GateView(
        name="error-rate", word="inconclusive", sample="inconclusive", reason="provider_error",
        words="prometheus does not answer: connection refused", unit="share", value=0.008, limit=0.027,
        production=0.007, last=(0.004, None, 0.008, 0.027),
    ),
    GateView(name="latency-p95", word="pass", sample="pass", unit="s", value=0.31, limit=0.8, last=(0.3, 0.31)),
)  # fmt: skip


def some_steps(at: int, *, status: Any = "running") -> tuple[Step, ...]:
    """A canary whose stage number `at` is analysed; those before are over, those after to come."""

    def step(name: str, stage: int, detail: str = "") -> Step:
        if stage > at:
            return Step(name=name)
        over = stage < at or not name.startswith("analyse")
        return Step(
            name=name, status="succeeded" if over else status, detail=detail,
            started_at=ago(600 - stage * 100), ended_at=ago(520 - stage * 100) if over else None,
        )  # fmt: skip

    steps = [step(name, -1, "ok") for name in ("preflight", "deploy", "health", "smoke")]
    for stage, share in enumerate(STAGES):
        verify = f"{share + 0.2:.1f} % of 200 fresh requests GREEN, planned {share} %, control GREEN {share} %"
        steps += [step(f"shift[{share}]", stage, f"green {share} %"), step(f"verify[{share}]", stage, verify)]
        steps.append(step(f"analyse[{share}]", stage, "GREEN healthy; error-rate PASS: 0.8 % of 300"))
    return (*steps, Step(name="bake"))


def canary(at: int = 1, **changes: Any) -> Action:
    phase = f"analyse[{STAGES[at]}]"
    return an_action(
        **{"kind": "release", "version": "2.4.1", "phase": phase, "steps": some_steps(at), "gates": GATES, **changes}
    )


def lines(rows: Any) -> list[str]:
    return ["  ".join(part.plain for part in each if part.plain) for each in rows]


def test_stages_are_one_row_each_but_for_the_one_at_work() -> None:
    found = lines(stage_lines.timeline(canary(), UNICODE))
    assert [line.split("  ")[0] for line in found] == ["✓ before", "✓ 5 %", "… 10 %", "", "", "· then"]
    assert "preflight, deploy, health, smoke" in found[0]
    assert "observed 5.2 % of 200 fresh requests GREEN" in found[1]
    assert "requested ✓  accepted ✓  observed ✓" in found[2]
    assert "verify  10.2 % of 200 fresh requests GREEN, planned 10 %" in found[3]
    assert found[4].endswith("analyse  GREEN healthy"), "its gates have rows of their own"
    assert found[5] == "· then  25 % → 50 % → 100 % → bake"


def test_what_is_left_of_a_stage_and_of_the_bake_is_said() -> None:
    steps = tuple(
        replace(step, until=ago(-125)) if step.name.startswith(("analyse[10]", "preflight")) else step
        for step in some_steps(1)
    )
    (at_work,) = [line for line in lines(stage_lines.timeline(canary(steps=steps), UNICODE)) if " 10 %  " in line]
    assert at_work.endswith("8m20s, 2m05s left")
    bake = Step(name="bake", status="running", started_at=ago(60), until=ago(-30))
    assert lines(stage_lines.timeline(an_action(steps=(bake,)), UNICODE))[0].endswith("1m00s, 30s left")
    late = Step(name="bake", status="running", started_at=ago(60), until=ago(1))
    assert lines(stage_lines.timeline(an_action(steps=(late,)), UNICODE))[0].endswith("1m00s")
    health = Step(name="health", status="running", started_at=ago(60), until=ago(-30))
    assert lines(stage_lines.timeline(an_action(steps=(health,)), UNICODE))[0].endswith("1m00s")


def test_a_stage_that_failed_and_those_that_were_not_reached() -> None:
    steps = tuple(replace(step, status="skipped") if step.status == "pending" else step for step in some_steps(1))
    steps = tuple(
        replace(step, status="failed", detail="8 % errors; 12 failed") if step.name == "analyse[10]" else step
        for step in steps
    )
    back = Step(name="shift-back", status="succeeded", detail="blue 100 %")
    found = lines(stage_lines.timeline(canary(steps=(*steps, back), status="rolled_back"), UNICODE))
    assert "✗ 10 %" in found[2]
    assert "✗ analyse  8 % errors; 12 failed" in found[4]
    assert "· 25 %  not reached" in found[5]
    assert any(line.startswith("✓ shift-back") and "blue 100 %" in line for line in found)


def test_what_failed_before_any_traffic_moved_is_told_step_by_step() -> None:
    steps = (
        Step(name="preflight", status="succeeded"), Step(name="deploy", status="failed", detail="ImagePullBackOff"),
        *(Step(name=f"shift[{share}]", status="skipped") for share in STAGES),
    )  # fmt: skip
    found = lines(stage_lines.timeline(canary(steps=steps, status="aborted"), UNICODE))
    assert found[:2] == ["✓ preflight", "✗ deploy  ImagePullBackOff"]


def test_a_gate_says_candidate_production_limit_samples_and_its_verdict() -> None:
    found = lines(stage_lines.gate_rows(canary(), UNICODE))
    assert found[0] == "? error-rate  GREEN 0.8 %  BLUE 0.7 %  limit 2.7 %  ▂·▃█  inconclusive"
    assert found[1] == "prometheus does not answer: connection refused"
    assert found[2].startswith("✓ latency-p95  GREEN 310 ms  limit 800 ms")
    assert "·" not in "".join(lines(stage_lines.gate_rows(canary(), ASCII)))


def test_a_gate_without_data_and_an_action_without_gates_show_nothing_that_was_not_seen() -> None:
    [only] = lines(stage_lines.gate_rows(canary(gates=(GateView(name="g", word="waiting", sample=""),)), UNICODE))
    assert only == "? g  GREEN –  waiting"
    assert stage_lines.gate_rows(an_action(), UNICODE) == []


@pytest.mark.parametrize(
    ("until_s", "alone", "words"),
    [
        (455.0, None, "goes back by itself in 7m3"),
        (None, None, "until somebody decides"),
        (-1.0, None, "goes back by itself now"),
        (455.0, ALONE, "nobody runs it  x p resumes it, b rolls back"),
    ],
)
def test_a_hold_counts_down_and_says_the_ways_out(until_s: float | None, alone: datetime | None, words: str) -> None:
    hold = Hold(why="prometheus does not answer", since=ago(125), until=None if until_s is None else ago(-until_s))
    found = "  ".join(lines(stage_lines.hold_rows(canary(status="paused", hold=hold, orphaned_since=alone), UNICODE)))
    assert "held 2m: prometheus does not answer; " in found
    assert words in found
    assert "b rolls back" in found


@pytest.mark.parametrize("fields", [{"kind": "rollback"}, {"phase": "shift-back"}])
def test_a_hold_on_the_way_back_does_not_say_that_it_goes_back(fields: dict[str, str]) -> None:
    hold = Hold(why="BLUE is not healthy", since=ago(125), until=ago(-455))
    found = "  ".join(lines(stage_lines.hold_rows(canary(status="paused", hold=hold, **fields), UNICODE)))
    assert "; gives up in 7m3" in found
    assert "goes back" not in found
    alone = canary(status="paused", hold=replace(hold, until=ago(60)), orphaned_since=ALONE, **fields)
    assert "it should have given up" in "  ".join(lines(stage_lines.hold_rows(alone, UNICODE)))


def test_the_way_back_says_health_and_age_and_never_claims_what_was_not_read() -> None:
    session = FakeSession()

    def way(action: Action) -> str:
        found = stage_lines.way_back(action, session.store, UNICODE, session.context.zone)
        return "  ".join(lines(found))

    assert "whether BLUE is healthy is not known here" in way(canary())
    offer = RollbackOffer(to="blue", ready=True, instant=True)
    session.put("deployments", a_deployment(live="mixed", rollback=offer))
    assert way(canary()).startswith("back  to BLUE 2.4.0: ready, at once  read ")
    sick = {**a_deployment().colors, "blue": ColorState(version="2.4.0", healthy=False)}
    offer = RollbackOffer(to="blue", ready=False, reason="503 from /health")
    session.store.put(
        Snapshot(
            key=SourceKey("deployments", "analytics"),
            type="fake",
            fetched_at=ago(180),
            items=(a_deployment(rollback=offer, colors=sick),),
            error=SourceError(kind="timeout", message="no answer", fix=""),
        )
    )
    assert way(canary()) == "back  to BLUE 2.4.0: not ready  503 from /health  stale 3m"
    assert way(canary(status="rolled_back")) == ""
    assert way(an_action(kind="rollback")) == ""


async def test_a_held_canary_on_80_by_24_shows_what_decides() -> None:
    session = FakeSession()
    offer = RollbackOffer(to="blue", ready=True, instant=True)
    session.put("deployments", a_deployment(live="mixed", rollback=offer, action="01J9ZK3V7F3"))
    session.put("alerts", Alert(ref="r/E", backend="r", fingerprint="E", name="E", severity="critical", state="firing"))
    hold = Hold(why="prometheus does not answer", since=ago(125), until=ago(-455))
    session.news.put_nowait(canary(3, status="paused", hold=hold))
    screen = ActionScreen(session, "01J9ZK3V7F3")
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "held 2m" in text_of(pilot.app), "the hold is shown")
        await pilot.pause()
        shown = text_of(pilot.app)
        for words in (
            "Release analytics 2.4.1  BLUE → GREEN", "goes back by itself in 7m", "x i accepts the missing evidence",
            "GREEN 0.8 %  BLUE 0.7 %  limit 2.7 %", "… 50 %", "then", "back to BLUE 2.4.0: ready, at once", "read ",
            "x actions", "b roll back",
        ):  # fmt: skip
            assert words in shown, shown
        assert outside(screen, "KeyBar, #subject, #by, #way") == []
        session.news.put_nowait(canary(3))
        await until(pilot, lambda: "held" not in said(screen, "#end"), "released")


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (
            canary(
                status="paused", hold=Hold(why="Prometheus does not answer", since=SEEN_AT - timedelta(seconds=125))
            ),
            "release analytics held 2m: Prometheus does not answer; b rolls back",
        ),
        (canary(orphaned_since=ALONE), "release analytics: nobody runs it, seen 1m ago; @ opens it, b rolls back"),
        (
            canary(status="conflict", orphaned_since=ALONE),
            "release analytics: conflict, nobody runs it, seen 1m ago; b rolls back",
        ),
        (
            canary(status="rolling_back", orphaned_since=ALONE),
            "release analytics: rolling back, nobody runs it, seen 1m ago; b rolls back",
        ),
    ],
)
def test_the_strip_names_what_waits_for_a_person_first(action: Action, words: str) -> None:
    running = an_action()
    private = Finding(level="warning", code="private-journal", text="the journal is this user's own")
    found = troubles(FakeSession().store, [running, action], [private], SEEN_AT, UNICODE)
    assert [trouble.text for trouble in found] == [words, "alice: flip analytics BLUE → GREEN, verifying", private.text]
    assert found[0].tone == ("warning" if action.orphaned_since is None else "critical")
    assert len(words) <= 78
