"""A reason is said once; what does not fit beside its lead stands below; nothing is torn that belongs together."""

from typing import Any

import pytest
from textual.content import Content
from textual.widgets import OptionList, Static

from actions.models import Request
from backends.models import Alert, ColorState
from console.screens.deployment_lines import SIDE_COLUMNS, side_indent, side_rows
from console.screens.menu import ActionMenu
from console.screens.parts import Paragraphs, row
from console.screens.plan import PlanScreen
from console.screens.run_detail import RunDetail
from console.screens.task_lines import axis_line, gantt_line, longest, span
from panels.columns import broken, fit, readable, text_of
from panels.columns import row as line_of
from panels.kinds.quality import QUALITY
from panels.words import ASCII, UNICODE
from tests.console.fakes import score
from tests.console.screen_fakes import FakeSession, Holder, a_deployment, a_plan, a_run, ago, said, some_tasks
from tests.console.screen_fakes import text_of as drawn
from tests.console.screens.test_plan_screen import until
from tests.panels.test_kinds import MOMENT

ALERT = Alert(ref="r/1", backend="r", fingerprint="1", name="Errors", severity="critical", state="firing")
SICK = {**a_deployment().colors, "green": ColorState(version="2.4.1", healthy=False, detail="503 from /health")}


async def test_the_menu_says_once_what_several_choices_have_in_common() -> None:
    session = FakeSession(protected=True, read_only=True)
    app = Holder(ActionMenu(session, ALERT))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Errors" in drawn(app), "the menu is open")
        shown = drawn(app)
        assert shown.count("production is read-only (config)") == 1
        prompts = [option.prompt for option in app.screen.query_one(OptionList).options]
        assert all("read-only" not in str(prompt) for prompt in prompts)


async def test_what_one_choice_lacks_is_quieter_than_the_choice_and_stands_below_it() -> None:
    session = FakeSession()
    item = a_deployment(colors=SICK)
    app = Holder(ActionMenu(session, item))
    async with app.run_test(size=(60, 20)) as pilot:
        await until(pilot, lambda: "analytics" in drawn(app), "the menu is open")
        prompts = [option.prompt for option in app.screen.query_one(OptionList).options]
        texts = [prompt.plain if isinstance(prompt, Content) else str(prompt) for prompt in prompts]
        assert all(line.startswith("   ") for text in texts for line in text.split("\n")[1:])
        assert all(len(line) <= 56 for text in texts for line in text.split("\n"))
        assert drawn(app).count("503 from /health") == 1  # above: neither a flip nor stages can be


async def test_what_is_said_above_names_the_keys_that_it_is_about() -> None:
    app = Holder(ActionMenu(FakeSession(), ALERT))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Errors" in drawn(app), "the menu is open")
        assert said(app.screen, "#why") == "e, u: nothing silences it"


class Boxed(Paragraphs):
    """Rows in a given width."""


async def lines_of(rows: list[Any], indent: int, width: int, symbols: Any = UNICODE) -> list[str]:
    paragraphs = Boxed(indent)
    app = Holder(ActionMenu(FakeSession(), ALERT))
    app.symbols = symbols
    async with app.run_test(size=(width, 24)):
        await app.screen.mount(paragraphs)
        paragraphs.show(rows)
        return [line.plain.rstrip() for line in paragraphs._lines(width)]


async def test_health_that_has_no_room_beside_the_numbers_stands_below_them() -> None:
    lines = await lines_of(side_rows(a_deployment(colors=SICK), UNICODE), side_indent(SIDE_COLUMNS), 76)
    at = next(n for n, line in enumerate(lines) if "GREEN" in line)
    assert lines[at + 1] == "    not healthy: 503 from /health"
    wide = await lines_of(side_rows(a_deployment(colors=SICK), UNICODE), side_indent(SIDE_COLUMNS), 118)
    assert any("GREEN" in line and "not healthy: 503 from /health" in line for line in wide)


async def test_a_number_stays_with_its_percent_sign_and_arrows_are_two_characters_in_ascii() -> None:
    said_of = "BLUE 100 % → 0 %     GREEN 0 % → 100 %"
    for width in range(20, 48):
        lines = await lines_of([row("traffic", said_of)], 10, width)
        assert not [line for line in lines if line.strip().startswith("%")]
        assert " ".join(" ".join(lines).split()) == " ".join(f"traffic {said_of}".split())
    plain = await lines_of([row("traffic", said_of)], 10, 70, ASCII)
    assert "BLUE 100 % -> 0 %" in plain[0]


def test_the_same_holds_in_panels() -> None:
    from panels.columns import Cell

    for width in range(12, 40):
        found = broken([Cell("  back to BLUE: 10 % → 0 % of it, at once")], width, 9, 4)
        assert not [line for line in found if text_of(line).strip().startswith("%")]


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (120, 40)])
async def test_which_plan_it_is_is_never_cut_off(size: tuple[int, int]) -> None:
    session = FakeSession()
    request = Request(kind="reject", service="analytics", version="2.4.1")
    session.plans = [a_plan(request)]
    app = Holder(PlanScreen(session, request))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "Reject version" in drawn(app), "the plan is there")
        words = app.screen.query_one("#hash", Static)
        assert "plan 7f3a91c2" in str(words.render())
        assert len(str(words.render())) <= words.content_size.width
        assert "…" not in str(words.render())


def test_bars_have_whole_names_an_axis_and_durations() -> None:
    tasks, now = some_tasks(), ago(0)
    begin, seconds = span(tasks, a_run(), now)
    wide = longest(tasks)
    lines = [gantt_line(task, 80, UNICODE, now, begin, seconds, wide).plain for task in tasks]
    assert "validate_transactions_data" in "".join(lines)
    assert "…" not in lines[0]
    assert any(line.endswith("1m20s") for line in lines)
    axis = axis_line(80, seconds, wide)
    assert axis.index("0s") == max(map(len, (task.task for task in tasks))) + 3
    assert len(axis.rstrip()) <= 80 - 8
    assert all(len(line) <= 80 for line in lines)


async def test_a_run_says_its_error_once_beside_its_log_and_is_named_by_its_time() -> None:
    session = FakeSession()
    run = a_run(run_id="scheduled__2026-11-29T09:59:55.904Z")
    app = Holder(RunDetail(session, run))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "1m20s" in drawn(app), "the tasks are listed")
        assert "#scheduled__" not in drawn(app)
        assert "11-29 09:59" in said_subject(app)
        title = app.screen.query_one("#log-title", Static)
        assert (title.styles.text_wrap, title.styles.text_overflow) == ("nowrap", "ellipsis")


def said_subject(app: Any) -> str:
    return str(app.screen.query_one("#subject", Static).render())


def test_limits_stay_where_there_is_a_trend() -> None:
    scores = [score(f"dataset_{n}", 0.99, "ok", 2) for n in range(4)]
    placed = fit(QUALITY.columns, 65, scores, MOMENT)
    assert {"LIMITS", "TREND"} <= {place.column.title for place in placed}
    zoomed = readable(fit(QUALITY.columns, 196, scores, MOMENT), scores, MOMENT)
    text = text_of(line_of(zoomed, scores[0], MOMENT))
    assert "  " * 20 not in text.rstrip()


async def test_an_error_is_said_short_where_its_log_says_it_in_full() -> None:
    from console.reading.triage import Triage

    session = FakeSession()
    error = "validate: SuiteError: " + "column amount_eur is not in raw_transactions " * 9
    session.triage = lambda run, tasks, log: Triage(
        kind="schema", meaning="another shape", evidence=(error.removeprefix("validate: "), "a line of its own")
    )
    app = Holder(RunDetail(session, a_run(error=error)))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "diagnosis" in drawn(app), "said")
        about = app.screen.query_one("#about", Paragraphs)
        assert "SuiteError" not in about.text
        assert about.text.count("error validate: column amount_eur is not in raw_transactions") == 1
        assert "a line of its own" in about.text
        assert "…" in about.text
        assert len(about.text.splitlines()[1]) < 2 * 80


def test_in_ascii_a_tick_is_a_word() -> None:
    from actions.models import Step
    from console.screens.stage_lines import ticks

    step = Step(name="shift", status="running")
    assert ticks(step, ASCII) == "requested yes  accepted not yet  observed not yet"
    assert ticks(step, UNICODE) == "requested ✓  accepted ·  observed ·"


def test_what_is_wrong_with_a_side_is_not_said_again_of_the_way_back() -> None:
    from datetime import UTC

    from backends.models import RollbackOffer
    from console.screens.deployment_lines import back_row

    offer = RollbackOffer(to="green", ready=False, until=ago(60), reason="503 from /health")
    item = a_deployment(colors=SICK, rollback=offer)
    assert back_row(item, UNICODE, UTC).body.plain == "to GREEN 2.4.1: not ready  503 from /health"
    assert back_row(item, UNICODE, UTC, sides_said=True).body.plain == "to GREEN 2.4.1: not ready"


async def test_a_heading_without_room_has_no_empty_line_below() -> None:
    lines = await lines_of(side_rows(a_deployment(colors=SICK), UNICODE), side_indent(SIDE_COLUMNS), 56)
    assert "COLOR" in lines[0]
    assert lines[1].strip()
