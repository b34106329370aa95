"""What the menu offers, and why not; it opens plans and forms and writes nothing."""

from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from textual.widgets import Button, Input

from backends.models import Alert, ColorState, ControllerView, OrderName, OrderOffer, RollbackOffer
from backends.ports import PipelineInfo, PipelineParam
from console.screens.action import ActionScreen
from console.screens.choice import Choice
from console.screens.choices import choices
from console.screens.menu import ActionMenu
from console.screens.params import parse, parse_pairs, write
from console.screens.parts import Paragraphs
from console.screens.plan import PlanScreen
from console.screens.trigger import TriggerForm
from tests.console.screen_fakes import HOSTILE, FakeSession, Holder, a_deployment, a_run, outside, said, text_of
from tests.console.screens.test_plan_screen import SIZE, until

SICK = {**a_deployment().colors, "green": ColorState(version="2.4.1", healthy=False, detail="503 from /health")}
UNSEEN = {**a_deployment().colors, "green": ColorState(version="2.4.1", healthy=None, detail="timeout")}
NOWHERE = "nothing to go back to; teal deploy flip analytics --to GREEN"
UNARMED = "this console is read-only: ! arms it"
ALERT = Alert(ref="r/1", backend="r", fingerprint="1", name="Errors", severity="critical", state="firing")


@pytest.mark.parametrize(
    ("item", "protected", "armed", "read_only", "expected"),
    [
        (a_run(), False, True, False, {"r": "", "t": "", "c": "the run has ended: failed", "p": ""}),
        (a_run(state="running"), False, True, False, {"r": "the run is still running", "c": "", "t": ""}),
        (a_run(state="success"), False, True, False, {"r": "nothing failed in it; t triggers a new run"}),
        (a_run(state="unknown"), False, True, False, {"r": "", "c": ""}),
        (a_run(), True, False, False, dict.fromkeys("rtp", UNARMED)),
        (a_run(), True, True, False, {"r": "", "t": ""}),
        (a_run(), False, True, True, {"r": "sandbox is read-only (config)"}),
        (a_deployment(), False, True, False, {"f": "", "b": ""}),
        (a_deployment(), True, False, False, {"f": UNARMED, "b": ""}),
        (a_deployment(), True, False, True, {"b": "production is read-only (config)"}),
        (a_deployment(colors=SICK), False, True, False, {"f": "GREEN is not healthy: 503 from /health"}),
        (a_deployment(colors=UNSEEN), False, True, False, {"f": "whether GREEN is healthy is not known: timeout"}),
        (a_deployment(live="unknown"), False, True, False, {"f": "what is live is not known", "b": ""}),
        (a_deployment(live="mixed"), False, True, False, {"f": "the layers of truth disagree; b rolls back", "b": ""}),
        (a_deployment(action="7F3"), False, True, False, {"f": "an action is open on it: @ shows it", "b": ""}),
        (a_deployment(rollback=None), False, True, False, {"b": NOWHERE}),
        (a_deployment(rollback=RollbackOffer(to="green", ready=False, reason="sick")), False, True, False, {"b": ""}),
        (ALERT, False, True, False, {"a": "", "s": "", "e": "nothing silences it", "u": "nothing silences it"}),
        (ALERT, True, False, False, {"a": "", "s": ""}),
        (ALERT, True, True, True, dict.fromkeys("aseu", "production is read-only (config)")),
        (replace(ALERT, state="silenced"), False, True, False, dict.fromkeys("aseu", "")),
        (replace(ALERT, state="acknowledged"), False, True, False, dict.fromkeys("aseu", "")),
    ],
)  # fmt: skip
def test_what_is_offered_and_why_not(
    item: Any, protected: bool, armed: bool, read_only: bool, expected: dict[str, str]
) -> None:
    session: Any = FakeSession(protected=protected, armed=armed, read_only=read_only)
    found = {choice.key: choice.reason for choice in choices(item, session)}
    assert {key: found[key] for key in expected} == expected


def test_a_source_that_only_reads_says_why_nothing_is_silenced_there() -> None:
    session: Any = FakeSession()
    session.why_not = "alerts.r only reads"
    why = f"{session.why_not}; run `teal config validate`"
    assert {choice.key: choice.reason for choice in choices(ALERT, session)} == dict.fromkeys("aseu", why)


def test_orders_are_bound_to_the_thing_itself() -> None:
    session: Any = FakeSession()
    by_key = {choice.key: choice.request for choice in choices(a_run(state="running"), session)}
    assert by_key["c"] is not None
    assert (by_key["c"].service, by_key["c"].ref) == ("local/production_data_pipeline", a_run().ref)
    flip = next(choice.request for choice in choices(a_deployment(), session) if choice.key == "f")
    assert flip is not None
    assert (flip.service, flip.to) == ("analytics", "green")


def test_a_remapped_key_is_the_one_that_is_shown() -> None:
    session: Any = FakeSession()
    session.context.keymap["deploy.flip"] = "z"
    assert [choice.key for choice in choices(a_deployment(), session)] == ["z", "d", "w", "b", "h", "j", "i"]


def test_a_live_version_that_was_found_bad_is_accepted_from_the_menu() -> None:
    def accepting(**fields: Any) -> Choice:
        session: Any = FakeSession()
        return next(each for each in choices(a_deployment(**fields), session) if each.id == "deploy.accept")

    assert accepting().reason == "nothing stands against the version that is live"
    live = a_deployment()
    version = live.colors[live.live].version
    found = accepting(rejected=f"live {version} failed at 14:02 CET: a gate\nwhere that is meant: teal deploy accept")
    assert (found.key, found.reason, found.label) == (
        "i", "", f"accept {version}: it is meant to be live all the same"
    )  # fmt: skip
    assert found.request is not None
    assert (found.request.kind, found.request.version) == ("accept", version)


def a_menu(session: FakeSession, item: Any) -> ActionMenu:
    return ActionMenu(session, item)


async def test_a_letter_opens_the_plan_in_place_of_the_menu() -> None:
    session = FakeSession()
    menu = a_menu(session, a_deployment())
    async with Holder(menu).run_test(size=SIZE) as pilot:
        await pilot.press("f")
        await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen), "the plan is open")
        assert menu not in pilot.app.screen_stack
        assert session.submits == []


async def test_what_cannot_be_done_says_why_and_opens_nothing() -> None:
    session = FakeSession()
    menu = a_menu(session, a_deployment(colors=SICK))
    async with Holder(menu).run_test(size=SIZE) as pilot:
        for keys in (["f"], ["up", "enter"]):
            menu.query_one("#said", Paragraphs).show([])
            await pilot.press(*keys)
            await until(pilot, lambda: "GREEN is not healthy" in said(menu, "#said"), "the reason is said")
        assert pilot.app.screen is menu
        assert session.requests == []


async def test_pause_asks_first_which_of_the_two_it_is() -> None:
    session = FakeSession()
    session.info = PipelineInfo(pipeline="etl", paused=True)
    async with Holder(a_menu(session, a_run())).run_test(size=SIZE) as pilot:
        await pilot.press("p")
        await until(pilot, lambda: session.requests, "planned")
        assert session.requests[0].kind == "unpause"


async def test_names_are_never_markup_and_it_fits() -> None:
    session = FakeSession()
    menu = a_menu(session, replace(a_run(), pipeline=HOSTILE, run_id="1"))
    async with Holder(menu).run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert "trigger a new run of [bold red]BLUE[/]" in text_of(pilot.app)
        assert outside(menu, "#box, #choices") == []


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a loaded machine is no defect
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_a_param_is_what_it_was(value: Any) -> None:
    assert parse(write(value)) == value
    assert type(parse(write(value))) is type(value)


def test_words_that_are_no_json_are_strings() -> None:
    assert [parse(text) for text in ("NaN", "500", "1e3", "a b", "", "[1")] == ["NaN", 500, 1000.0, "a b", "", "[1"]
    assert parse_pairs("rows=5 note='a b' x=") == {"rows": 5, "note": "a b", "x": ""}
    for text in ("rows", "=5", "'open"):
        with pytest.raises(ValueError, match=r"NAME=VALUE|other params"):
            parse_pairs(text)


async def test_only_changed_params_are_planned_and_the_way_back_passes_the_form() -> None:
    session = FakeSession()
    form = TriggerForm(session, "local", "etl")
    async with Holder(form).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: form.query_one("#go").display, "the params are there")
        await until(pilot, lambda: outside(form, "Button, Input, KeyBar") == [], "all fields are on screen")
        assert form.params() == {}
        form.query_one("#p0", Input).value = "100"
        form.query_one("#others", Input).value = "no pair"
        form.query_one("#go", Button).press()
        await until(pilot, lambda: "'no' is not NAME=VALUE" in said(form, "#said"), "said")
        form.query_one("#others", Input).value = "full=true"
        form.query_one("#go", Button).press()
        await until(pilot, lambda: session.requests, "planned")
        assert session.requests[0].params == {"rows": 100, "full": True}
        assert session.requests[0].service == "local/etl"
        await until(pilot, lambda: pilot.app.screen.focused is not None, "the plan has focus")
        pilot.app.screen.query_one("#go", Button).press()
        await until(pilot, lambda: isinstance(pilot.app.screen, ActionScreen), "the action is shown")
        await pilot.press("q")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1, "the form is passed")


async def test_a_param_that_cannot_be_is_said_before_there_is_a_plan() -> None:
    session = FakeSession()
    rows = PipelineParam(name="rows", type="integer", default=500, schema={"minimum": 1, "maximum": 1000})
    mode = PipelineParam(name="mode", type="string", default="full", choices=("full", "delta"), description="how much")
    day = PipelineParam(name="day", type="string", required=True)
    session.info = PipelineInfo(pipeline="etl", params=(rows, mode, day))
    form = TriggerForm(session, "local", "etl")
    async with Holder(form).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: form.query_one("#go").display, "the params are there")
        for shown in ("integer, 1 to 1000", "full or delta"):
            await until(pilot, lambda shown=shown: shown in text_of(pilot.app), shown)
        form.query_one("#go", Button).press()
        await until(pilot, lambda: "day: a value is required" in said(form, "#said"), "said")
        form.query_one("#p2", Input).value = "7"
        for field, text, words in (
            ("#p0", "5000", "than 1000"),
            ("#p0", '"x"', "an integer"),
            ("#p1", "half", "delta"),
        ):
            before = form.query_one(field, Input).value
            form.query_one(field, Input).value = text
            await until(pilot, lambda words=words: words in said(form, "#said"), words)
            form.query_one(field, Input).value = before
        assert session.requests == []
        assert form.params() == {"day": "7"}, "a string stays one"
        assert outside(form, "Button, Input, KeyBar") == []


def test_of_a_controller_what_few_have_is_there_only_where_it_is_taken_now() -> None:
    offers = tuple(
        OrderOffer(order=name, allowed=name in ("abort", "pause"), why="" if name in ("abort", "pause") else "no")
        for name in get_args(OrderName)
    )
    view, session = ControllerView(type="argo-rollouts", phase="progressing", orders=offers), FakeSession()
    found = {choice.id: choice for choice in choices(a_deployment(controller=view), session)}
    assert {"deploy.promote", "deploy.abort", "deploy.pause"} <= found.keys()
    assert not {"deploy.retry", "deploy.resume"} & found.keys()
    pause = found["deploy.pause"]
    assert (pause.key, pause.reason) == ("", "")
    assert pause.request is not None
    assert pause.request.kind == "pause-release"
