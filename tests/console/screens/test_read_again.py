"""A page that lost its source says so, shows nothing as if it went on, and reads again by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from actions.models import Action, Request
from backends.errors import BackendError
from backends.ports import PipelineInfo
from console.screens import action as action_page
from console.screens import page
from console.screens.action import ActionScreen
from console.screens.alert_detail import AlertDetail
from console.screens.deployment_detail import DeploymentDetail
from console.screens.plan import PlanScreen
from console.screens.run_detail import RunDetail
from console.screens.silence import SilenceForm
from console.screens.trigger import TriggerForm
from tests.console.screen_fakes import (
    FakeSession,
    FakeSystem,
    Holder,
    a_deployment,
    a_plan,
    a_run,
    ago,
    an_action,
    said,
    text_of,
)
from tests.console.screens.test_alert_screens import ALERT
from tests.console.screens.test_plan_screen import SIZE, until

DOWN = BackendError("unreachable", "journal: the database system is shutting down", fix="try again")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "AGAIN_S", 0.05)
    monkeypatch.setattr(action_page, "AGAIN_S", 0.05)


class Journal:
    """One that goes away and comes back: an action, nothing while it is `away`, then how it ended."""

    def __init__(self) -> None:
        self.away = False
        self.now = an_action()

    async def watch(self, action_id: str, *, in_time: bool = False) -> AsyncIterator[Action]:
        assert in_time, "a frozen server would be waited for for ever"
        while True:
            if self.away:
                raise DOWN
            yield self.now
            if not self.now.open:
                return
            await asyncio.sleep(0.02)


async def test_the_action_page_outlives_a_restart_of_its_journal() -> None:
    session, journal = FakeSession(), Journal()
    session.watch = journal.watch
    screen = ActionScreen(session, "01J9ZK3V7F3")
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "data 14 of 20" in said(screen, "#steps"), "it goes on")
        journal.away = True
        await until(pilot, lambda: "is shutting down" in said(screen, "#end"), "why is said")
        assert "not known since" in text_of(pilot.app), "and since when"
        (step,) = [line for line in said(screen, "#steps").splitlines() if "verify" in line]
        assert step.startswith("? verify"), "what was at work is not known to be"
        shown = text_of(pilot.app)
        await pilot.pause(1.3)
        assert text_of(pilot.app) == shown, "no clock runs on"
        journal.away, journal.now = False, an_action(status="succeeded", changed=True, ended_at=ago(0))
        await until(pilot, lambda: "done and not verified" in said(screen, "#end"), "read again by itself")
        assert "not known" not in text_of(pilot.app).replace("is not known here", "")


async def test_the_action_page_follows_who_resumes_what_nobody_ran() -> None:
    session = FakeSession()
    screen = ActionScreen(session, "01J9ZK3V7F3")
    async with Holder(screen).run_test(size=SIZE) as pilot:
        session.news.put_nowait(an_action(orphaned_since=ago(20)))
        session.news.put_nowait(None)  # as the gate ends it
        await until(pilot, lambda: "nobody runs it" in said(screen, "#end"), "said")
        session.news.put_nowait(an_action(status="succeeded", changed=True, ended_at=ago(0)))
        await until(pilot, lambda: "done and not verified" in said(screen, "#end"), "somebody else has ended it")


class Timed(Holder):
    def now(self) -> datetime:
        return datetime.now(UTC)


class Lost(NamedTuple):
    """A page, what makes its source fail or not, and what it says of itself in either case."""

    opened: Callable[[Any], Any]
    fail: Callable[[FakeSession, pytest.MonkeyPatch, bool], None]
    well: str


def _journal(session: FakeSession, patch: pytest.MonkeyPatch, lost: bool) -> None:
    async def actions(**_: Any) -> list[Action]:
        if lost:
            raise DOWN
        return session.all_actions

    patch.setattr(session, "actions", actions)


def _plans(session: FakeSession, patch: pytest.MonkeyPatch, lost: bool) -> None:
    session.plans = [DOWN if lost else a_plan()]


def _tasks(session: FakeSession, patch: pytest.MonkeyPatch, lost: bool) -> None:
    session.task_error = DOWN if lost else None


def _log(session: FakeSession, patch: pytest.MonkeyPatch, lost: bool) -> None:
    if not lost:
        patch.undo()
        return

    async def task_log(self: FakeSystem, pipeline: str, run_id: str, task: str | None = None) -> Any:
        raise DOWN

    patch.setattr(FakeSystem, "task_log", task_log)


def _params(session: FakeSession, patch: pytest.MonkeyPatch, lost: bool) -> None:
    async def pipeline(self: FakeSystem, pipeline: str) -> PipelineInfo:
        if lost:
            raise DOWN
        return session.info

    patch.setattr(FakeSystem, "pipeline", pipeline)


def _silences(session: FakeSession, patch: pytest.MonkeyPatch, lost: bool) -> None:
    session.silences = DOWN if lost else []


PAGES = {
    "what was done to a service": Lost(lambda it: DeploymentDetail(it, a_deployment()), _journal, "2.4.1 go"),
    "a plan": Lost(lambda it: PlanScreen(it, Request(kind="flip", service="analytics")), _plans, "[ Flip"),
    "the tasks of a run": Lost(lambda it: RunDetail(it, a_run()), _tasks, "ingest_customers"),
    "the log of a run": Lost(lambda it: RunDetail(it, a_run()), _log, "Traceback"),
    "what a run takes": Lost(lambda it: TriggerForm(it, "local", "etl"), _params, "rows"),
    "what silences an alert": Lost(lambda it: AlertDetail(it, ALERT), _silences, "score 0.71"),
    "what a silence would hide": Lost(lambda it: SilenceForm(it, ALERT), _plans, "It would hide"),
}


@pytest.mark.parametrize("name", PAGES)
async def test_each_page_reads_again_what_it_could_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    session, lost = FakeSession(), PAGES[name]
    monkeypatch.setattr(page, "AGAIN_S", 0.05)
    lost.fail(session, monkeypatch, True)
    async with Timed(lost.opened(session)).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "is shutting down" in text_of(pilot.app), "why is said")
        lost.fail(session, monkeypatch, False)
        await until(pilot, lambda: "is shutting down" not in text_of(pilot.app), "read again by itself")
        await until(pilot, lambda: lost.well in text_of(pilot.app), "and shown")
