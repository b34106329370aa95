"""Before a write: what would be done, what worries about it, and the one place where an operator agrees to it."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize, ScreenResume
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from actions.kinds import kind_of
from actions.models import Consent, Plan, Refused, Request
from backends.errors import BackendError
from console.screens import plan_words as words
from console.screens.asking import MAX_AGE_S, PLAN_TIMEOUT_S, REASON_CHARS, SUBMIT_TIMEOUT_S, AskingPage
from console.screens.page import PRESS_AGAIN, Field
from console.screens.parts import KEY_ORDER, MUTED, Frame, Paragraphs, Row, mark, row, seconds_since, style_of
from console.screens.working import IT_MAY_HAVE_BEGUN, Work, work
from panels.keybar import KeyBar
from panels.words import ago

if TYPE_CHECKING:
    from console.session import Session

AGE_STEP_S = 5
_KEYS = "Tab moves, Enter presses"


class PlanScreen(AskingPage):
    """Plans a request, shows it, and submits it only when its button is pressed.

    No letter executes; Enter presses what has focus, which starts on the reason (a rollback: on Cancel), and goes from
    there to the button, which takes no second Enter of the same half second. Keys typed before the form was on screen
    are dropped. A plan older than `MAX_AGE_S` is made anew before it is submitted, and shown again instead where it
    changed. The way on is an ActionScreen in place of this one.
    """

    VERTICAL_BREAKPOINTS = [(0, "-short"), (22, "-tall")]  # noqa: RUF012 (Textual's own annotation)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "view", "all checks", id="plan.view", tooltip="every check, and what must hold at the write"),
    ]
    DEFAULT_CSS = """
    PlanScreen {
        #subject { height: 1; margin-bottom: 1; }
        #worries-scroll { height: auto; margin-bottom: 1; }
        #assurances { margin-bottom: 1; }
        .field > .hint { width: auto; max-width: 50%; padding-left: 2; }
        #hash { width: 1fr; text-align: right; color: $text-muted; }
        &.-short #subject, &.-short #worries-scroll, &.-short #assurances { margin-bottom: 0; }
        &.-short #reason-field, &.-short #buttons { margin-top: 0; }
    }
    """

    def __init__(self, session: Session, request: Request) -> None:
        super().__init__(session)
        self.request = request
        self.plan: Plan | None = None
        self.submitting = False
        self._refusal: list[Row] = []
        self._notes: list[Row] = []
        self._all_checks = False
        self._asked = False
        self._key = ""
        self._action_id = ""

    @property
    def submitted(self) -> bool:
        """True once an action came of it."""
        return bool(self._action_id)

    # ---- layout

    def compose(self) -> ComposeResult:
        with Frame(title="Plan", id="frame", fitted=True):
            with Vertical(classes="top"):
                yield Static(id="subject", markup=False)
                with VerticalScroll(id="worries-scroll", can_focus=False):
                    yield Paragraphs(2, id="worries")
            with VerticalScroll(id="details", can_focus=False):
                yield Paragraphs(2, id="assurances")
                yield Paragraphs(10, id="effects")
            with Vertical(classes="bottom"):
                yield from self._fields()
                yield Paragraphs(2, id="said")
                with Horizontal(id="buttons"):
                    yield Button(Content("[ Cancel ]"), id="leave", compact=True)
                    yield Button(Content(f"[ {words.button(self.request)} ]"), id="go", compact=True)
                    yield Static(id="hash", markup=False)
        yield KeyBar(KEY_ORDER)

    def _fields(self) -> ComposeResult:
        for name in ("reason", "context"):
            with Horizontal(classes="field", id=f"{name}-field"):
                yield Static(name.capitalize(), markup=False)
                yield self._input(name)
                yield Static(id=f"{name}-hint", classes="hint", markup=False)

    @staticmethod
    def _input(name: str) -> Input:
        return Field(name, max_length=REASON_CHARS)

    def on_mount(self) -> None:
        for name in ("#reason-field", "#context-field", "#go", "#said"):
            self.query_one(name).display = False
        if not self.request.order and (leave := kind_of(self.request.kind).leave):
            self.query_one("#leave", Button).label = Content(f"[ {leave} ]")
        self._show()
        self._make()
        self.set_interval(1.0, self._tick)

    def on_resize(self, event: Resize) -> None:
        self.query_one("#worries-scroll").styles.max_height = max(3, event.size.height * 2 // 5)
        self._show_subject()

    def on_screen_resume(self, event: ScreenResume) -> None:
        if self._action_id:
            self.call_later(self._go_on)

    # ---- planning

    def _lost(self, error: BackendError) -> None:
        self._refusal = words.refusal(error, self.of)
        self._made()

    @work(group="plan", exclusive=True, lost=_lost)
    async def _make(self) -> None:
        await self._plan()
        self._made()

    def _made(self) -> None:
        self._show()
        self.once_seen(self._focus_start)

    async def _plan(self) -> bool:
        """Make the plan. False where there is none, and why is on screen."""
        try:
            async with asyncio.timeout(PLAN_TIMEOUT_S):
                self.plan = await self.session.plan(self.request)
        except (Refused, BackendError, TimeoutError) as error:
            self._refusal = words.refusal(error, self.of)
            if self.plan is None:
                self.again(self._make_again, error)
            return False
        self._refusal = []
        return True

    @work(group="plan", exclusive=True, lost=_lost)
    async def _make_again(self) -> None:
        """What keys act on stays where it is: what is shown has changed under the eyes of whoever reads it."""
        if self.plan is None and not self.submitting:
            await self._plan()
            self._show()

    def _focus_start(self) -> None:
        """Where one confirmation is enough, it does not start under the finger."""
        forward = self._offered and self.plan is not None and self.plan.guard_class != "R"
        self.query_one("#reason" if forward else "#leave").focus(scroll_visible=False)

    # ---- what is shown

    @property
    def _must_arm(self) -> bool:
        return self.plan is not None and self.plan.must_be_armed and not self.armed

    @property
    def _must_type(self) -> bool:
        return self.plan is not None and self.plan.must_be_armed and self.plan.guard_class == "3"

    @property
    def _why_reason(self) -> str:
        return words.why_reason(self.plan) if self.plan is not None else ""

    @property
    def _offered(self) -> bool:
        plan = self.plan
        return not (plan is None or plan.blocked or plan.already or self._refusal or self._must_arm)

    def redraw(self) -> None:
        before = self.query_one("#go").display
        self._show()
        if self.takes_keys and self._offered and not before:  # armed now: it is a plan like every other
            self._focus_start()

    def _show(self) -> None:
        plan = self.plan
        self._show_subject()
        self._show_age()
        self.query_one("#worries", Paragraphs).show(self._worries())
        self.query_one("#worries-scroll").display = bool(self._worries())
        findings = plan.findings if plan else ()
        self.query_one("#assurances", Paragraphs).show(
            words.assurances(findings, self.of, all_of_them=self._all_checks)
        )
        self.query_one("#effects", Paragraphs).show(
            words.effects(plan, self.session.context.identity, preconditions=self._all_checks) if plan else []
        )
        offered = self._offered
        self.query_one("#go").display = offered
        self.query_one("#reason-field").display = offered
        self.query_one("#context-field").display = offered and self._must_type
        self.query_one("#reason-hint", Static).update("" if self._why_reason else Content("may stay empty"))
        name = self.session.context.name
        self.query_one("#context-hint", Static).update(Content.assemble("type ", (name, "bold"), " to confirm"))
        self.query_one("#hash", Static).update(Content(self._hash_words()))

    def _hash_words(self) -> str:
        """Which plan it is, and which keys press it where there is room for that."""
        if self.plan is None:
            return ""
        which = f"plan {words.short(self.plan.hash)}"
        buttons = [each for each in self.query(Button) if each.display]
        room = self.app.size.width - 4 - sum(len(str(each.label)) + 5 for each in buttons)
        return f"{_KEYS}   {which}" if len(_KEYS) + 3 + len(which) <= room else which

    def _show_subject(self) -> None:
        what = words.plan_subject(self.plan, self.of) if self.plan else words.request_subject(self.request, self.of)
        width = self.query_one("#subject").content_size.width or self.app.size.width - 4
        self.query_one("#subject", Static).update(self.with_place(what, width))

    def _show_age(self) -> None:
        age = seconds_since(self.plan.made_at) if self.plan else None
        if self.submitting:
            text = "submitting…"
        elif age is None:
            text = "no plan" if self._refusal else "planning…"
        elif age > MAX_AGE_S:
            text = f"made {ago(age)} ago, it will be made anew"
        else:
            text = "just made" if age < AGE_STEP_S else f"made {ago(age // AGE_STEP_S * AGE_STEP_S)} ago"
        self.query_one("#frame", Frame).titles(right=text)

    def _tick(self) -> None:
        self._show_age()

    def _worries(self) -> list[Row]:
        rows = [*self._notes, *self._refusal]
        if self.plan is None:
            return rows or [row("", "looking at what is there now…", MUTED)]
        if self.plan.already:
            fine = not any(finding.level != "ok" for finding in self.plan.findings)
            rows.append(row(mark("ok", self.of) if fine else "", "already so: nothing would be written"))
        if self._must_arm and not self.plan.blocked:
            text = "this console is read-only: press ! to arm it"
            rows.append(row(mark("block", self.of), text, style_of("block")))
        rows += words.worries(self.plan.findings, self.of)
        past = words.all_the_same(self.plan, self.session.context.name)
        return [*rows, row("", past, MUTED)] if past else rows

    def _say(self, text: str) -> None:
        self.query_one("#said", Paragraphs).show([row(mark("warning", self.of), text)] if text else [])

    # ---- agreeing

    def on_input_changed(self, event: Input.Changed) -> None:
        """What was asked for is no longer lacking once it stands there."""
        event.stop()
        if self._asked:
            lacking = self._lacking()
            self._asked = lacking is not None
            self._say(lacking[1] if lacking else "")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "leave":
            self.action_back()
        elif not self.submitting and self._offered:
            if self.is_second_enter():
                self._say(PRESS_AGAIN)
                return
            if (lacking := self._lacking()) is not None:
                name, text = lacking
                self._asked = True
                self._say(text)
                self.query_one(f"#{name}").focus()
                return
            self.submitting = True
            self._say("")
            self._show_age()
            # The app owns this worker: leaving the screen must not cut an order short half way.
            Work(
                node=self, name="order", asked=self._agree, group="orders", owner=self.app, then=IT_MAY_HAVE_BEGUN,
                lost=PlanScreen._not_ordered,
            ).begin()  # fmt: skip

    def _lacking(self) -> tuple[str, str] | None:
        """The field in which something is still to be typed, and what."""
        if self._why_reason and not self._value("reason"):
            return "reason", self._why_reason
        if self._must_type and self._value("context") != self.session.context.name:
            return "context", f"type {self.session.context.name} into Context to confirm"
        return None

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    async def _agree(self) -> None:
        agreed, reason = self.plan, self._value("reason")
        assert agreed is not None
        typed = self._value("context") if self._must_type else ""
        if (seconds_since(agreed.made_at) or 0.0) > MAX_AGE_S and not await self._same_again(agreed):
            self._stay()
            return
        plan = self.plan or agreed
        # One key until there is an answer: pressing again after silence is the same order, not a second one.
        self._key = self._key or f"console-{secrets.token_hex(8)}"
        consent = Consent(
            confirmed=True,
            interactive=True,
            armed=self.armed,
            typed_context=typed,
            reason=reason,
            plan_hash=plan.hash,
            idempotency_key=self._key,
        )
        order = asyncio.ensure_future(self.session.submit(plan, consent))
        order.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            async with asyncio.timeout(SUBMIT_TIMEOUT_S):
                action = await asyncio.shield(order)
        except TimeoutError:
            self._stay("not answered yet: it may have begun; `teal action list --open` shows it")
            return
        except (Refused, BackendError) as error:
            self._key = ""
            self._refusal = words.refusal(error, self.of)
            self._stay()
            return
        if action.id is None:
            self._stay("nothing was to be done: it is so already")
            return
        self._action_id = action.id
        self._go_on()

    def _not_ordered(self, error: BackendError) -> None:
        self._refusal = words.refusal(error, self.of)
        self._stay()

    def _go_on(self) -> None:
        """The action in place of its plan, as soon as nothing lies over it."""
        if not (self.is_attached and self.is_current):
            return
        self.app.show_submitted(self._action_id)

    async def _same_again(self, agreed: Plan) -> bool:
        """Plan anew; False, with the reason on screen, where what was agreed to is no longer what would be done."""
        if not await self._plan():
            return False
        self._notes = words.changed(agreed, self.plan, self.of) if self.plan else []
        return not self._notes and self._offered

    def _stay(self, text: str = "") -> None:
        self.submitting = False
        if self.is_attached:
            self._show()
            self._say(text)
            focused: Widget | None = self.focused
            if focused is None or not focused.display or not self._offered:
                self.query_one("#leave").focus()

    # ---- keys

    def action_view(self) -> None:
        """All checks and preconditions, or one line of them."""
        self._all_checks = not self._all_checks
        self._show()

    def action_back(self) -> None:
        if self.submitting:
            self._say("being submitted; it is on screen in a moment")
            return
        offered = self._offered
        super().action_back()
        if offered:
            self.app.say("left the plan: nothing was sent")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "view":
            return self.plan is not None and not isinstance(self.focused, Input)
        return True
