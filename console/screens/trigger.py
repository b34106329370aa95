"""The params of a new run, ready to edit; what is written here goes into a plan, and only from there to the backend."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import DescendantFocus
from textual.widgets import Input, Static

from actions.models import Refused, Request
from backends.errors import BackendError
from backends.pipelines.params import hint, problem
from backends.ports import PipelineParam
from backends.text import clean
from console.ports.pipelines import PIPELINES
from console.screens.order_form import OrderForm
from console.screens.params import parse, parse_pairs, write
from console.screens.parts import KEY_ORDER, MUTED, Frame, Paragraphs, fit, mark, row
from console.screens.plan_words import refusal
from console.screens.working import work
from panels.keybar import KeyBar

if TYPE_CHECKING:
    from console.session import Session

READ_TIMEOUT_S = 15.0
NAME_WIDTH = 22
NOTE_WIDTH = 34


class TriggerForm(OrderForm):
    """One field for each default param of the pipeline, and one for others. Only what was changed is sent."""

    DEFAULT_CSS = """
    TriggerForm {
        .field > Static { width: 24; height: 1; color: $text-muted; }
        .field > .hint { width: 34; margin-left: 2; }
    }
    """

    def __init__(self, session: Session, backend: str, pipeline: str) -> None:
        super().__init__(session)
        self.backend = backend
        self.pipeline = pipeline
        self.known: tuple[PipelineParam, ...] = ()

    def compose(self) -> ComposeResult:
        with Frame(title="Trigger", id="frame", fitted=True):
            with Vertical(classes="top"):
                yield Paragraphs(2, id="about")
            yield VerticalScroll(id="fields", can_focus=False)
            yield from self.bottom()
        yield KeyBar(KEY_ORDER)

    def on_mount(self) -> None:
        self.query_one(Frame).titles(left=f"Trigger {self.pipeline}", right="reading its params…")
        self.query_one("#about", Paragraphs).show([row("", "")])
        self.query_one("#go").display = False
        self._load()

    def _lost(self, error: Refused | BackendError | TimeoutError) -> None:
        self.query_one("#about", Paragraphs).show(refusal(error, self.of))
        self.query_one(Frame).titles(right="not readable")
        self.query_one("#leave").focus()

    @work(exclusive=True, lost=_lost)
    async def _load(self) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                info = await self.session.adapters.of(PIPELINES, self.backend).pipeline(self.pipeline)
        except (Refused, BackendError, TimeoutError) as error:
            self._lost(error)
            self.again(self._load, error)
            return
        self.known = info.params
        about = "A value may be JSON (12, true, [1, 2]); anything else is text. Only what you change is sent."
        rows = [row("", about, MUTED)]
        if info.paused:
            text = "its schedule is paused; a run that is triggered may wait until it is not"
            rows.append(row(mark("warning", self.of), text))
        self.query_one("#about", Paragraphs).show(rows)
        self.query_one(Frame).titles(right=Content.assemble(self.place()))
        await self._add_fields()

    async def _add_fields(self) -> None:
        fields = [self._field(f"p{n}", param.name, _text(param), hint(param)) for n, param in enumerate(self.known)]
        fields.append(self._field("others", "others", "", "NAME=VALUE …"))
        await self.query_one("#fields").mount_all(fields)
        self.query_one("#go").display = True
        self.query(Input).first().focus()

    @staticmethod
    def _field(name: str, label: str, value: str, note: str) -> Horizontal:
        beside = Static(fit(clean(note), NOTE_WIDTH), classes="hint")
        return Horizontal(Static(fit(clean(label), NAME_WIDTH)), OrderForm.entry(name, value), beside, classes="field")

    def params(self) -> dict[str, Any]:
        """What differs from the defaults. Raises ValueError where something of it cannot be."""
        changed: dict[str, Any] = {}
        for number, param in enumerate(self.known):
            text = self.query_one(f"#p{number}", Input).value
            if text == _text(param):
                if found := problem(param):
                    raise ValueError(found)
                continue
            value = text if param.type == "string" and not (param.nullable and text == "null") else parse(text)
            if found := problem(param, value):
                raise ValueError(found)
            if write(value) != write(param.default):
                changed[param.name] = value
        return {**changed, **parse_pairs(self.query_one("#others", Input).value)}

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._say_what_is_wrong()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        self._say_what_is_wrong()

    def _say_what_is_wrong(self) -> None:
        """What is wrong now, else what the param under the cursor is for."""
        said, at = self.query_one("#said", Paragraphs), self.focused
        if not self.query("#others"):  # nothing can be written as long as nothing was read
            return
        try:
            self.params()
        except ValueError as error:
            said.show([row(mark("warning", self.of), str(error))])
        else:
            number = (at.id or "")[1:] if isinstance(at, Input) else ""
            param = self.known[int(number)] if number.isdecimal() else None
            said.show([row("", clean(param.description), MUTED)] if param and param.description else [])

    def order(self) -> Request:
        return Request(kind="trigger", service=f"{self.backend}/{self.pipeline}", params=self.params())


def _text(param: PipelineParam) -> str:
    """The default as it is written into the field: nothing for none, a string as it is."""
    if param.default is None:
        return "" if param.nullable or param.required else "null"
    return param.default if param.type == "string" and isinstance(param.default, str) else write(param.default)
