"""What else decides how a service runs, on its page and in `teal deploy status`: read when it is looked at."""

from typing import Any

from textual.screen import Screen

from backends.errors import BackendError
from backends.models import RunCondition
from console.printing.tables import condition_words
from console.screens.deployment_detail import DeploymentDetail
from console.screens.parts import Paragraphs
from tests.console.screen_fakes import FakeSession, a_deployment
from tests.console.screens.test_plan_screen import Holder, until

SCALER = RunCondition(kind="autoscaler", name="analytics-green", color="green", text="2 of 2 wanted, 1 to 5")
BUDGET = RunCondition(
    kind="disruption-budget", health="unknown", text="disruption budgets: not known: HTTP 403",
    fix="grant list poddisruptionbudgets",
)  # fmt: skip


def shown(screen: DeploymentDetail) -> str:
    return screen.query_one("#conditions", Paragraphs).text


async def test_the_page_shows_it_what_is_amiss_first_and_reads_it_again_only_while_it_is_seen() -> None:
    session = FakeSession()
    session.conditions_known = (SCALER, BUDGET)
    screen = DeploymentDetail(session, a_deployment())
    async with Holder(screen).run_test(size=(140, 45)) as pilot:
        await until(pilot, lambda: "2 of 2 wanted" in shown(screen), "they are shown")
        first, second = [line for line in shown(screen).splitlines() if line.strip()]
        assert "disruption budget" in first
        assert "(grant list poddisruptionbudgets)" in first
        assert "GREEN autoscaler analytics-green  2 of 2 wanted, 1 to 5" in second
        asked = session.conditions_asked
        screen._look_around()
        await until(pilot, lambda: session.conditions_asked > asked, "it is read again")
        await pilot.app.push_screen(Screen())
        asked = session.conditions_asked
        screen._look_around()
        await pilot.pause()
        assert session.conditions_asked == asked


async def test_what_was_read_stays_marked_where_it_can_not_be_read_again(monkeypatch: Any) -> None:
    session = FakeSession()
    session.conditions_known = (SCALER,)
    screen = DeploymentDetail(session, a_deployment())
    async with Holder(screen).run_test(size=(140, 45)) as pilot:
        await until(pilot, lambda: "✓ GREEN autoscaler" in shown(screen), "they are shown")

        async def lost(backend: str) -> None:
            raise BackendError("unreachable", "no route")

        monkeypatch.setattr(session, "conditions", lost)
        screen._look_around()
        await until(pilot, lambda: "? GREEN autoscaler" in shown(screen), "nobody knows whether that is so now")


def test_on_the_command_line_it_is_a_line_with_what_to_do() -> None:
    assert condition_words(a_deployment(), SCALER) == (
        "✓ analytics: GREEN autoscaler analytics-green: 2 of 2 wanted, 1 to 5"
    )
    assert condition_words(a_deployment(), BUDGET).splitlines()[1] == "  grant list poddisruptionbudgets"
