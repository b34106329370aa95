"""Several plans agreed to with one press: each is guarded, recorded and carried out as an action of its own."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Static

from actions.models import Action, Consent, Plan, Refused, Request
from actions.telling import outcome, standing
from backends.errors import BackendError
from backends.text import counted
from console.screens import plan_words as words
from console.screens.asking import MAX_AGE_S, PLAN_TIMEOUT_S, REASON_CHARS, SUBMIT_TIMEOUT_S, AskingPage
from console.screens.page import AGAIN_S, PRESS_AGAIN, Field
from console.screens.parts import KEY_ORDER, MUTED, STRONG, Frame, Paragraphs, Row, mark, row, seconds_since
from console.screens.working import IT_MAY_HAVE_BEGUN, Work, work
from panels.keybar import KeyBar

if TYPE_CHECKING:
    from console.session import Session

AT_A_TIME = 4  # a plan asks its system several things, and a system has other users


class Each:
    """One of them: its request, its plan or why there is none, and what became of it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.plan: Plan | None = None
        self.wrong: list[Row] = []
        self.action: Action | None = None
        self.key = f"console-{secrets.token_hex(8)}"

    @property
    def open(self) -> bool:
        """Whether something would be done that nobody has ordered yet."""
        return self.plan is not None and not (self.plan.blocked or self.plan.already or self.action or self.wrong)


class SeveralPlans(AskingPage):
    """Requests of one kind whose plans need no name typed (guard classes 1 and 2).

    The button does all that can be done; what can not is said beside it and left out. A plan that is old, and differs
    when it is made anew, is shown again instead.
    """

    def __init__(self, session: Session, requests: Sequence[Request], verb: str, noun: str) -> None:
        """`verb` and `noun`: what is done to what, as in `Extend` 3 `silence`s."""
        super().__init__(session)
        self.verb, self.noun = verb, noun
        self.each = [Each(request) for request in requests]
        self._planned = self._ordered = False

    def compose(self) -> ComposeResult:
        with Frame(title=self._title, id="frame", fitted=True):
            with VerticalScroll(id="each-scroll"):
                yield Paragraphs(2, id="each")
            with Vertical(classes="bottom"):
                with Horizontal(classes="field", id="reason-field"):
                    yield Static("Reason", markup=False)
                    yield Field("reason", max_length=REASON_CHARS)
                yield Paragraphs(2, id="said")
                with Horizontal(id="buttons"):
                    yield Button(Content("[ Cancel ]"), id="leave", compact=True)
                    yield Button(Content(), id="go", compact=True)
        yield KeyBar(KEY_ORDER)

    def on_mount(self) -> None:
        self.redraw()
        self._make()

    @property
    def _title(self) -> str:
        return f"{self.verb} {counted(len(self.each), self.noun)}"

    # ---- planning

    def _lost(self, error: BackendError) -> None:
        """Of what was neither planned nor ordered yet."""
        for each in self.each:
            if each.plan is None or (self._ordered and each.action is None):
                each.wrong = each.wrong or words.refusal(error, self.of)
        self._planned_all()

    @work(group="plan", exclusive=True, lost=_lost)
    async def _make(self) -> None:
        few = asyncio.Semaphore(AT_A_TIME)

        async def one(each: Each) -> None:
            async with few:
                await self._plan(each)
            self.redraw()

        await asyncio.gather(*map(one, self.each))
        self._planned_all()

    def _planned_all(self) -> None:
        self._planned = True
        self.redraw()
        self.once_seen(self._focus_start)

    async def _plan(self, each: Each) -> None:
        try:
            async with asyncio.timeout(PLAN_TIMEOUT_S):
                each.plan, each.wrong = await self.session.plan(each.request), []
        except (Refused, BackendError, TimeoutError) as error:
            each.wrong = words.refusal(error, self.of)

    def _focus_start(self) -> None:
        self.query_one("#reason" if self._offered else "#leave").focus(scroll_visible=False)

    # ---- what is shown

    @property
    def _must_arm(self) -> bool:
        return not self.armed and any(each.plan.must_be_armed for each in self.each if each.plan)

    @property
    def _why_reason(self) -> str:
        """Why; that the context is protected, before what is only of one of them."""
        plans = [each.plan for each in self.each if each.plan is not None and each.open]
        plans.sort(key=lambda plan: not plan.must_be_armed)
        return next(filter(None, map(words.why_reason, plans)), "")

    @property
    def _offered(self) -> bool:
        return self._planned and not self._ordered and not self._must_arm and any(each.open for each in self.each)

    def redraw(self) -> None:
        if not self.is_attached:
            return
        self.query_one("#each", Paragraphs).show([line for each in self.each for line in self._lines(each)])
        open_ones = sum(each.open for each in self.each)
        offered = self._offered
        self.query_one("#go").display = self.query_one("#reason-field").display = offered
        self.query_one("#go", Button).label = Content(f"[ {self.verb} {counted(open_ones, self.noun)} ]")
        if self._ordered:
            self.query_one("#leave", Button).label = Content("[ Back ]")
        self.query_one(Frame).titles(self._title, Content.assemble(self.place(), "  ", self._progress()))
        if self._must_arm and not self._ordered:
            self._say("this console is read-only: press ! to arm it")

    def _progress(self) -> str:
        if not self._planned:
            return f"planned {sum(bool(each.plan or each.wrong) for each in self.each)} of {len(self.each)}"
        if not self._ordered:
            return f"{sum(each.open for each in self.each)} of {len(self.each)} can be done"
        ended = [each.action for each in self.each if each.action is not None and not each.action.open]
        done = sum(action.status == "succeeded" for action in ended)
        return f"{done} of {len(self.each)} done"

    def _lines(self, each: Each) -> list[Row]:
        plan, action = each.plan, each.action
        subject = words.plan_subject(plan, self.of) if plan else words.request_subject(each.request, self.of)
        if action is not None:
            why = f": {action.error.message}" if action.error else ""
            stands = standing(action)
            lead = mark(stands if not action.open else "running", self.of)
            return [Row(lead, Content.assemble(subject, f"  {outcome(action)}{why}"))]
        if each.wrong:
            return [Row(mark("block", self.of), subject), *each.wrong]
        if plan is None:
            return [Row(Content(" "), Content.assemble(subject, ("  looking at what is there now…", MUTED)))]
        if plan.already:
            return [
                Row(mark("ok", self.of), Content.assemble(subject, ("  already so: nothing would be written", MUTED)))
            ]
        lines = [Row(mark("block" if plan.blocked else "pending", self.of), Content.styled(subject.plain, STRONG))]
        lines += words.worries(plan.findings, self.of)
        return lines + [row("", " ".join(effect.split()), MUTED) for effect in plan.summary.effects]

    def _say(self, text: str) -> None:
        self.query_one("#said", Paragraphs).show([row(mark("warning", self.of), text)] if text else [])

    # ---- agreeing

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "leave":
            self.action_back()
        elif self._offered:
            if self.is_second_enter():
                self._say(PRESS_AGAIN)
                return
            reason = self.query_one("#reason", Input).value.strip()
            if self._why_reason and not reason:
                self._say(self._why_reason)
                self.query_one("#reason").focus()
                return
            self._ordered = True
            self._say("")
            # The app owns this worker: leaving the screen must not cut orders short half way.
            Work(
                node=self, name="order", asked=partial(self._agree, reason), group="orders", owner=self.app,
                then=IT_MAY_HAVE_BEGUN, lost=SeveralPlans._lost,
            ).begin()  # fmt: skip

    async def _agree(self, reason: str) -> None:
        if not await self._same_again():
            self._ordered = False
            self.redraw()
            if self.is_attached:
                self._say("the plans changed since you looked: look again")
            return
        ordered = [each for each in self.each if each.open]
        self.redraw()
        for each in ordered:
            await self._submit(each, reason)
            self.redraw()
        await asyncio.gather(*(self._follow(each) for each in ordered if each.action is not None))
        self.redraw()
        if self.is_attached:
            self.query_one("#leave").focus()

    async def _same_again(self) -> bool:
        """Make those anew that are old; False where what would be done, or what is to be said of it, has changed."""
        same = True
        for each in self.each:
            agreed = each.plan
            if agreed is None or not each.open or (seconds_since(agreed.made_at) or 0.0) <= MAX_AGE_S:
                continue
            await self._plan(each)
            same = same and each.open and each.plan is not None and not words.changed(agreed, each.plan, self.of)
        return same

    async def _submit(self, each: Each, reason: str) -> None:
        plan = each.plan
        assert plan is not None
        consent = Consent(
            confirmed=True, interactive=True, armed=self.armed, reason=reason, plan_hash=plan.hash,
            idempotency_key=each.key,
        )  # fmt: skip
        order = asyncio.ensure_future(self.session.submit(plan, consent))
        order.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            async with asyncio.timeout(SUBMIT_TIMEOUT_S):
                each.action = await asyncio.shield(order)
        except TimeoutError:
            text = "not answered yet: it may have begun; `teal action list --open` shows it"
            each.wrong = [row(mark("warning", self.of), text)]
        except (Refused, BackendError) as error:
            each.wrong = words.refusal(error, self.of)

    async def _follow(self, each: Each) -> None:
        assert each.action is not None
        while each.action.id is not None and each.action.open and self.is_attached:
            try:
                async for action in self.session.watch(each.action.id, in_time=True):
                    each.action, each.wrong = action, []
                    self.redraw()
                return
            except Refused as error:
                each.wrong = words.refusal(error, self.of)
                return
            except BackendError as error:  # it goes on all the same, and comes back with its journal
                each.wrong = words.refusal(error, self.of)
                self.redraw()
            await asyncio.sleep(AGAIN_S)
