"""When the command that ordered an action stops watching it."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from actions.models import Action, ActionError, Hold, Request
from console.cli import following, writing
from console.cli.following import waits_for_a_person
from console.cli.options import Common
from tests.console.printing.test_plan_lines import PLAN

NOW = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
HELD = ActionError(kind="held", message="held: errors: no data")


def action(**fields: Any) -> Action:
    told = {"status": "paused", "phase": "analyse[50]", **fields}
    return Action(id="A", kind="flip", service="analytics", from_="blue", to="green", **told)


@pytest.mark.parametrize(
    ("seen", "ends"),
    [
        (action(status="running"), False),
        (action(error=HELD, hold=Hold(why="no data", since=NOW, until=NOW + timedelta(minutes=10))), False),
        (action(phase="bake", error=HELD, hold=Hold(why="no data", since=NOW)), True),
        (action(), True),
    ],
    ids=["runs", "held below 100 %: it goes back by itself", "held at 100 %", "paused by hand"],
)
def test_it_goes_on_watching_what_goes_on_by_itself(seen: Action, ends: bool) -> None:
    assert waits_for_a_person(seen) is ends


class Watched:
    """A session that sees an action so, one look after the other, and then nothing new."""

    context = SimpleNamespace(name="prod")

    def __init__(self, *looks: Action) -> None:
        self.looks = looks

    async def watch(self, action_id: str, *, in_time: bool = False) -> AsyncIterator[Action]:
        for seen in self.looks:
            yield seen
        await following.asyncio.Event().wait()


@pytest.mark.parametrize(
    ("order", "before", "then", "said"),
    [
        ("pause", action(status="running"), action(), "pause: flip analytics blue → green: paused"),
        ("resume", action(), action(status="running"), "resume: flip analytics blue → green: running"),
        ("promote", action(), action(status="running"), "promote: flip analytics blue → green: running"),
        (
            "pause", action(status="running"), action(status="running", phase="verify"),
            "pause: ordered, not in force yet: flip analytics blue → green: running",
        ),
        (
            "resume", action(), action(error=HELD, hold=Hold(why="no data", since=NOW)),
            "resume: flip analytics blue → green: paused",
        ),
    ],
    ids=["pause", "resume", "promote", "no safe point yet", "only its evidence is missing now"],
)  # fmt: skip
async def test_an_order_is_told_with_what_it_came_to(
    order: Any, before: Action, then: Action, said: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(following, "LOOKS_S", 0.2)
    plan = replace(PLAN, request=Request(kind="flip", service="analytics", order=order))
    session: Any = Watched(before, then)
    assert await writing._steered(Common(), session, before, plan) == 0
    assert capsys.readouterr().out.startswith(said)


@pytest.mark.parametrize(("kind", "waits"), [("rollback", True), ("flip", False)])
async def test_a_way_back_that_gives_up_in_time_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, kind: Any, waits: bool
) -> None:
    """`deploy rollback --timeout` said 8, still open, of one that ended in the same second with nothing moved."""
    monkeypatch.setattr(following, "MOMENT_S", 0.02)
    began = time.monotonic()
    runs = replace(action(status="running", phase="preflight"), kind=kind)

    class Ending(Watched):
        async def watch(self, action_id: str, *, in_time: bool = False) -> AsyncIterator[Action]:
            yield replace(runs, status="aborted") if time.monotonic() - began > 0.2 else runs
            await following.asyncio.Event().wait()

    session: Any = Ending()
    seen = await following.follow(
        Common(quiet=True), session, runs, None, time.monotonic() + 0.05, foreground=False, back=True
    )
    assert seen.status == ("aborted" if waits else "running")
