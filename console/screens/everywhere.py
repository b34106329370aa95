"""The keys that a user may press on every screen, and what is said where one can not act there.

Whatever has focus comes first, then its screen, then the app: a key that neither has taken comes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from textual.binding import Binding
from textual.screen import Screen

from backends.models import Alert, CheckResult, Deployment, LogEntry, PipelineRun, QualityScore, Silence, TimelineEvent
from console.screens.about import time_of
from console.screens.places import keyed

_ON_OVERVIEW = "that works on the overview: 0 shows it"
_IN_LOGS = "that is for log lines: 5 shows them"
_NO_ROW = "there is no other row that way"
_NOTHING_HERE = "there is nothing under the cursor"
WRITING = "a plan or a form is open: Esc leaves it first"


class Everywhere(Struct, frozen=True):
    """A key of every screen, by the id that a keymap knows. `why` is said where nothing has taken it; `{this}` is what
    the screen is about."""

    id: str
    keys: str
    why: str


KEYS: tuple[Everywhere, ...] = (
    Everywhere("back", "escape,backspace", "there is nothing to go back to; q leaves"),
    Everywhere("quit", "q", "there is nothing to go back to"),
    Everywhere("list.open", "enter", "there is nothing to open here"),
    Everywhere("list.up", "up,k", _NO_ROW),
    Everywhere("list.down", "down,j", _NO_ROW),
    Everywhere("list.page_up", "pageup", _NO_ROW),
    Everywhere("list.page_down", "pagedown", _NO_ROW),
    Everywhere("list.first", "g,home", _NO_ROW),
    Everywhere("list.last", "G,end", _NO_ROW),
    Everywhere("panel.next", "tab", "there is nothing else to move to"),
    Everywhere("panel.previous", "shift+tab", "there is nothing else to move to"),
    Everywhere("filter", "slash", "there is no list to filter here"),
    Everywhere("logs.filter", "ampersand", _IN_LOGS),
    Everywhere("match.next", "n", "there is no further match"),
    Everywhere("match.previous", "N", "there is no match before this"),
    Everywhere("logs.here", "l", "{this} has no time to go to"),
    Everywhere("timeline.here", "t", "{this} has no time to go to"),
    Everywhere("all.here", "comma", "{this} has no time to go to"),
    Everywhere("now", "full_stop", _ON_OVERVIEW),
    Everywhere("since.less", "left_square_bracket", _ON_OVERVIEW),
    Everywhere("since.more", "right_square_bracket", _ON_OVERVIEW),
    Everywhere("copy.row", "y", "there is no row to copy here"),
    Everywhere("copy.command", "Y", "no teal command shows {this}"),
    Everywhere("url", "o", "no URL is known of {this}"),
    Everywhere("list.view", "v", "there is no other view of {this}"),
    Everywhere("menu", "x", "nothing can be done with {this}"),
    Everywhere("acknowledge", "a", "a acknowledges an alert, and this is {this}; 3 shows the alerts"),
    Everywhere("logs.follow", "f", _IN_LOGS),
    Everywhere("logs.error", "e", _IN_LOGS),
    Everywhere("logs.error_back", "E", _IN_LOGS),
    Everywhere("logs.warning", "w", _IN_LOGS),
    Everywhere("logs.warning_back", "W", _IN_LOGS),
    Everywhere("logs.mark", "m", _IN_LOGS),
    Everywhere("logs.next_mark", "apostrophe", _IN_LOGS),
    Everywhere("logs.minute_back", "left_curly_bracket", _IN_LOGS),
    Everywhere("logs.minute_on", "right_curly_bracket", _IN_LOGS),
    Everywhere("logs.wrap", "z", _IN_LOGS),
    Everywhere("logs.stamps", "T", "T is for log lines (5 shows them), and for the traces around what is open"),
    Everywhere("logs.save", "S", "S saves log lines (5 shows them) and lists what silences an alert (3)"),
)
_IN_THE_LOGS = {
    "logs.error": "there is no further error", "logs.error_back": "there is no error before this",
    "logs.warning": "there is no further warning", "logs.warning_back": "there is no warning before this",
    "logs.next_mark": "no line is marked: m marks one", "logs.mark": "there is no line to mark",
    "logs.minute_back": "there is no line a minute before", "logs.minute_on": "there is no line a minute later",
}  # fmt: skip
_PLACES = {"logs.here": "these are the logs", "timeline.here": "this is the timeline"}
_WHY = {key.id: key.why for key in KEYS}
_CALLED: tuple[tuple[type[Any], str], ...] = (
    (PipelineRun, "a run"), (QualityScore, "a score"), (Alert, "an alert"), (Deployment, "a service"),
    (LogEntry, "a log line"), (CheckResult, "a check"), (TimelineEvent, "a row of the timeline"),
    (Silence, "a silence"),
)  # fmt: skip


KNOWN = frozenset(name for key in KEYS for name in key.keys.split(","))


def bindings() -> list[Binding]:
    """One for each key, the last of all that are asked; without a description, so that no help or footer shows it."""
    return [
        *(Binding(key.keys, f"not_here('{key.id}')", id=key.id, show=False) for key in KEYS),
        *panel_keys(),
        Binding("b", "way_back", id="rollback", show=False),
        Binding("u", "worst", "to the worst", id="worst", show=False, tooltip="open what is worst now"),
    ]


def panel_keys(of: str = "") -> list[Binding]:
    """The keys of the panels; `of`: whose action it is, where that is not who has the key."""
    panels = {"0": "", **keyed()}
    return [Binding(key, f"{of}panel('{name}')", id=f"zoom.{key}", show=False) for key, name in panels.items()]


def subject_of(screen: Screen[Any]) -> Any:
    """The thing that a screen is about, or the one under its cursor; None where there is none."""
    return getattr(screen, "subject", None)


def why_not(name: str, screen: Screen[Any]) -> str:
    """Why the key of that id does nothing on `screen`."""
    from panels.logview import LogView

    in_logs = _IN_THE_LOGS.get(name, "") if isinstance(screen.focused, LogView) else ""
    why, subject = in_logs or _WHY[name], subject_of(screen)
    if name in _PLACES and time_of(subject) is not None:
        return _PLACES[name]
    if subject is None and "{this}" in why:
        return _NOTHING_HERE
    return why.format(this=called(subject))


def unknown(key: str, character: str, keymap: Mapping[str, str]) -> str:
    """That a key means nothing, and which one shows those that do."""
    shown = character.strip() or key.capitalize()
    return f"{shown} does nothing here; {keymap.get('help', '?')} shows what the keys do"


def called(item: Any) -> str:
    """What a thing is, in words; one that only a screen knows says it itself, as `CALLED`."""
    from actions.models import Action

    if isinstance(item, Action):
        return "an action"
    return next((words for kind, words in _CALLED if isinstance(item, kind)), getattr(item, "CALLED", "this"))


def is_written_on(screens: list[Screen[Any]]) -> bool:
    """Whether one of them holds what a person has written, or is asked to agree to."""
    return any(getattr(screen, "is_written_on", False) for screen in screens)
