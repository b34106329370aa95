"""The keys of the overview, and in which order the last line names them."""

from textual.binding import Binding, BindingType

from console.screens.places import keyed

KEY_ORDER = (
    "back", "list.open", "logs.open", "menu", "acknowledge", "rollback", "logs.error", "logs.follow", "logs.here",
    "timeline.here",
)  # fmt: skip
KEYS: list[BindingType] = [
    Binding("1", "zoom('pipelines')", "zoom", id="zoom.1", key_display="1-6", tooltip="pipelines alone"),
    *(
        Binding(key, f"zoom('{name}')", f"{name} alone", id=f"zoom.{key}", show=False)
        for key, name in keyed().items() if key > "1"
    ),
    Binding("0", "unzoom", "all panels", id="zoom.0", show=False),
    Binding("tab", "next_panel(1)", "next panel", id="panel.next", show=False),
    Binding("shift+tab", "next_panel(-1)", "previous panel", id="panel.previous", show=False),
    Binding("escape,backspace", "back", "back", id="back", key_display="Esc"),
    Binding("q", "leave", "back; on the overview: quit", id="quit", show=False),
    Binding("slash", "filter", "filter", id="filter", tooltip="filter this list; search the logs"),
    Binding("ampersand", "filter_logs", "only log lines with …", id="logs.filter", show=False),
    Binding("n", "match(1)", "next match", id="match.next", show=False),
    Binding("N", "match(-1)", "previous match", id="match.previous", show=False),
    Binding("x", "menu", "actions", id="menu", tooltip="what can be done with this"),
    Binding("a", "acknowledge", "ack", id="acknowledge", tooltip="acknowledge this alert"),
    Binding("S", "silences", "what silences this alert, as a list", id="silences.here", show=False),
    Binding("b", "rollback", "roll back", id="rollback", tooltip="plan a rollback of this service"),
    Binding("l", "logs_here", "logs", id="logs.here", tooltip="logs at the time of this"),
    Binding("t", "timeline_here", "timeline", id="timeline.here", tooltip="timeline at the time of this"),
    Binding("comma", "all_here", "runs, logs and timeline at the time of this", id="all.here", show=False),
    Binding("full_stop", "now", "runs, logs and timeline: back to now", id="now", show=False),
    Binding("left_square_bracket", "since(-1)", "look back less", id="since.less", show=False),
    Binding("right_square_bracket", "since(1)", "look back more", id="since.more", show=False),
    Binding("y", "copy", "copy this row", id="copy.row", show=False),
    Binding("Y", "copy_command", "copy the teal command that shows this", id="copy.command", show=False),
    Binding("o", "url", "show the URL of this", id="url", show=False),
]  # fmt: skip
