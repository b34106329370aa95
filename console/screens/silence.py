"""What to silence, and for how long, with what that would hide now; what is written here goes into a plan."""

from __future__ import annotations

import asyncio
import re
import shlex
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from actions.models import Finding, Plan, Refused, Request
from backends.alerts.matchers import in_words, parse_matcher
from backends.errors import BackendError
from backends.models import Alert, Matcher
from backends.settings import Duration
from backends.text import counted
from console.ports.alerts import silencer
from console.screens.moving import Options
from console.screens.order_form import OrderForm
from console.screens.parts import KEY_ORDER, MUTED, Frame, Paragraphs, Row, mark, now, row, style_of
from console.screens.plan_words import refusal, worries
from console.screens.working import work
from panels.keybar import KeyBar

if TYPE_CHECKING:
    from console.session import Session

DEBOUNCE_S = 0.4
READ_TIMEOUT_S = 15.0
MOST_SHOWN = 100
LEAST_LABELS, MOST_LABELS = 2, 7
ELSEWHERE = 14  # lines of the form that are not its labels
FOR = "2h"
_UNTIL = re.compile(r"until\s+(?:(?P<day>\d{4}-\d{2}-\d{2})[ T])?(?P<time>\d{1,2}:\d{2})")
_COUNT = re.compile(r"matches-(\d+)")


def lasting(text: str, at: datetime, zone: tzinfo) -> float:
    """Seconds from `at` that `2h`, `until 18:30` or `until 2026-08-24 18:30` stands for, local time of `zone`.

    A time of day that has passed is tomorrow's. Raises ValueError.
    """
    found = _UNTIL.fullmatch(text.strip())
    if found is None:
        if text.strip().startswith("until"):
            raise ValueError(f'"{text}" is not like "until 18:30" or "until 2026-08-24 18:30"')
        return float(Duration.parse(text.strip()))
    local = at.astimezone(zone)
    day = found["day"] or f"{local:%Y-%m-%d}"
    end = datetime.fromisoformat(f"{day} {found['time']:0>5}").replace(tzinfo=zone)
    if end <= local and not found["day"]:
        end += timedelta(days=1)
    if end <= local:
        raise ValueError(f'"{text}" has passed')
    return (end - at).total_seconds()


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """`a=x b!="y z" c=~"p.*"` as matchers. Raises ValueError saying which word is none."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{error} in the other matchers") from None
    return tuple(parse_matcher(word) for word in words)


class SilenceForm(OrderForm):
    """Labels of an alert to match on, those that identify it ticked; other matchers; a duration.

    Each change is planned anew after a moment, and the alerts that it would hide are listed. More than a hundred, or
    those of other services, are only silenced where their count is typed. The way on is a PlanScreen.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "tick", "tick", id="silence.tick"),
    ]
    DEFAULT_CSS = """
    SilenceForm {
        #labels { height: auto; border: none; padding: 0; background: transparent; }
        #labels > .option-list--option { padding: 0; }
        .field > .hint { width: auto; max-width: 55%; padding-left: 2; }
        #worries { margin-top: 1; max-height: 5; }
        #hidden { margin-top: 1; }
        #said { max-height: 3; }
    }
    """

    def __init__(self, session: Session, alert: Alert) -> None:
        super().__init__(session)
        self.alert = alert
        self.plan: Plan | None = None
        self._labels = [Matcher(name=name, value=value) for name, value in sorted(alert.labels.items()) if value]
        self._identity: tuple[Matcher, ...] = ()
        self._ticked: set[int] = set()
        self._timer: Timer | None = None
        self._unanswered = False  # what stands there is why nothing is known

    # ---- layout

    def compose(self) -> ComposeResult:
        with Frame(title=f"Silence {self.alert.name}", id="frame", fitted=True):
            with Vertical(classes="top"):
                yield Static("What it matches, all of them; Space ticks", classes="hint", markup=False)
                yield Options(id="labels")
                yield from self._field("others", "and", "", "NAME=VALUE != =~ !~ …")
                yield from self._field("for", "for", FOR, "1h, 2h, 8h, 3d or until 18:30")
                yield from self._field("count", "count", "", "type it to hide them all")
                yield Paragraphs(2, id="worries")
            with VerticalScroll(id="hidden", can_focus=False):
                yield Paragraphs(2, id="matched")
            yield from self.bottom()
        yield KeyBar(KEY_ORDER)

    @staticmethod
    def _field(name: str, label: str, value: str, hint: str) -> ComposeResult:
        with Horizontal(classes="field", id=f"{name}-field"):
            yield Static(label, markup=False)
            yield OrderForm.entry(name, value)
            yield Static(hint, classes="hint", markup=False)

    def on_mount(self) -> None:
        self.query_one("#count-field").display = False
        self.query_one(Frame).titles(right=self.place())
        try:
            self._identity = silencer(self.session.adapters, self.alert.backend).ack_matchers(self.alert)
        except BackendError as error:
            self.query_one("#said", Paragraphs).show(refusal(error, self.of))
        self._labels += [matcher for matcher in self._identity if matcher.is_regex]  # what it must not have
        self._ticked = {index for index, matcher in enumerate(self._labels) if matcher in self._identity}
        listed = self.query_one("#labels", OptionList)
        listed.add_options([Option(self._tick(index)) for index in range(len(self._labels))])
        listed.display = bool(self._labels)
        self.query_one("#for").focus()
        self._look_soon()

    def on_resize(self, event: Resize) -> None:
        self.query_one("#labels").styles.max_height = max(LEAST_LABELS, min(MOST_LABELS, event.size.height - ELSEWHERE))

    def redraw(self) -> None:
        self.query_one(Frame).titles(right=self.place())

    # ---- what is asked for

    def matchers(self) -> tuple[Matcher, ...]:
        """What is ticked and what was written. Raises ValueError."""
        chosen = tuple(matcher for index, matcher in enumerate(self._labels) if index in self._ticked)
        found = chosen + parse_matchers(self._value("others"))
        if not found:
            raise ValueError("tick a label, or write a matcher: a silence of nothing hides everything")
        return found

    def request(self) -> Request:
        """Of the alert itself where it is matched on what identifies it, else of the matchers. Raises ValueError."""
        matchers = self.matchers()
        for_s = lasting(self._value("for"), now(), self.session.context.zone)
        if set(matchers) == set(self._identity):
            return Request(kind="silence", service=self.alert.ref, ref=self.alert.ref, for_s=for_s)
        service = f"{self.alert.backend}/{in_words(matchers)}"
        return Request(kind="silence", service=service, matchers=matchers, for_s=for_s)

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    # ---- what it would hide

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.input.id != "count":
            self._look_soon()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._ticked ^= {event.option_index}
        event.option_list.replace_option_prompt_at_index(event.option_index, self._tick(event.option_index))
        self._look_soon()

    def _tick(self, index: int) -> Content:
        return Content.assemble("[x] " if index in self._ticked else "[ ] ", str(self._labels[index]))

    def action_tick(self) -> None:
        """Match on the label under the cursor, or no longer."""
        self.query_one("#labels", OptionList).action_select()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "tick" or isinstance(self.focused, OptionList)

    def _look_soon(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._unanswered = False
        self._timer = self.set_timer(DEBOUNCE_S, self._look)

    def _lost(self, error: Refused | BackendError | TimeoutError) -> None:
        self._unanswered = True
        self._show(refusal(error, self.of), [])

    @work(group="preview", exclusive=True, then="Change a field to look again.", lost=_lost)
    async def _look(self) -> None:
        self.plan = None
        try:
            request, matchers = self.request(), self.matchers()
        except ValueError as error:
            self._show([row(mark("critical", self.of), str(error))], [])
            return
        if not self._unanswered:
            self._show([row("", "looking at what it would hide…", MUTED)], [])
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                asked = silencer(self.session.adapters, self.alert.backend)
                plan, matched = await asyncio.gather(self.session.plan(request), asked.matching(matchers))
        except (Refused, BackendError, TimeoutError) as error:
            self._lost(error)
            self.again(self._look, error)
            return
        self.plan, self._unanswered = plan, False
        self._show(worries(plan.findings, self.of), matched)

    def _show(self, rows: list[Row], matched: list[Alert]) -> None:
        self.query_one("#worries", Paragraphs).show(rows)
        listed = [self._line(alert) for alert in matched[:MOST_SHOWN]]
        if self.plan is not None:
            alerts = counted(len(matched), "alert")
            listed.insert(0, row(Content(f"It would hide {alerts} now"), ""))
        if len(matched) > MOST_SHOWN:
            listed.append(row("", f"and {len(matched) - MOST_SHOWN} more", MUTED))
        self.query_one("#matched", Paragraphs).show(listed)
        self.query_one("#count-field").display = self._to_count is not None

    def _line(self, alert: Alert) -> Row:
        others = " ".join(f"{name}={value}" for name, value in sorted(alert.labels.items()) if name != "alertname")
        text = Content.assemble(alert.name, (f"  {others}", MUTED))
        return Row(mark(alert.health, self.of), text, Content.styled(alert.state, style_of(alert.health)))

    @property
    def _to_count(self) -> Finding | None:
        """What asks for the count of what would be hidden."""
        blocks = [finding for finding in self.plan.findings if finding.level == "block"] if self.plan else []
        return next((each for each in blocks if each.overridable and _COUNT.fullmatch(each.code)), None)

    # ---- on to the plan

    def order(self) -> Request:
        request = self.request()
        if (large := self._to_count) is not None:
            count = large.code.removeprefix("matches-")
            if self._value("count") != count:
                self.query_one("#count").focus()
                raise ValueError(f"type {count} into count, or narrow it down")
            request = replace(request, overrides=(large.code,))
        return request
