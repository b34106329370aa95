"""Lists and pages whose keys say when they have not moved: whoever is asked next, at last the app, says why not."""

from __future__ import annotations

from collections.abc import Callable

from textual.actions import SkipAction
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import OptionList

_UP = ("scroll_up", "page_up", "scroll_home")
_DOWN = ("scroll_down", "page_down", "scroll_end")


def can_scroll(widget: Widget, action: str) -> bool:
    """Whether a scrolling action of `widget` would move it; True for every other action."""
    if action in _UP:
        return widget.scroll_target_y > 0
    return action not in _DOWN or widget.scroll_target_y < widget.max_scroll_y


class Scroll(VerticalScroll):
    """What is longer than its place."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return can_scroll(self, action)


class Options(OptionList):
    """A list to choose from."""

    def notify_style_update(self) -> None:
        """Lines that were drawn in the colors of another theme are drawn anew: a new prompt, be it the same, empties
        what is kept of them."""
        super().notify_style_update()
        if self.is_mounted and self.option_count:
            self.replace_option_prompt_at_index(0, self.get_option_at_index(0).prompt)

    def action_cursor_up(self) -> None:
        self._move(super().action_cursor_up)

    def action_cursor_down(self) -> None:
        self._move(super().action_cursor_down)

    def action_page_up(self) -> None:
        self._move(super().action_page_up)

    def action_page_down(self) -> None:
        self._move(super().action_page_down)

    def action_first(self) -> None:
        self._move(super().action_first)

    def action_last(self) -> None:
        self._move(super().action_last)

    def action_select(self) -> None:
        if self.highlighted is None:
            raise SkipAction
        super().action_select()

    def _move(self, move: Callable[[], None]) -> None:
        before = self.highlighted
        move()
        if self.highlighted == before:
            raise SkipAction
