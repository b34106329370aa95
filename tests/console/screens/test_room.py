"""Rows go where there is something to say: panels as tall as their text, reasons in full where there is room."""

import pytest
from msgspec.structs import replace

from backends.models import ColorState, RollbackOffer
from console.screens.shares import shares
from panels.columns import broken, text_of, wrapped
from panels.kinds import pipelines
from panels.kinds.deployments import block
from panels.kinds.timeline import TIMELINE, folded
from panels.kinds.timeline_event import Event
from panels.listing import Listing
from tests.console.fakes import NOW, FakeContext, FakeSession, ago, alert, deployment, incident, run, score
from tests.console.screens.test_overview import console, text
from tests.console.screens.test_plan_screen import until
from tests.panels.test_kinds import MOMENT, Listed

LONG = "validate_transactions_data: SuiteError: transactions_suite: 37 unexpected values in transaction_amount of 50120"


def test_each_gets_what_it_wants_and_the_last_what_is_left() -> None:
    assert shares(22, [6, 6, 22], [6, 6, 8]) == [6, 6, 10]
    assert shares(22, [9, 6, 22], [6, 6, 8]) == [8, 6, 8]
    assert shares(38, [7, 9, 30, 38], [6, 6, 6, 8]) == [7, 9, 11, 11]
    assert shares(18, [4, 5, 6, 3, 0], [3, 3, 3, 3, 0]) == [4, 5, 6, 3, 0]
    assert shares(10, [4, 5, 6, 3, 0], [3, 3, 3, 3, 0]) == [3, 3, 3, 1, 0]
    assert sum(shares(40, [9, 9, 9, 40], [6, 6, 6, 8])) == 40


def test_text_is_broken_between_words_and_cut_only_in_the_last_line() -> None:
    assert wrapped("one two three four", 9, 2) == ("one two", "three fo…")
    assert wrapped("one two three four", 9, 3) == ("one two", "three", "four")
    assert wrapped("漢字漢字漢字", 5, 2) == ("漢字", "漢字漢…"[:2] + "…")
    assert wrapped("short", 9, 3) == ("short",)
    line = [*block(deployment(), MOMENT, 60)[-1]]
    assert [text_of(each) for each in broken(line, 30, 3, 4)] == [
        "  back to BLUE 2.4.0: ready,",
        "    at once  (12m ago)",
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LONG, LONG.replace("SuiteError: ", "")),
        ("load: KeyError: 'amount'", "load: KeyError: 'amount'"),  # the class is what is said
        ("a.b.DbtRuntimeError: Database Error in model x", "Database Error in model x"),
        ("it failed: no such file or directory", "it failed: no such file or directory"),
    ],
)
def test_the_name_of_a_class_is_left_out_where_a_sentence_follows(error: str, words: str) -> None:
    assert pipelines.reason(run("p", "1", "failed", error=error)) == words


async def test_a_reason_takes_more_lines_where_rows_are_free() -> None:
    session = FakeSession()
    session.put("pipelines", "air", run("etl", "1", "failed", started_at=ago(minutes=3), error=LONG))
    async with console(session, (80, 24)) as (_, overview, _pilot):
        listed = overview.board.listing("pipelines")
        drawn = [listed.render_line(y).text.strip("│ ") for y in range(1, listed.size.height - 1)]
        said = " ".join(line.lstrip("▌ ") for line in drawn[1:]).split()
        assert " ".join(said).startswith("validate_transactions_data: transactions_suite: 37 unexpected values in")
        assert not drawn[1].endswith("…")


async def test_rows_are_where_the_content_is_and_not_blank_elsewhere() -> None:
    session = incident()
    async with console(session, (120, 40)) as (app, overview, _pilot):
        boxes = overview.board.boxes
        blank = {
            name: sum(
                not boxes[name].body.render_line(y).text.strip("│▌ ") for y in range(boxes[name].body.size.height)
            )
            for name in ("pipelines", "deployments", "quality", "alerts")
        }
        assert min(blank["pipelines"], blank["deployments"]) == 0, blank
        assert min(blank["quality"], blank["alerts"]) == 0, blank
        assert "T0" in text(app)
        assert boxes["logs"].region.height >= 8


async def test_a_panel_does_not_shrink_while_nobody_needs_its_rows() -> None:
    session = incident()
    async with console(session, (120, 40)) as (app, overview, pilot):
        before = overview.board.boxes["alerts"].region
        session.put("alerts", "am")
        await until(pilot, lambda: "No alerts firing" in text(app), "the alerts are over")
        kept = overview.board.boxes["alerts"].region.height
        assert kept >= before.height
        session.put("quality", "scores")
        await until(pilot, lambda: "No scores yet" in text(app), "nothing wants the rows any more")
        assert overview.board.boxes["alerts"].region.height == kept
        await pilot.resize_terminal(121, 40)
        await until(pilot, lambda: overview.board.boxes["alerts"].region.height < kept, "a new size begins anew")


async def test_at_60_columns_one_panel_stands_below_the_other_and_no_color_is_cut() -> None:
    session = FakeSession(FakeContext(name="sandbox", sandbox=True, protected=False))
    session.put("pipelines", "local", run("production_data_pipeline", "7", "success", started_at=NOW, ended_at=NOW))
    session.put("deployments", "analytics", deployment())
    session.put("quality", "scores", score("orders", 0.99, "ok", 2))
    session.put("alerts", "am", alert("DataQualityDegradation", "critical", 2))
    async with console(session, (60, 20)) as (app, overview, pilot):
        boxes = overview.board.boxes
        assert [boxes[n].region.width for n in ("pipelines", "deployments", "quality", "alerts")] == [60] * 4
        shown = text(app)
        for words in ("▶ GREEN", "BLUE", "production_data_pipeline", "0.99", "DataQualityDegradation", "100 %"):
            assert words in shown
        assert "…" not in "".join(line for line in shown.splitlines() if "GREEN" in line or "BLUE" in line)
        await pilot.press("5")
        assert boxes["logs"].region.height > 10
        await pilot.press("0")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: boxes["deployments"].region.x > 0, "two columns again")
        assert boxes["pipelines"].region.y == boxes["deployments"].region.y


def test_the_verdict_on_the_way_back_comes_first_where_it_is_narrow() -> None:
    colors = {
        "green": ColorState(version="2.4.1", weight_pct=100, healthy=True),
        "blue": ColorState(version="2.4.0", weight_pct=0, healthy=False),
    }
    bad = deployment(colors=colors, rollback=RollbackOffer(to="blue", ready=False, reason="HTTP 503, status down"))
    none = deployment(rollback=None, last_switch=None)

    def back(item: object, width: int, lines: int = 1) -> str:
        told = block(item, replace(MOMENT, lines=lines), width)
        return " ".join(" ".join(text_of(line).split()) for line in told[3:])

    assert back(bad, 60) == "back to BLUE 2.4.0: not ready, HTTP 503, status down"
    assert back(bad, 28).startswith("back: not ready, HTTP 503, status down")
    assert back(bad, 28, 3) == "back: not ready, HTTP 503, status down, to BLUE 2.4.0"
    assert back(deployment(), 28) == "back: ready, to BLUE 2.4.0"
    assert back(none, 28) == "no way back: no switch yet"


async def test_what_nobody_is_at_begins_with_its_worst_row_and_never_with_half_of_one() -> None:
    session = FakeSession()
    session.put("alerts", "am", *[alert(f"A{n}", "critical", n + 1, summary=f"why {n}") for n in range(8)])
    async with console(session, (80, 24)) as (_, overview, pilot):
        listed: Listing[object] = overview.board.listing("alerts")
        await pilot.press("3", *"jjjjj", "0")
        await pilot.pause(0.2)
        first = listed.render_line(0).text
        assert "A" in first
        assert "why" not in first
        await pilot.press("tab")
        await pilot.pause(0.2)
        assert listed.top == 0


def test_the_timeline_says_repeats_once_and_no_column_is_kept_for_what_is_not_there() -> None:
    bad = run("monitoring_and_alerting", "1", "failed", ended_at=ago(minutes=9))
    events = [
        Event(f"r{n}", ago(minutes=9 - n), "critical", f"monitoring_and_alerting #{n} failed: no answer", bad, "run")
        for n in range(3)
    ]
    assert [(e.ref, e.times) for e in folded(events)] == [("r0", 3)]
    first = replace(events[0], t0=True)
    assert [(e.times, e.t0) for e in folded([first, *events[1:]])] == [(1, True), (2, False)]
    other = replace(events[1], text="note", item=alert("x", "critical", 3), kind="alert")
    assert len(folded([events[0], other, events[2]])) == 3
    lines = Listed(TIMELINE, events).lines(80)
    assert len(lines) == 1
    assert "monitoring_and_alerting #2 failed ×3: no answer" in lines[0]
    before = replace(events[0], before="16m before")
    assert "-16m" in Listed(TIMELINE, [before, first]).lines(60)[0]


async def test_the_wheel_goes_past_a_row_that_is_higher_than_its_steps() -> None:
    session = FakeSession()
    long = "why " * 40
    session.put("alerts", "am", *[alert(f"A{n}", "critical", n + 1, summary=long) for n in range(8)])
    async with console(session, (120, 24)) as (_, overview, pilot):
        await pilot.press("3")
        await pilot.pause(0.2)
        listed: Listing[object] = overview.board.listing("alerts")
        tops = [listed.top]
        for _ in range(8):
            listed.scroll_to_line(listed.top + 3)
            tops.append(listed.top)
        assert tops == sorted(tops)
        assert listed.top + listed.page >= listed.total
        for _ in range(12):
            listed.scroll_to_line(listed.top - 3)
        assert listed.top == 0
