"""Silences as a list: what ends soon, hides nothing, has ended; one or many are extended or ended, each by its plan."""

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace
from textual.widgets import Button, Input

from actions.models import Action, Consent, Finding, Plan, Request
from backends.errors import BackendError
from backends.models import Matcher, Silence
from console.screens.how_long import HowLong
from console.screens.menu import ActionMenu
from console.screens.parts import Paragraphs
from console.screens.plan import PlanScreen
from console.screens.several import SeveralPlans
from console.screens.silence_detail import SilenceDetail
from console.screens.silences import SilencesScreen
from panels.kinds.silences import standing, when_words
from tests.console import fakes
from tests.console.screen_fakes import a_plan, an_action, text_of
from tests.console.screens.test_alert_screens import ALERT, console, text_of_bar
from tests.console.screens.test_plan_screen import until

NOW = fakes.NOW


def silence(name: str, minutes: float, **fields: Any) -> Silence:
    given: dict[str, Any] = {"state": "active", "matches": 1, "created_by": "mia@bastion-1"} | fields
    return Silence(
        ref=f"am/{name}", backend="am", id=name, matchers=(Matcher(name="dataset", value=name),),
        ends_at=NOW + timedelta(minutes=minutes), **given,
    )  # fmt: skip


ALL = [
    silence("long", 300),
    silence("ended", -20, state="expired", matches=0),
    silence("nothing", 60, matches=0),
    silence("soon", 5, matches=3, comment="upstream is late"),
    silence("forgotten", -600, state="expired", matches=0),
    silence("later", 90, state="pending", matches=0, starts_at=NOW + timedelta(minutes=30)),
]


class Orders(fakes.FakeSession):
    """Plans and takes what it is asked; `blocked` names what can not be done."""

    def __init__(self, *silences: Silence, blocked: str = "", **more: Any) -> None:
        super().__init__(**more)
        self.silences, self.blocked = silences, blocked
        self.submits: list[tuple[Plan, Consent]] = []
        self.made_at: datetime | None = None

    async def plan(self, request: Request) -> Plan:
        self.calls.append(("plan", request))
        block = Finding(level="block", code="expired", text="it has expired", fix="make a new one")
        blocked = bool(self.blocked) and self.blocked in request.ref
        changes: dict[str, Any] = {"made_at": self.made_at} if self.made_at is not None else {}
        return a_plan(
            request, findings=(block,) if blocked else (), guard_class="1", protected=False, hash=request.ref, **changes
        )

    async def submit(self, plan: Plan, consent: Consent) -> Action:
        self.submits.append((plan, consent))
        return an_action(id=plan.request.ref, kind=plan.kind, service=plan.service, status="running")

    async def watch(self, action_id: str, *, in_time: bool = False) -> Any:
        yield an_action(id=action_id, kind="extend", service=action_id, status="succeeded", changed=True)

    @property
    def planned(self) -> list[Request]:
        return [what for call, what in self.calls if call == "plan"]


async def opened(pilot: Any, app: Any, alert: Any = None) -> SilencesScreen:
    app.call_later(app.open_silences, alert)
    await until(pilot, lambda: isinstance(app.screen, SilencesScreen) and app.screen.is_mounted, "the list is open")
    screen = app.screen
    assert isinstance(screen, SilencesScreen)
    await until(pilot, lambda: all(not found.unread for found in screen._known.snapshots()), "it was read")
    return screen


def refs(screen: SilencesScreen) -> list[str]:
    return [row.silence.id for row in screen.list.items]


# ---- what it says


async def test_what_ends_soon_is_first_and_what_ended_in_the_hour_last() -> None:
    async with console(Orders(*ALL), size=(120, 40)) as (app, pilot):
        screen = await opened(pilot, app)
        assert refs(screen) == ["soon", "long", "nothing", "later", "ended"]
        assert [row.standing for row in screen.list.items] == [
            "ends soon",
            "active",
            "hides nothing",
            "pending",
            "ended",
        ]
        shown = text_of(app)
        for words in (
            "1 ends soon", "1 hides nothing", "1 ended", "since 12:02", "hides 3 alerts", "hides 1 alert",
            "hides nothing", "5m00s left", "ended 20m ago", "begins in 30m00s", "upstream is late", "mia@bastion-1",
        ):  # fmt: skip
            assert words in shown, words
        app.session.since = timedelta(hours=12)
        screen.show()
        assert refs(screen)[-2:] == ["ended", "forgotten"]


async def test_the_title_says_since_when_some_have_ended_as_soon_as_they_are_listed() -> None:
    session = Orders(*(each for each in ALL if each.state != "expired"))
    async with console(session, size=(120, 40)) as (app, pilot):
        screen = await opened(pilot, app)
        for silences, says in ((ALL, True), (ALL[:1], False)):
            assert ("ended since 12:02" in screen.box.caption) is not says
            session.silences = silences
            await screen._read_one("am")
            assert ("ended since 12:02" in screen.box.caption) is says


def test_a_silence_stands_as_its_clock_says_not_only_as_its_source_said() -> None:
    assert standing(silence("a", -1), NOW) == "ended"
    assert standing(silence("a", 5, state="unknown"), NOW) == "unknown"
    assert when_words(replace(silence("a", 5), ends_at=None), NOW) == "–"


async def test_a_source_that_does_not_answer_is_said_and_nothing_is_called_none() -> None:
    session = Orders()
    session.silences = BackendError("unreachable", "am: connection refused")
    async with console(session) as (app, pilot):
        screen = await opened(pilot, app)
        shown = text_of(app)
        assert "connection refused" in shown
        assert "Nothing is silenced" not in shown
        session.silences = ALL
        screen._ask()
        await until(pilot, lambda: refs(screen)[:1] == ["soon"], "it answers")
        session.silences = BackendError("unreachable", "am: connection refused")
        screen._ask()
        await until(pilot, lambda: "connection refused" in text_of(app), "it is lost again")
        assert refs(screen)[:1] == ["soon"]


async def test_where_nothing_is_silenced_or_can_be_that_is_said() -> None:
    async with console(Orders()) as (app, pilot):
        await opened(pilot, app)
        assert "Nothing is silenced (" in text_of(app)
    async with console(_only_reads()) as (app, pilot):
        await opened(pilot, app)
        assert "Nothing can be silenced from here" in text_of(app)


def _only_reads() -> Orders:
    session = Orders()
    session.why_not = "alerts.rules only reads"
    return session


async def test_it_reads_again_when_the_alerts_of_its_source_were_read() -> None:
    session = Orders()
    async with console(session) as (app, pilot):
        screen = await opened(pilot, app)
        session.silences = ALL
        session.put("alerts", "am", ALERT)
        await until(pilot, lambda: refs(screen)[:1] == ["soon"], "read again")


# ---- from where it is reached


async def test_the_palette_and_an_alert_lead_to_it() -> None:
    session = Orders(*ALL)
    session.put("alerts", "am", ALERT)
    async with console(session) as (app, pilot):
        await pilot.press("colon", *"silences", "enter")
        await until(pilot, lambda: isinstance(app.screen, SilencesScreen), "the list is open")
        await pilot.press("q")
        app.open_item(ALERT)
        await pilot.pause()
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, SilencesScreen), "the list of the alert is open")
        await until(pilot, lambda: "Silences of Errors" in text_of(app), "it says of what")


async def test_a_command_that_is_called_so_is_meant_before_what_only_mentions_it() -> None:
    session = Orders(*ALL)
    session.put("alerts", "am", replace(ALERT, state="silenced"))
    async with console(session) as (app, pilot):
        for panel in ("3", "4"):
            await pilot.press(panel, "colon", *"silences", "enter")
            await until(pilot, lambda: isinstance(app.screen, SilencesScreen), f"the list is open from {panel}")
            await pilot.press("q")


async def test_the_row_of_an_alert_leads_to_what_silences_it_and_another_row_says_what_the_key_is_for() -> None:
    session = Orders(*ALL)
    session.put("alerts", "am", ALERT)
    async with console(session) as (app, pilot):
        await pilot.press("3", "S")
        await until(pilot, lambda: "Silences of Errors" in text_of(app), "the list of the alert is open")
        await pilot.press("q", "4", "S")
        await until(pilot, lambda: "lists what silences an alert" in text_of_bar(app), "it is said")


async def test_an_alert_whose_source_only_reads_says_so() -> None:
    session = _only_reads()
    session.put("alerts", "am", ALERT)
    async with console(session) as (app, pilot):
        app.open_item(ALERT)
        await pilot.pause()
        await pilot.press("S")
        await until(pilot, lambda: "alerts.rules only reads" in text_of_bar(app), "it is said")


# ---- one


async def test_one_is_extended_by_a_time_and_ended_each_through_its_plan() -> None:
    session = Orders(*ALL)
    async with console(session) as (app, pilot):
        await opened(pilot, app)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, HowLong), "it asks for how long")
        app.screen.query_one(Input).value = "soon"
        await pilot.press("enter")
        await until(pilot, lambda: "not a duration" in text_of(app), "that is no time")
        app.screen.query_one(Input).value = "until 15:02"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the plan is open")
        (request,) = session.planned
        assert (request.kind, request.ref) == ("extend", "am/soon")
        assert request.for_s is not None
        assert 7100 < request.for_s <= 7200
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, SilencesScreen), "back")
        await pilot.press("u")
        await until(pilot, lambda: len(session.planned) == 2, "the end is planned")
        assert session.planned[1] == Request(kind="unsilence", service="am/soon", ref="am/soon")
        assert session.submits == []


async def test_a_silence_in_full_says_what_it_hides_and_knows_the_same_keys() -> None:
    hiding = silence("transactions", 30, comment="upstream is late")
    session = Orders(hiding)
    session.put("alerts", "am", ALERT)
    async with console(session) as (app, pilot):
        await opened(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SilenceDetail), "it is open")
        lines = app.screen.query_one("#lines", Paragraphs)
        await until(pilot, lambda: "Errors" in lines.text, "what it hides")
        for words in ('dataset="transactions"', "Hides 1 alert", "upstream is late", "mia@bastion-1", "30m00s left"):
            assert words in lines.text, words
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ActionMenu), "the menu is open")
        menu = app.screen
        assert isinstance(menu, ActionMenu)
        assert [choice.key for choice in menu.choices] == ["e", "u"]
        await pilot.press("q", "u")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the plan is open")
        assert session.planned[0].kind == "unsilence"


async def test_what_has_ended_can_not_be_ordered_about_and_says_so() -> None:
    async with console(Orders(ALL[1])) as (app, pilot):
        screen = await opened(pilot, app)
        for key in ("e", "u", "space"):
            await pilot.press(key)
            await until(pilot, lambda: "it has ended" in text_of_bar(app), "it is said")
            screen.query_one("KeyBar").hush()
        assert app.screen is screen


# ---- many


async def several(pilot: Any, app: Any, session: Orders) -> SeveralPlans:
    screen = await opened(pilot, app)
    await pilot.press("space", "space")
    await until(pilot, lambda: "2 ticked" in screen.box.caption, "two are ticked")
    await pilot.press("u")
    await until(pilot, lambda: isinstance(app.screen, SeveralPlans), "their plans are open")
    await until(pilot, lambda: app.screen.focused is not None, "they can be agreed to")
    found = app.screen
    assert isinstance(found, SeveralPlans)
    return found


async def test_many_are_planned_side_by_side_and_done_with_one_press_each_as_its_own_action() -> None:
    session = Orders(*ALL)
    async with console(session) as (app, pilot):
        screen = await several(pilot, app, session)
        assert sorted(request.ref for request in session.planned) == ["am/long", "am/soon"]
        assert {request.kind for request in session.planned} == {"unsilence"}
        assert session.submits == []
        screen.query_one("#reason", Input).value = "all is well"
        await pilot.press("enter", "enter")
        await until(pilot, lambda: "press it again" in text_of(app), "the finger that led to it orders nothing")
        assert session.submits == []
        screen._arrived_at = 0.0
        await until(pilot, lambda: not screen.query_one("#go").has_class("-active"), "Textual lets it be pressed again")
        await pilot.press("enter")
        await until(pilot, lambda: "2 of 2 done" in text_of(app), "both are done")
        assert {plan.hash for plan, _ in session.submits} == {"am/long", "am/soon"}
        assert {consent.plan_hash for _, consent in session.submits} == {"am/long", "am/soon"}
        assert {consent.reason for _, consent in session.submits} == {"all is well"}
        assert len({consent.idempotency_key for _, consent in session.submits}) == 2
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SilencesScreen), "back")
        assert len(session.submits) == 2


async def test_of_many_what_is_blocked_is_said_and_left_out() -> None:
    session = Orders(*ALL, blocked="long")
    async with console(session) as (app, pilot):
        screen = await several(pilot, app, session)
        assert "1 of 2 can be done" in text_of(app)
        assert "it has expired" in text_of(app)
        screen.query_one("#go", Button).press()
        await until(pilot, lambda: session.submits, "the other one is done")
        await pilot.pause(0.1)
        assert [plan.request.ref for plan, _ in session.submits] == ["am/soon"]


async def test_old_plans_that_changed_are_shown_again_and_nothing_is_done() -> None:
    session = Orders(*ALL)
    session.made_at = NOW - timedelta(days=1000)
    async with console(session) as (app, pilot):
        screen = await several(pilot, app, session)
        session.made_at, session.blocked = None, "long"
        screen.query_one("#go", Button).press()
        await until(pilot, lambda: "changed since you looked" in text_of(app), "it is said")
        assert session.submits == []
        assert screen.query_one("#go").display


async def test_keys_that_are_typed_before_the_plans_can_be_read_do_nothing() -> None:
    session = Orders(*ALL)
    async with console(session) as (app, pilot):
        await opened(pilot, app)
        await pilot.press("asterisk", "u")
        await until(pilot, lambda: isinstance(app.screen, SeveralPlans), "open")
        await pilot.press("enter", "enter", "enter")
        await pilot.pause(0.2)
        assert session.submits == []
        assert isinstance(app.screen, SeveralPlans)


async def test_more_than_twenty_do_not_go_together() -> None:
    session = Orders(*(silence(f"s{number}", 60) for number in range(21)))
    async with console(session) as (app, pilot):
        screen = await opened(pilot, app)
        await pilot.press("asterisk", "u")
        await until(pilot, lambda: "at most 20" in text_of_bar(app), "it is said")
        assert app.screen is screen
        await pilot.press("asterisk")
        assert screen._ticked == set()
