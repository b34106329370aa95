"""What the page of a service says of its actions, in the list and in the line above it."""

from datetime import timedelta

from console.app import TealApp
from console.screens.deployment_detail import DeploymentDetail
from tests.console.fakes import NOW, FakeSession, deployment
from tests.console.screen_fakes import an_action
from tests.console.screens.test_plan_screen import until


async def test_the_list_follows_an_action_that_nobody_runs_any_more() -> None:
    session = FakeSession()
    running = an_action(started_at=NOW - timedelta(minutes=2))
    item = deployment("analytics", "blue", action=running.id, action_about="canary 25 %, judging")
    session.put("deployments", "analytics", item)
    session.open_ones = [running]
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        page = DeploymentDetail(session, item)
        await app.push_screen(page)
        await until(pilot, lambda: page.history == [running], "its actions")
        left = an_action(started_at=running.started_at, orphaned_since=NOW - timedelta(seconds=9))
        session.open_ones = [left]
        gone = deployment(
            "analytics", "blue", action=running.id, action_about="canary 25 %, judging",
            orphaned_since=left.orphaned_since,
        )  # fmt: skip
        session.put("deployments", "analytics", gone)
        await until(pilot, lambda: page.history == [left], "that nobody runs it")
