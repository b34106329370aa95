"""What a walk over every screen asked for: each item by its letter and number in the list of that walk."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from textual.geometry import Region
from textual.widgets import Input

from backends.models import LogEntry
from console import moment
from console.ports.store import Snapshot, SourceError, SourceKey
from console.screens.choices import choices
from console.screens.log_lines import LogLines
from console.screens.page import Field
from console.screens.parts import Paragraphs
from console.screens.run_detail import RunDetail
from console.screens.source_detail import SourceDetail
from console.screens.trigger import TriggerForm
from panels.columns import Cell, text_of
from panels.edges import Edge
from panels.keybar import KeyBar
from panels.words import UNICODE
from tests.console.fakes import NOW, incident
from tests.console.screen_fakes import FakeSession, Holder, a_deployment, ago
from tests.console.screen_fakes import text_of as screen_text
from tests.console.screens.test_forms import FORMS
from tests.console.screens.test_overview import console
from tests.console.screens.test_plan_screen import a_screen, until

# ---- C7


async def test_a_trigger_says_in_plain_words_what_a_value_may_be_and_what_is_sent() -> None:
    form = TriggerForm(FakeSession(), "local", "etl")
    async with Holder(form).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(form.focused, Input), "a field has the focus")
        said = form.query_one("#about", Paragraphs).text
        assert said.strip().startswith("A value may be JSON (12, true, [1, 2]); anything else is text.")
        assert "Only what you change is sent." in said


# ---- C15


async def test_a_note_is_told_in_the_line_of_keys_and_hides_no_log() -> None:
    async with console(incident(), (80, 24)) as (app, overview, pilot):
        await pilot.press("number_sign", *"seen", "enter")
        await until(pilot, lambda: "noted: seen" in overview.query_one(KeyBar).text, "it is said")
        assert app.screen is overview
        assert not list(app._notifications)


# ---- B16


async def test_the_line_of_an_error_that_was_jumped_to_has_one_ground_from_edge_to_edge() -> None:
    entries = [LogEntry(at=NOW, source="etl", message=f"{word} line", level=word) for word in ("info", "error", "info")]
    async with console(incident(), (80, 24)) as (app, overview, pilot):
        app.open_item(overview.board.listing("pipelines").current)
        await until(pilot, lambda: bool(app.screen.query(LogLines)), "the run is open")
        assert isinstance(app.screen, RunDetail)
        lines = app.screen.query_one(LogLines)
        lines.show(entries, at_error=True)
        lines.action_error(1)
        await pilot.pause()
        strips = lines.render_lines(Region(0, 0, *lines.size))
        marked = next(strip for strip in strips if "error line" in strip.text)
        grounds = {segment.style.bgcolor for segment in marked.crop(0, lines.scrollable_content_region.width)}
        assert len(grounds) == 1, "no patchwork"
        [said] = [segment for segment in marked if "error line" in segment.text]
        red = app.theme_variables["text-error"]
        assert said.style.color.name != red.lower(), "it is seen by its ground"
        other = next(strip for strip in strips if "info line" in strip.text)
        assert grounds != {segment.style.bgcolor for segment in other}


# ---- B25


@pytest.mark.parametrize("name", [*FORMS, "plan"])
async def test_the_underline_of_a_field_goes_as_far_as_the_field(name: str) -> None:
    session = FakeSession()
    screen = a_screen(session) if name == "plan" else FORMS[name](session)
    async with Holder(screen).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(screen.focused, Input), "a field has the focus")
        await pilot.pause(0.1)
        for field in screen.query(Field):
            if field.region.area and not field.value:
                [strip] = field.render_lines(Region(0, 0, *field.size))
                assert "_" * (field.size.width - 1) in strip.text, field.id


# ---- E1


def test_an_edge_has_the_fact_where_there_is_room_and_nothing_else_goes_for_it() -> None:
    edge = Edge(upper=True)
    fact = Cell("validate_transactions_data: 37 unexpected values", "critical")

    def shown(width: int) -> str:
        edge.show([Cell("1 Pipelines", "strong")], [Cell("1 failed", "critical"), Cell("4s")], UNICODE, fact=fact)
        line = text_of(edge.line(width, focused=False))
        assert len(line) == width
        return line

    assert "1 failed · validate_transactions_data: 37 unexpected values · 4s" in shown(120)
    assert "1 failed · validate_transactions_d… · 4s ─╮" in shown(60)
    assert "1 failed · 4s" in shown(40)


async def test_where_a_panel_has_one_row_its_edge_says_why_it_is_bad() -> None:
    session = incident()
    session.put("pipelines", "glue", error="refused")
    async with console(session, (60, 16)) as (app, overview, _):
        box = overview.board.boxes["pipelines"]
        assert box.body.page < 2, "there is no room below"
        assert box.body.edges is not None
        assert box.body.rows.shown[0].reason[:8] in text_of(box.body.edges[0].line(60, focused=False))
    async with console(incident(), (120, 40)) as (app, overview, _):
        box = overview.board.boxes["pipelines"]
        assert box.body.rows.shown[0].reason not in box.caption, "it stands below its row"
        assert box.body.rows.shown[0].reason in screen_text(app)


# ---- E5


def test_the_menu_says_what_would_run_and_until_when_it_did() -> None:
    deployment = a_deployment()
    offer = deployment.rollback
    assert offer is not None
    last = deployment.last_switch
    assert last is not None
    last = replace(last, at=ago(12), from_=offer.to, to=deployment.live)
    found = {choice.key: choice.label for choice in choices(replace(deployment, last_switch=last), FakeSession())}
    version = deployment.colors[offer.to].version
    assert found["b"].startswith(f"roll back to {offer.to.upper()} {version}, live until 1")
    assert found["b"].endswith("s ago")
    assert found["f"] == f"flip traffic to {offer.to.upper()} {version}"
    elsewhere = replace(last, to=offer.to, from_=deployment.live)
    found = {choice.key: choice.label for choice in choices(replace(deployment, last_switch=elsewhere), FakeSession())}
    assert found["b"] == f"roll back to {offer.to.upper()} {version}"


# ---- D4


async def test_a_source_says_how_long_its_reads_took_and_which_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    session, key = incident(), SourceKey("alerts", "slow")
    monkeypatch.setattr(moment, "utc_now", lambda: NOW)
    for minutes, ms in ((5, 7.0), (4, 9.0), (3, 812.0), (2, 7.0)):
        at = NOW - timedelta(minutes=minutes)
        read = Snapshot(key=key, type="alertmanager", fetched_at=at, latency_ms=ms)
        session.store.put(read)
        session.store.put(replace(read, items=()))  # judged anew: no other read
    error = SourceError("unreachable", "refused", "start it")
    session.store.put(Snapshot(key=key, type="alertmanager", fetched_at=NOW, latency_ms=3.0, error=error))
    assert [read.ms for read in session.store.reads(key)] == [7.0, 9.0, 812.0, 7.0, 3.0]
    async with console(session, (80, 24)) as (app, _, pilot):
        app.open_item(key)
        await until(pilot, lambda: bool(app.screen.query("#lines")), "the source is open")
        assert isinstance(app.screen, SourceDetail)
        said = app.screen.query_one("#lines", Paragraphs).text
        assert "▁▁█▁▁  usually 7 ms, at most 812 ms at 12:59:40; 5 reads since 12:57:40" in said
        assert "1 of 5 reads, last at 13:02:40: refused" in said
