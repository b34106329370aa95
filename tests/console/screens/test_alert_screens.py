"""An alert in full, its acknowledgement by one key, and the form of a silence: keys open plans and write nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList

from actions.models import Finding, Request
from backends.errors import BackendError
from backends.models import Acknowledgement, Alert, Incident, Matcher, Silence
from console.app import TealApp
from console.ports.links import Links
from console.screens.action import ActionScreen
from console.screens.alert_detail import AlertDetail
from console.screens.menu import ActionMenu
from console.screens.parts import Paragraphs
from console.screens.plan import PlanScreen
from console.screens.silence import SilenceForm, lasting, parse_matchers
from panels.keybar import KeyBar
from tests.console import fakes
from tests.console.screen_fakes import HOSTILE, FakeSession, Holder, a_plan, ago, outside, said, text_of
from tests.console.screens.test_plan_screen import SIZE, until

LABELS = {"alertname": "Errors", "dataset": "transactions", "severity": "critical", "pod": "etl-7"}
ALERT = Alert(
    ref="am/1", backend="am", fingerprint="1", name="Errors", severity="critical", state="firing", since=ago(90),
    labels=LABELS, summary="score 0.71 below 0.8", targets=("oncall", "mail"),
    runbook_url="https://runbooks.internal/errors", source_url="http://prometheus:9090/graph?g0.expr=up",
)  # fmt: skip
OTHER = replace(ALERT, ref="am/2", fingerprint="2", labels={**LABELS, "dataset": "customers"})
SILENCE = Silence(
    ref="am/s1", backend="am", id="5c1f", matchers=(Matcher(name="dataset", value="transactions"),), state="active",
    created_by="mia@bastion-1", comment="upstream is late", ends_at=datetime.now(UTC) + timedelta(minutes=30),
    is_ack=True, matches=3,
)  # fmt: skip


@asynccontextmanager
async def console(
    session: fakes.FakeSession, *, size: tuple[int, int] = SIZE
) -> AsyncIterator[tuple[TealApp, Pilot[None]]]:
    app = TealApp(session, now=lambda: fakes.NOW)
    async with app.run_test(size=size) as pilot:
        await pilot.pause(0.1)
        yield app, pilot


class Orders(fakes.FakeSession):
    """Plans what it is asked for, silences what it is told."""

    def __init__(self, why_not: str = "", silences: Any = ()) -> None:
        super().__init__()
        self.why_not = why_not
        self.silences = silences

    async def plan(self, request: Request) -> Any:
        self.calls.append(("plan", request))
        return a_plan(request)

    def impact(self, item: Any) -> list[str]:
        return ["service analytics reads transactions"]

    @property
    def planned(self) -> list[Request]:
        """What was planned, in order."""
        return [what for call, what in self.calls if call == "plan"]


@pytest.mark.parametrize(
    ("pages", "shown"),
    [
        ({}, "http://prometheus:9090/graph?g0.expr=up"),
        ({"dataset": "https://g/d/1?var-dataset={dataset}"}, "https://g/d/1?var-dataset=transactions&from="),
    ],
)
async def test_o_shows_the_dashboard_of_a_row_or_its_own_page(pages: dict[Any, str], shown: str) -> None:
    session = fakes.FakeSession()
    session.links = Links(dashboards=pages)
    async with console(session) as (app, pilot):
        await detail(pilot, app, ALERT)
        assert ("dashboard" in text_of(app)) == bool(pages)
        await pilot.press("o")
        await until(pilot, lambda: shown in app.screen.query_one(KeyBar).text, "the page is said")


async def detail(pilot: Any, app: TealApp, alert: Alert) -> AlertDetail:
    app.call_later(app.open_item, alert)
    await until(pilot, lambda: isinstance(app.screen, AlertDetail) and app.screen.is_current, "the alert is open")
    screen = app.screen
    assert isinstance(screen, AlertDetail)
    return screen


def lines(screen: AlertDetail) -> str:
    return screen.query_one("#lines", Paragraphs).text


# ---- the alert in full


async def test_an_alert_says_all_that_is_known_of_it() -> None:
    session = Orders(silences=[SILENCE])
    ack = Acknowledgement(by="mia", until=fakes.NOW + timedelta(minutes=19), reason="upstream is late")
    known = replace(ALERT, since=fakes.ago(minutes=6), state="acknowledged", raw_state="suppressed", ack=ack)
    session.put("alerts", "am", known)
    async with console(session, size=(120, 50)) as (app, pilot):
        screen = await detail(pilot, app, known)
        await until(pilot, lambda: "Silenced by" in lines(screen), "its silences are read")
        for words in (
            "score 0.71 below 0.8", "acknowledged, severity critical", "2026-08-24 12:56:40 UTC, 6m ago",
            "by mia until 13:21:40 UTC (19m left)", "upstream is late", "https://runbooks.internal/errors",
            "http://prometheus:9090/graph?g0.expr=up", "oncall, mail", "pod etl-7", "acknowledgement by mia@bastion-1",
            'dataset="transactions"', "hides 3", "5c1f", "service analytics reads transactions",
        ):  # fmt: skip
            assert words in lines(screen)
        assert "no longer there" not in text_of(app)
        session.put("alerts", "am", OTHER)
        await until(pilot, lambda: "no longer there" in text_of(app), "it says that it is gone")
        assert "state no longer there; last seen acknowledged, severity critical" in lines(screen)


async def test_a_state_that_nobody_knows_keeps_its_word() -> None:
    session = Orders()
    odd = replace(ALERT, state="unknown", raw_state="muted")
    session.put("alerts", "am", odd)
    async with console(session) as (app, pilot):
        screen = await detail(pilot, app, odd)
        await until(pilot, lambda: "unknown (muted), severity critical" in lines(screen), "it is there")


async def test_silences_that_cannot_be_read_are_not_known_and_none_is_asked_of_a_source_that_only_reads() -> None:
    session = Orders(silences=BackendError("unreachable", "am: connection refused"))
    session.put("alerts", "am", ALERT)
    async with console(session) as (app, pilot):
        screen = await detail(pilot, app, ALERT)
        await until(pilot, lambda: "not known: am: connection refused" in lines(screen), "it is said")
    session = Orders(why_not="alerts.am only reads", silences=AssertionError("asked"))
    session.put("alerts", "am", ALERT)
    async with console(session) as (app, pilot):
        screen = await detail(pilot, app, ALERT)
        await pilot.pause(0.1)
        assert "Silenced by" not in lines(screen)


async def test_the_silences_are_read_again_when_the_state_changes() -> None:
    session = Orders()
    session.put("alerts", "am", ALERT)
    async with console(session) as (app, pilot):
        screen = await detail(pilot, app, ALERT)
        session.silences = [SILENCE]
        session.put("alerts", "am", replace(ALERT, state="silenced"))
        await until(pilot, lambda: "acknowledgement by mia@bastion-1" in lines(screen), "read again")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_labels_are_text_and_the_keys_lead_on(size: tuple[int, int]) -> None:
    hostile = replace(ALERT, name=HOSTILE, labels={HOSTILE: HOSTILE})
    session = Orders()
    session.put("alerts", "am", hostile)
    async with console(session, size=size) as (app, pilot):
        screen = await detail(pilot, app, hostile)
        assert HOSTILE in lines(screen)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ActionMenu), "the menu is open")
        await pilot.press("q", "a")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the plan is open")
        assert [(request.kind, request.ref) for request in session.planned] == [("ack", "am/1")]


# ---- a on the overview


async def test_a_plans_an_acknowledgement_of_the_alert_under_the_cursor() -> None:
    session = Orders()
    session.put("alerts", "am", ALERT)
    async with console(session) as (app, pilot):
        await pilot.press("3", "a")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the plan is open")
        assert session.planned[0] == Request(kind="ack", service="am/1", ref="am/1")


async def test_a_says_why_there_is_nothing_to_acknowledge_with() -> None:
    session = Orders(why_not="alerts.am only reads")
    session.put("alerts", "am", ALERT)
    async with console(session) as (app, pilot):
        await pilot.press("3", "a")
        await until(pilot, lambda: "alerts.am only reads" in text_of_bar(app), "it is said")
        assert session.planned == []


class IncidentSystem:
    """What the console asks of a system of incidents before anything is ordered."""

    links_acks = True

    def order_incident(self) -> None:
        raise AssertionError("a screen wrote")


def incidents(over: datetime | None = None) -> tuple[Orders, Alert]:
    """An alert and the incident that it opened."""
    session = Orders()
    session.searchers["pd"] = IncidentSystem()
    own = Incident(
        id="P1", ref="pd/1", number=7, service="Data", urgency="high", policy="Data on call", assigned=("Alice",),
        alerts=1, alerts_firing=1, opened_by=("am/1",), over_since=over,
    )  # fmt: skip
    incident = replace(ALERT, ref="pd/1", backend="pd", incident=own, labels={}, since=ALERT.since)
    session.put("alerts", "pd", incident)
    if over is None:
        session.put("alerts", "am", replace(ALERT, incident=own))
    return session, incident


async def test_an_incident_and_its_alert_are_one_row_that_is_acknowledged_in_both() -> None:
    session, _ = incidents()
    async with console(session) as (app, pilot):
        await pilot.press("3")
        assert text_of(app).count(ALERT.name) == 1
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the plan is open")
        assert session.planned[0] == Request(kind="ack-incident", service="pd/1", ref="pd/1", params={"also": ["am/1"]})


async def test_an_incident_whose_alert_is_over_says_so_and_is_resolved_by_its_menu() -> None:
    session, incident = incidents(over=fakes.NOW - timedelta(minutes=5))
    session.context = fakes.FakeContext(protected=False)
    async with console(session) as (app, pilot):
        await pilot.press("3")
        assert "alert over, still open" in text_of(app)
        assert "alert over, incident still open since" in text_of(app)
        screen = await detail(pilot, app, incident)
        assert "#7 of Data, urgency high" in lines(screen)
        assert "Alice, by Data on call" in lines(screen)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ActionMenu), "the menu is open")
        assert isinstance(app.screen, ActionMenu)
        assert [choice.id for choice in app.screen.choices] == [
            "alert.acknowledge", "alert.snooze", "alert.resolve", "alert.escalate",
        ]  # fmt: skip
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen), "the plan is open")
        assert session.planned[-1] == Request(kind="resolve", service="pd/1", ref="pd/1")


def text_of_bar(app: TealApp) -> str:
    return app.screen.query_one(KeyBar).text


# ---- the form of a silence


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h", 7200), ("1h30m", 5400), ("until 18:30", 2 * 3600), ("until 16:30", 24 * 3600), ("until 9:00", 59400),
        ("until 2026-08-25 16:30", 24 * 3600), ("until  2026-10-26 16:30", 63 * 24 * 3600 + 3600),
    ],
)  # fmt: skip
def test_how_long_it_lasts(text: str, seconds: float) -> None:
    zone = ZoneInfo("Europe/Berlin")
    at = datetime(2026, 8, 24, 16, 30, tzinfo=zone)
    assert lasting(text, at.astimezone(UTC), zone) == seconds


@pytest.mark.parametrize("text", ["", "2", "until", "until 25:00", "until 2026-08-24 10:00", "until 2026-13-01 10:00"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"not (a duration|like)|must be in|passed|month"):
        lasting(text, fakes.NOW, UTC)


def test_other_matchers_are_words_of_a_shell() -> None:
    found = parse_matchers("""a=x b!='y z' c=~"p.*" """)
    assert list(map(str, found)) == ['a="x"', 'b!="y z"', 'c=~"p.*"']
    assert parse_matchers("") == ()
    for text in ("a", "'open", "a="):
        with pytest.raises(ValueError, match=r"not like|other matchers|no value"):
            parse_matchers(text)


@asynccontextmanager
async def form(session: FakeSession, alert: Alert = ALERT) -> AsyncIterator[tuple[SilenceForm, Pilot[None]]]:
    screen = SilenceForm(session, alert)
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "It would hide" in said(screen, "#matched"), "it was looked at")
        yield screen, pilot


async def tick(pilot: Pilot[None], screen: SilenceForm, index: int) -> None:
    listed = screen.query_one("#labels", OptionList)
    listed.focus()
    listed.highlighted = index
    await pilot.press("space")


def a_session(**changes: Any) -> FakeSession:
    session = FakeSession()
    session.put("alerts", ALERT, OTHER)
    session.plans = [a_plan(findings=(), protected=False, guard_class="1", **changes)]
    return session


async def test_what_identifies_the_alert_is_ticked_and_planned_as_the_alert_itself() -> None:
    session = a_session()
    async with form(session) as (screen, pilot):
        ticks = [str(option.prompt)[:16] for option in screen.query_one("#labels", OptionList).options]
        assert ticks == ['[x] alertname="E', '[x] dataset="tra', '[ ] pod="etl-7"', '[ ] severity="cr']
        assert list(map(str, screen.matchers())) == ['alertname="Errors"', 'dataset="transactions"']
        assert said(screen, "#matched").startswith("It would hide 1 alert now")
        assert "dataset=transactions" in said(screen, "#matched")
        await until(pilot, lambda: outside(screen, "Button, Input, OptionList, KeyBar") == [], "all is on screen")
        screen.query_one("#go", Button).press()
        await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen), "the plan is open")
        assert session.requests[-1] == Request(kind="silence", service="am/1", ref="am/1", for_s=7200)
        await until(pilot, lambda: pilot.app.screen.focused is not None, "the plan has focus")
        pilot.app.screen.query_one("#go", Button).press()
        await until(pilot, lambda: isinstance(pilot.app.screen, ActionScreen), "the action is shown")
        await pilot.press("q")
        await until(pilot, lambda: len(pilot.app.screen_stack) == 1, "the form is passed")


async def test_each_change_is_looked_at_and_planned_as_matchers() -> None:
    session = a_session()
    async with form(session) as (screen, pilot):
        await tick(pilot, screen, 1)
        await until(pilot, lambda: "It would hide 2 alerts now" in said(screen, "#matched"), "one label less")
        screen.query_one("#others", Input).value = "dataset=customers"
        screen.query_one("#for", Input).value = "8h"
        await until(pilot, lambda: "It would hide 1 alert now" in said(screen, "#matched"), "one matcher more")
        assert "dataset=customers" in said(screen, "#matched")
        request = session.requests[-1]
        assert (request.service, request.ref) == ('am/{alertname="Errors", dataset="customers"}', "")
        assert (list(map(str, request.matchers)), request.for_s) == (
            ['alertname="Errors"', 'dataset="customers"'],
            28800,
        )
        assert session.submits == []


async def test_typing_is_looked_at_once() -> None:
    session = a_session()
    async with form(session) as (screen, pilot):
        before = len(session.requests)
        for text in ("1", "10", "10h"):
            screen.query_one("#for", Input).value = text
            await pilot.pause()
        await until(pilot, lambda: len(session.requests) > before, "it was looked at")
        assert [request.for_s for request in session.requests[before:]] == [36000]


async def test_what_cannot_be_read_as_a_silence_is_said_and_goes_nowhere() -> None:
    session = a_session()
    async with form(session) as (screen, pilot):
        for name, value, words in (("for", "soon", "not a duration"), ("others", "x", "not like name=value")):
            screen.query_one(f"#{name}", Input).value = value
            await until(pilot, lambda words=words: words in said(screen, "#worries"), "it is said")
            screen.query_one("#go", Button).press()
            await until(pilot, lambda words=words: words in said(screen, "#said"), "said again")
            screen.query_one(f"#{name}", Input).value = "2h" if name == "for" else ""
        for index in range(2):
            await tick(pilot, screen, index)
        await until(pilot, lambda: "hides everything" in said(screen, "#worries"), "nothing is not silenced")
        assert pilot.app.screen is screen


async def test_many_or_those_of_others_need_their_count() -> None:
    block = Finding(level="block", code="matches-137", text="it would hide 137 alerts", overridable=True)
    session = a_session()
    session.plans = [a_plan(findings=(block,))]
    async with form(session) as (screen, pilot):
        assert "it would hide 137 alerts" in said(screen, "#worries")
        for count in ("", "13", "1370"):
            screen.query_one("#count", Input).value = count
            screen.query_one("#go", Button).press()
            await until(pilot, lambda: screen.focused is screen.query_one("#count"), "it asks")
            screen.query_one("#for").focus()
        assert "type 137 into count" in said(screen, "#said")
        assert all(not request.overrides for request in session.requests)
        screen.query_one("#count", Input).value = "137"
        screen.query_one("#go", Button).press()
        await until(pilot, lambda: session.requests[-1].overrides == ("matches-137",), "planned with it")
        assert isinstance(pilot.app.screen, PlanScreen)


async def test_a_lost_source_is_said_and_labels_are_text() -> None:
    session = a_session()
    session.plans = [BackendError("unreachable", "am: connection refused")]
    screen = SilenceForm(session, replace(ALERT, labels={**LABELS, "x": HOSTILE}))
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "connection refused" in said(screen, "#worries"), "it is said")
        assert "It would hide" not in said(screen, "#matched")
        assert "[bold red]BLUE" in text_of(pilot.app)


async def test_a_long_silence_asks_for_its_reason_in_any_context() -> None:
    session = a_session(needs_reason="over 1d only with a reason")
    screen = PlanScreen(session, Request(kind="silence", service="am/1", ref="am/1", for_s=2e5))
    async with Holder(screen).run_test(size=SIZE) as pilot:
        await until(pilot, lambda: screen.focused is not None, "the form has focus")
        screen.query_one("#go", Button).press()
        await until(pilot, lambda: "over 1d only with a reason" in said(screen, "#said"), "it is said")
        assert session.submits == []
        screen.query_one("#reason", Input).value = "maintenance"
        screen.query_one("#go", Button).press()
        await until(pilot, lambda: session.submits, "submitted")
