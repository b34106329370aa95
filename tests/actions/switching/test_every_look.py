"""Every fresh request of an action is counted, in whichever phase it was sent: what its own requests saw, it says."""

from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from actions.ids import now
from actions.models import Action, PhaseSeen, SwitchReport
from actions.switching.switch_plan import SELF_TEST_PROBES
from actions.tally import Probe, Tally
from actions.telling import failed_words
from backends.deployments.common import ProbeResult
from console.cli.writing import action_lines
from tests.actions.house import ANALYTICS_FLIP, House
from tests.actions.orders.test_orders import in_phase
from tests.two_colors import TwoColors


async def test_what_fails_in_the_bake_is_counted_with_its_phase(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="600s") as house:
        opened = await in_phase(house, "bake", ANALYTICS_FLIP)
        service.faults["green"].status = 502
        ended = await house.ended(opened)
    assert ended.status == "rolled_back"
    report = ended.switch
    assert report is not None
    assert report.phases["bake"].errors >= 2
    assert {"verify", "bake", "verify-back"} <= set(report.phases)
    assert report.requests == sum(seen.requests for seen in report.phases.values())
    assert report.errors == sum(seen.errors for seen in report.phases.values())
    assert f"{report.errors} failed (bake " in "\n".join(action_lines(ended))


async def test_all_that_came_through_the_router_is_told(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service) as house:
        ended = await house.ended(await house.order(ANALYTICS_FLIP))
    sent = sum("teal-probe" in path for path, _ in service.requests)
    planning, under_way = 2 * SELF_TEST_PROBES, 8
    assert (ended.status, ended.switch and ended.switch.errors) == ("succeeded", 0)
    assert ended.switch is not None
    assert sent - planning - under_way <= ended.switch.requests <= sent - planning


async def test_who_takes_an_action_over_goes_on_counting() -> None:
    earlier = SwitchReport(requests=30, errors=2, first_new_s=0.1, last_old_s=0.2, phases={"bake": PhaseSeen(9, 2)})
    tally = Tally(earlier)
    assert tally.news() is None
    tally.phase = "bake"
    await tally.counted(answer(None, "502"))()
    news = tally.news()
    assert news is not None
    assert (news.requests, news.errors, news.first_new_s) == (31, 3, 0.1)
    assert news.phases == {"": PhaseSeen(requests=21, errors=0), "bake": PhaseSeen(requests=10, errors=3)}
    assert failed_words(news) == " (bake 3 of 10)"


async def test_nothing_is_told_before_traffic_moves() -> None:
    tally = Tally()
    tally.phase = "preflight"
    await tally.counted(answer("blue"))()
    assert tally.news() is None
    tally.begin()
    news = tally.news()
    assert news is not None
    assert news.phases == {"preflight": PhaseSeen(requests=1)}


async def test_what_each_side_took_of_them() -> None:
    tally = Tally()
    for color, named in (("green", ""), (None, "green"), (None, ""), ("blue", "")):
        await tally.counted(answer(color, named=named))()
    own = tally.own("green", now() - timedelta(seconds=5), now())
    assert (own.taken, own.failed, own.unnamed) == (2, 1, 1)
    assert tally.own("green", now() + timedelta(seconds=5), now() + timedelta(seconds=9)).taken == 0


def answer(color: str | None, error: str = "", named: str = "") -> Probe:
    async def probe() -> ProbeResult:
        return ProbeResult(color=color, error=error, at=0.0, named=named)

    return probe


def test_a_report_of_an_earlier_program_names_no_phase() -> None:
    done = Action(id="A1", kind="flip", service="web", status="succeeded", phase="", from_="blue", to="green")
    old = SwitchReport(requests=3, errors=1, first_new_s=0.1, last_old_s=None)
    assert "3 test requests during the switch, 1 failed; " in action_lines(replace(done, switch=old))[1]
