"""At 80 columns what is cut is what matters least: outcome before id, verdict before detail."""

import re
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actions.models import Actor, OpenConsole, Step
from actions.telling import doing, move, over_at, phase_words, who_does_what
from backends.text import short_id
from panels.frame import PanelBox
from panels.kinds.deployments import action_words, block
from tests.console.fakes import NOW, FakeSession, ago, deployment
from tests.console.screen_fakes import an_action
from tests.console.screens.test_overview import console, text
from tests.console.screens.test_plan_screen import until
from tests.panels.test_kinds import MOMENT

ULID = "01M8K9950GW6VSCWXD3VQTW9VK"
LEFT = timedelta(minutes=4, seconds=32)
STEPS = (
    Step(name="shift[25]", status="succeeded", started_at=ago(seconds=30), ended_at=ago(seconds=29)),
    Step(name="analyse[25]", status="running", started_at=ago(seconds=28), until=NOW + LEFT),
)
CANARY: dict[str, Any] = {
    "id": ULID, "kind": "release", "strategy": "canary", "version": "2.4.1", "status": "running",
    "phase": "analyse[25]", "steps": STEPS,
}  # fmt: skip


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_list_of_actions_has_its_title_outcome_duration_and_short_ids(size: tuple[int, int]) -> None:
    session = FakeSession()
    ended: dict[str, Any] = {"started_at": ago(seconds=60), "ended_at": ago(seconds=37.5), "changed": True}
    session.open_ones = [
        an_action(**CANARY, started_at=ago(seconds=40)),
        an_action(id=ULID[:-2] + "AA", status="rolled_back", reason="a reason that is as long as reasons are", **ended),
    ]
    who = Actor(login="root", host="a-host-with-a-name")
    session.orders.on = [OpenConsole(actor=who, pid=pid, opened_at=NOW) for pid in range(6)]
    every = session.actions
    session.actions = lambda *, open_only=False, limit=50: every(open_only=open_only)
    async with console(session, size) as (app, _, pilot):
        await pilot.press("at")
        await until(pilot, lambda: "rolled back" in text(app), "both are listed")
        lines = text(app).splitlines()
        assert "Actions" in lines[0]
        assert "on: root@a-host-with-a-name ×6" in lines[0]
        canary, flip = (next(line for line in lines if word in line) for word in ("canary", "flip analytics"))
        assert "judging, 4m32s left" in canary
        assert "canary analytics 25 %" in canary
        assert canary.index("judging") < canary.index("canary")
        assert "rolled back" in flip
        assert "flip analytics BLUE → GREEN" in flip
        assert ("QTW9VK" in canary) == (size[0] == 120)
        assert ULID not in "".join(lines)
        assert " 22s " in flip or " 23s " in flip  # how long it took


async def test_the_name_of_a_panel_is_never_pushed_out() -> None:
    session = FakeSession()
    names = "an-operator-with-a-long-name", "another-operator", "a-third-one"
    session.orders.on = [OpenConsole(actor=Actor(login=n, host="bastion"), pid=1, opened_at=NOW) for n in names]
    async with console(session, (80, 24)) as (app, _, pilot):
        await pilot.press("at")
        await until(pilot, lambda: "an-operator" in text(app), "who is on is said")
        assert app.screen.query_one(PanelBox).caption.startswith("Actions")
        edge = text(app).splitlines()[0]
        assert "Actions" in edge
        assert "…" in edge
        assert len(edge) == 80


def test_a_running_canary_is_told_in_words() -> None:
    running = an_action(**CANARY)
    told: dict[str, Any] = {"action_about": "canary 25 %, judging", "action_by": "root"}
    found = deployment(action=ULID, action_until=over_at(running), **told)
    assert action_words(found, NOW) == "canary 25 %, judging, 4m32s left, root"
    said = block(found, replace(MOMENT, now=NOW), 28)[-1]
    assert "".join(cell.text for cell in said).startswith("  … canary 25 %, judging, 4m32s left")
    paused = deployment(action=ULID, action_about="canary 25 %, paused by root", action_by="root")
    assert action_words(paused, NOW) == "canary 25 %, paused by root"
    nameless = deployment(action=ULID, action_about="")
    assert action_words(nameless, NOW) == f"action {ULID[-6:]} is open"
    assert short_id("") == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (CANARY, "alice: canary analytics 25 %, judging"),
        ({"phase": "verify"}, "alice: flip analytics BLUE → GREEN, verifying"),
        ({"phase": "bake"}, "alice: flip analytics BLUE → GREEN, baking"),
        ({"phase": "shift-back", "status": "rolling_back"}, "alice: flip analytics BLUE → GREEN, rolling back"),
        ({"phase": "analyse[5]", "status": "paused"}, "alice: flip analytics 5 %, paused"),
        ({"phase": "submit"}, "alice: flip analytics BLUE → GREEN, submit"),
    ],
)
def test_phases_are_verbs_and_no_names_of_steps(fields: dict[str, Any], words: str) -> None:
    assert who_does_what(an_action(**fields)) == words


def test_what_is_held_or_orphaned_counts_no_time_down() -> None:
    assert over_at(an_action(**CANARY)) == NOW + LEFT
    assert over_at(an_action(**{**CANARY, "orphaned_since": ago(minutes=1)})) is None
    assert over_at(an_action()) is None  # `verify` says only when it is given up
    assert (phase_words("analyse[5]"), move(an_action(**CANARY), short=True)) == ("judging", "canary 25 %")
    assert doing(an_action(phase="verify[5]")) == "verifying"


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_of_a_source_that_is_lost_the_reason_is_read_and_not_its_path(size: tuple[int, int]) -> None:
    """With a dead warehouse strip and panels ended within `/home/oncall/.local/state/…`."""
    session = FakeSession()
    where = "/home/oncall/.local/state/tealdeck/sandbox/warehouse/warehouse.db"
    session.put("alerts", "rules", age_s=9, error=f"{where}: no such file")
    session.put("quality", "scores", age_s=9, error=f"{where}: no such file")
    async with console(session, size) as (app, overview, pilot):
        assert "? alerts rules stale 9s: …/warehouse.db: no such" in text(app).splitlines()[1]
        overview.board.zoom("quality")
        await until(pilot, lambda: "? scores stale 9s: …/warehouse.db: no such file" in text(app), "it is said")
        await pilot.press("s")
        await until(pilot, lambda: "no answer" in text(app), "the sources are listed")
        assert "warehouse.db: no such file" in " ".join(re.sub("[│▌]", "", text(app)).split())
