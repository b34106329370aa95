"""How the console reads the terminal: as Textual does, and on where Textual would end."""

from typing import Any

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

from console.screens.host import Host

AGAIN_S = 0.05


class TerminalDriver(LinuxDriver):
    """Drops input that Textual's parser trips over: what was read together with it is lost.

    Textual 8.2 ends with a traceback on keys as the kitty protocol writes once it reports presses (`ESC [ 1;1:1 A`,
    https://sw.kovidgoyal.net/kitty/keyboard-protocol/), a mode in which an editor that crashed leaves a terminal.

    The app gets a way to write to the terminal itself, between two frames.
    """

    def __init__(self, app: App[Any], **settings: Any) -> None:
        super().__init__(app, **settings)
        if isinstance(app, Host):
            app.to_terminal = self.write

    def run_input_thread(self) -> None:
        """Read until the console ends."""
        while not self.exit_event.is_set():
            try:
                super().run_input_thread()
            except (ValueError, OverflowError):  # what int() and chr() say of a number out of range
                self.exit_event.wait(AGAIN_S)
