"""A page about one item: the keys that mean on it what they mean on its row of the overview."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from console.screens.about import copy_command_of, go_there, page_of
from console.screens.page import Page
from console.screens.parts import Paragraphs


class Detail(Page):
    """`subject` is the item as it was last seen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "here('logs')", "logs at the time of this", id="logs.here", show=False),
        Binding("t", "here('timeline')", "timeline at the time of this", id="timeline.here", show=False),
        Binding("comma", "here('')", "runs, logs and timeline at the time of this", id="all.here", show=False),
        Binding("y", "copy", "copy", id="copy.row", show=False, tooltip="copy what this page says"),
        Binding("Y", "copy_command", "copy the teal command that shows this", id="copy.command", show=False),
        Binding("o", "url", "show the URL of this", id="url", show=False),
    ]

    @property
    def subject(self) -> Any:
        """What the page is about."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(page_of(self.app, self.subject)) if action == "url" else True

    def action_here(self, panel: str) -> None:
        """Leave for the overview, which shows `panel`, or all that has a time, as it was then."""
        go_there(self.app, self.subject, panel)

    def action_copy(self) -> None:
        """What is written on the page."""
        self.app.copy("\n".join(part.text for part in self.query(Paragraphs) if part.display))

    def action_copy_command(self) -> None:
        copy_command_of(self.app, self.subject)

    def action_url(self) -> None:
        self.app.say(page_of(self.app, self.subject))
