"""The words of screens: what was wished for and granted is no failure, keys have our words, one is no plural."""

from msgspec.structs import replace
from textual.widgets import Input

from actions.models import ActionError, Step
from actions.telling import step_status
from console.sandbox.control import FAULTS
from console.screens.action import ending
from console.screens.key_help import keys_of
from console.screens.run_detail import RunDetail
from console.screens.source_list import SourceRow
from console.screens.stage_lines import timeline
from panels.keybar import KeyBar
from panels.words import UNICODE
from tests.console.fakes import NOW, FakeSession, incident
from tests.console.screen_fakes import an_action
from tests.console.screens.test_overview import console


def test_a_way_back_that_was_ordered_and_came_is_no_failure() -> None:
    error = ActionError(kind="ordered", message="rollback ordered by root")
    verified = Step(name="verify-back", status="succeeded")
    rows = ending(an_action(status="rolled_back", changed=True, error=error, steps=(verified,)), UNICODE)
    assert [(row.lead.plain, row.body.plain) for row in rows[:2]] == [
        ("✓", "rolled back and verified by fresh requests"),
        ("", "rollback ordered by root"),
    ]
    assert not any("text-error" in str(span.style) for span in rows[1].body.spans)
    words = "rollback ordered by root: GREEN healthy"
    shift = Step(name="shift[10]", status="succeeded")
    judged = Step(name="analyse[10]", status="failed", detail=words)
    action = an_action(status="rolled_back", changed=True, error=error, steps=(shift, judged, verified))
    shown = [row.lead.plain + " " + row.body.plain for row in timeline(action, UNICODE)]
    assert any(line.startswith("▲ 10 %") for line in shown), shown
    assert any("▲ analyse" in line and words in line for line in shown), shown
    assert "✗" not in "".join(shown)
    assert (step_status(action, judged), step_status(action, shift)) == ("stopped", "succeeded")
    assert step_status(replace(action, error=None), judged) == "failed"
    gate = ActionError(kind="gate_failed", message="gate error-rate: 9 % over 5 %")
    rows = ending(an_action(status="rolled_back", changed=True, error=gate), UNICODE)
    assert [row.lead.plain for row in rows[:2]] == ["▲", "✗"]


async def test_the_help_of_a_page_is_in_our_words() -> None:
    async with console(incident(), (120, 40)) as (app, overview, pilot):
        app.open_item(overview.board.listing("pipelines").current)
        await pilot.pause(0.3)
        assert isinstance(app.screen, RunDetail)
        keys = keys_of(app.screen)
        assert all(key.id for key in keys)
        assert not [key.does for key in keys if "selected text" in key.does.casefold()]


async def test_while_a_filter_is_typed_the_last_line_says_what_its_keys_do() -> None:
    async with console(incident(), (80, 24)) as (app, _, pilot):
        await pilot.press("slash", "a")
        await pilot.pause(0.2)
        assert isinstance(app.focused, Input)
        line = app.screen.query_one(KeyBar).text
        assert "Esc clear" in line
        assert "Enter keeps" in app.focused.placeholder
        assert "/ filter" not in line
        assert "? help" not in line  # it would be written into the field


def test_a_source_that_answers_no_more_is_unknown_in_its_list_as_in_its_panel() -> None:
    session = FakeSession()
    session.put("alerts", "am", error="refused")
    (snapshot,) = session.store.snapshots("alerts")
    assert SourceRow(snapshot, NOW).health == "unknown"


def test_the_help_of_break_lists_the_faults() -> None:
    from click.testing import CliRunner

    from console.cli.sandbox import sandbox

    shown = CliRunner().invoke(sandbox, ["break", "--help"]).output
    assert all(name in shown for name in FAULTS)
    listed = CliRunner().invoke(sandbox, ["--help"]).output
    assert "…" not in listed
    assert "..." not in listed.replace("ARGS]...", "").replace("[OPTIONS] COMMAND", "")
