"""From `exit` until the last widget is gone: what is typed or drawn meanwhile acts on nothing any more."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import RenderableType
from textual import events
from textual.actions import ActionParseResult
from textual.app import App, ScreenStackError
from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.widget import MountError

GONE = (MountError, NoMatches, ScreenStackError)  # of a widget that is taken down, or of its screen


class Leaving(App[None]):
    """`left_with`: the exit code once it leaves; None until then."""

    left_with: int | None = None

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        """As any app, and no key acts from now on."""
        self.left_with = return_code
        super().exit(result, return_code, message)

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """As any app; True without doing anything once it leaves."""
        return self.left_with is not None or await super().run_action(action, default_namespace, namespaces)

    async def on_event(self, event: events.Event) -> None:
        """As any app, without what is typed, pointed at or resized once it leaves."""
        if self.left_with is None or not isinstance(event, events.InputEvent | events.Resize):
            await super().on_event(event)
