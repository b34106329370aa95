"""What was found when the console was walked again by hand."""

import asyncio
from datetime import timedelta
from unittest import mock

import pytest
from msgspec.structs import replace
from textual.events import Key
from textual.geometry import Size
from textual.keys import key_to_character
from textual.widgets import OptionList

from actions.models import Action, PlanSummary, Request, Step
from actions.telling import phase_told
from backends.models import Alert, RollbackOffer, TaskRun
from console.app import TealApp
from console.ports.alerts import _problems
from console.screens import plan_words, stage_lines
from console.screens.action import ActionScreen
from console.screens.everywhere import is_written_on
from console.screens.menu import ActionMenu
from console.screens.overview import Overview
from console.screens.page import Page
from console.screens.parts import Frame
from console.screens.plan import PlanScreen
from console.screens.release import ReleaseForm
from console.screens.run_detail import RunDetail
from console.settling import SETTLE_S
from panels.columns import Moment
from panels.header import Header, Place
from panels.kinds.timeline import ended, events
from panels.themes import THEMES
from panels.words import UNICODE
from tests.console.fakes import NOW, FakeContext, FakeSystem, incident
from tests.console.fakes import deployment as fakes_deployment
from tests.console.screen_fakes import (
    FakeSession,
    Holder,
    a_deployment,
    a_plan,
    a_run,
    ago,
    an_action,
    some_tasks,
    text_of,
)
from tests.console.screen_fakes import FakeSystem as AFakeSystem
from tests.console.screens.test_plan_screen import until


def many_tasks() -> list[TaskRun]:
    task = some_tasks()[1]
    return [replace(task, task=f"ingest_{number}") for number in range(30)]


@pytest.mark.parametrize("twice", [("enter", "enter"), ("escape", "enter"), ("enter", "escape"), ("escape", "escape")])
@pytest.mark.parametrize("opens", ["colon", "number_sign"])
async def test_a_line_that_is_left_twice_in_one_read_leaves_nothing_else(opens: str, twice: tuple[str, ...]) -> None:
    app = TealApp(incident(FakeContext()), now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press(opens)
        await pilot.pause()
        for key in twice:
            app.post_message(Key(key, key_to_character(key)))
        await pilot.pause()
        await until(pilot, lambda: app.screen.is_mounted, "what was opened is there")
        assert isinstance(app.screen_stack[0], Overview)
        assert app.is_running


async def test_no_duration_loses_its_unit_to_the_bar_of_a_long_list(monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession()
    drawn = asyncio.Event()

    async def tasks(*_: object) -> list[TaskRun]:
        await drawn.wait()
        return many_tasks()

    monkeypatch.setattr(AFakeSystem, "tasks", tasks)
    monkeypatch.setattr(session, "compared", lambda *_: asyncio.Event().wait())  # what comes later draws it anew
    async with Holder(RunDetail(session, a_run())).run_test(size=(60, 20)) as pilot:
        await pilot.pause(0.1)
        drawn.set()
        await until(pilot, lambda: "2m20" in text_of(pilot.app), "the tasks are shown")
        lines = [line for line in text_of(pilot.app).splitlines() if " ingest_" in line and "2m20" in line]
        assert lines
        assert all("2m20s" in line for line in lines)


async def test_a_size_that_came_while_a_menu_lay_over_a_run_is_drawn_when_it_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def tasks(*_: object) -> list[TaskRun]:
        return many_tasks()

    monkeypatch.setattr(FakeSystem, "tasks", tasks)
    app = TealApp(incident(FakeContext()), now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("1", "enter")
        await until(pilot, lambda: "2m20" in text_of(app), "the tasks are shown")
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ActionMenu), "the menu is open")
        await pilot.resize_terminal(120, 40)
        await pilot.pause(SETTLE_S + 0.1)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunDetail), "and left")
        listed = app.screen.query_one("#tasks", OptionList)
        await until(pilot, lambda: listed.virtual_size.height == listed.option_count, "each task has one line")
        assert app.screen.has_class("-wide")


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_the_error_of_a_run_says_the_fact_within_two_lines(size: tuple[int, int]) -> None:
    error = (
        'validate_transactions_data: SuiteError: transactions_suite: column "amount_eur" is not in raw_transactions '
        "(transaction_id, customer_id, product_id, transaction_amount, currency, status, transacted_at, run_id)"
    )
    screen = RunDetail(FakeSession(), a_run(error=error))
    async with Holder(screen).run_test(size=size) as pilot:
        await until(pilot, lambda: "1m20s" in text_of(pilot.app), "the tasks are shown")
        lines = text_of(pilot.app).splitlines()
        first = next(number for number, line in enumerate(lines) if " error " in line)
        shown = " ".join(line.strip("│ ") for line in lines[first : first + 2])
        assert '"amount_eur" is' in " ".join(shown.split())
        assert "SuiteError" not in shown
        assert "diagnosis" in lines[first + 2] or "run " in lines[first + 2]


def test_that_one_side_has_all_traffic_is_not_said_of_a_read_from_before_traffic_moved() -> None:
    session = FakeSession()
    offer = RollbackOffer(to=None, ready=False, reason="BLUE has all traffic: a rollback only ends FH5QAX")
    session.put("deployments", a_deployment(rollback=offer))

    def way(action: Action) -> str:
        rows = stage_lines.way_back(action, session.store, UNICODE, session.context.zone)
        return "  ".join(part.plain for each in rows for part in each if part)

    moved = Step(name="shift[10]", status="succeeded", started_at=ago(0), ended_at=ago(-1))
    before = Step(name="shift[10]", status="succeeded", started_at=ago(60), ended_at=ago(59))
    assert "BLUE has all traffic" in way(an_action(steps=(Step(name="deploy", status="running"),)))
    assert "BLUE has all traffic" in way(an_action(steps=(before,)))
    assert way(an_action(steps=(moved,))).startswith("back  traffic has moved since this was read; b looks anew")


async def test_a_form_whose_order_was_given_keeps_nobody_from_the_overview() -> None:
    session = incident(FakeContext())
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        service = session.store.items("deployments")[0]
        form = ReleaseForm(session, service)
        app.push_screen(form)
        await until(pilot, lambda: form.is_mounted and app.screen is form, "the form is open")
        assert is_written_on(app.screen_stack)
        form._planned = PlanScreen(session, Request(kind="release", service="analytics"))
        form._planned._action_id = "01J9ZK3V7F3"
        app.push_screen(ActionScreen(session, "01J9ZK3V7F3"))
        await until(pilot, lambda: app.screen.is_mounted, "its action is open")
        await pilot.press("0")
        await until(pilot, lambda: isinstance(app.screen, Overview), "the overview is shown")


async def test_a_menu_breaks_its_lines_for_the_size_that_there_is_now() -> None:
    session = incident(FakeContext())
    app = TealApp(session, now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("4", "x")
        await until(pilot, lambda: isinstance(app.screen, ActionMenu), "the menu is open")
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: "at once" not in text_of(app) and app.size.width == 60, "it has the new size")
        await pilot.pause(SETTLE_S + 0.1)
        inside = [line.partition("│")[2] for line in text_of(app).splitlines() if " release a version" in line]
        after = text_of(app).splitlines()
        at = next(number for number, line in enumerate(after) if " release a version" in line)
        assert inside
        assert after[at + 1].strip("│ ").startswith("traffic")
        assert after[at + 1].index("traffic") == after[at].index("release a version")


def test_alerts_of_one_name_are_told_apart_on_the_timeline() -> None:
    alerts = [
        Alert(
            ref=f"r/{name}", backend="r", fingerprint=name, name="StaleData", severity="warning", state="firing",
            since=NOW, labels={"dataset": name}, summary="not updated for 609 s",
        )
        for name in ("orders", "users")
    ]  # fmt: skip
    told = [event.text for event in events(alerts, NOW - timedelta(hours=1))]
    assert told == [f"StaleData {name} firing: not updated for 609 s" for name in ("orders", "users")]
    assert [problem.text for problem in _problems(alerts)] == told


def test_bad_data_is_said_once() -> None:
    run = a_run(state="success", error=None, data="critical", data_reason="transactions 0.70 < 0.80")
    assert ended(run) == "bad data: transactions 0.70 < 0.80"


@pytest.mark.parametrize(
    ("phase", "words"), [("analyse[10]", "judging 10 %"), ("bake", "baking"), ("plan", "planning"), ("", "")]
)
def test_a_phase_is_told_in_words(phase: str, words: str) -> None:
    assert phase_told(phase) == words


async def test_a_menu_that_says_what_arms_takes_that_key() -> None:
    app = TealApp(incident(FakeContext(protected=True)), now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("4", "x")
        await until(pilot, lambda: isinstance(app.screen, ActionMenu), "the menu is open")
        assert "! arms it" in text_of(app)
        await pilot.press("!")
        await until(pilot, lambda: isinstance(app.screen, ActionMenu) and "! arms it" not in text_of(app), "armed")
        assert app.armed
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Overview), "and left by one key")


def test_a_long_title_gives_way_before_who_acts_and_what_may_be_done() -> None:
    place = Place(name="production", title="data platform of " * 4, identity="oncall@bastion-1", protected=True)
    with mock.patch.object(Header, "repaint"), mock.patch.object(Header, "size", Size(120, 1)):
        header = Header(place)
        header.show(place, "critical", [], Moment(NOW))
        line = "".join(cell.text for cell in header.line(0))
    for words in ("data platform of", "PRODUCTION", "as oncall@bastion-1", "critical", "READ-ONLY (! arms)", "UTC"):
        assert words in line
    with mock.patch.object(Header, "repaint"), mock.patch.object(Header, "size", Size(80, 1)):
        header.show(place, "critical", [fakes_deployment()], Moment(NOW))
        line = "".join(cell.text for cell in header.line(0))
    said = "PRODUCTION ✗ critical live GREEN 2.4.1 READ-ONLY (! arms) 13:02 UTC"
    assert " ".join(line.split()) == said


async def test_a_list_of_tasks_keeps_no_line_in_the_colors_of_the_theme_before(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tasks(*_: object) -> list[TaskRun]:
        return some_tasks()

    monkeypatch.setattr(FakeSystem, "tasks", tasks)
    app = TealApp(incident(FakeContext(theme="ansi")), now=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("1", "enter")
        await until(pilot, lambda: "1m20s" in text_of(app), "the tasks are shown")
        assert "color(9)" in colors(app), "bright red"
        app.action_look("mono")
        await pilot.pause(0.2)
        assert colors(app) <= {"default", "color(0)", "color(7)", "color(8)"}, "black, white and grey"


def colors(app: TealApp) -> set[str]:
    """The names of those of the sixteen that anything on the screen is drawn in."""
    styles = [segment.style for strip in app.screen._compositor.render_strips() for segment in strip if segment.style]
    return {color.name for style in styles for color in (style.color, style.bgcolor) if color is not None}


@pytest.mark.parametrize("name", ["ansi", "mono"])
def test_no_scrollbar_and_no_link_has_a_hue_which_means_a_state(name: str) -> None:
    variables = THEMES[name].to_color_system().generate()
    shown = {words for key, words in variables.items() if key.startswith("scrollbar") or key == "link-color"}
    assert shown <= {"ansi_default", "ansi_bright_black"}


def test_the_way_back_of_a_plan_comes_before_the_programs_that_it_runs() -> None:
    effects = ("deploy   1 → 2 on GREEN", "runs     ./deploy 2", "smoke    ./smoke", "traffic  BLUE 100 % → 0 %")
    summary = PlanSummary(effects=effects, preconditions=(), undo="teal deploy rollback analytics")
    plan = replace(a_plan(Request(kind="release", service="analytics")), summary=summary)
    leads = [each.lead.plain for each in plan_words.effects(plan, "oncall", preconditions=False)]
    assert leads == ["deploy", "traffic", "as", "undo", "runs", "smoke"]


@pytest.mark.parametrize("size", [(60, 20), (80, 24)])
async def test_a_plan_in_a_protected_context_says_from_where_to_where_at_every_size(size: tuple[int, int]) -> None:
    session = FakeSession(protected=True)
    session.plans = [a_plan(protected=True)]
    screen = PlanScreen(session, Request(kind="rollback", service="analytics"))
    async with Holder(screen).run_test(size=size) as pilot:
        await until(pilot, lambda: "[ Roll back ]" in text_of(pilot.app), "it is planned")
        subject = next(line for line in text_of(pilot.app).splitlines() if "Roll back analytics" in line)
        assert "→" in subject
        assert "…" not in subject
        assert "PRODUCTION" in subject
        assert "traffic" in text_of(pilot.app)


async def test_a_long_name_in_a_title_gives_way_to_where_we_are() -> None:
    frame = Frame(title="Silence " + "DataQualityDegradationOfTheWarehouse" * 3)
    page = Page(FakeSession(protected=True))
    async with Holder(page).run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await page.mount(frame)
        frame.titles(right=page.place())
        await pilot.pause()
        first = text_of(pilot.app).splitlines()[0]
        assert "Silence DataQuality" in first
        assert "PRODUCTION" in first
        assert "armed" in first
