"""How the console reads the terminal: as Textual does, and on where Textual would end."""

from textual.drivers.linux_driver import LinuxDriver

AGAIN_S = 0.05


class TerminalDriver(LinuxDriver):
    """Drops input that Textual's parser trips over: what was read together with it is lost.

    Textual 8.2 ends with a traceback on keys as the kitty protocol writes once it reports presses (`ESC [ 1;1:1 A`,
    https://sw.kovidgoyal.net/kitty/keyboard-protocol/), a mode in which an editor that crashed leaves a terminal.
    """

    def run_input_thread(self) -> None:
        """Read until the console ends."""
        while not self.exit_event.is_set():
            try:
                super().run_input_thread()
            except (ValueError, OverflowError):  # what int() and chr() say of a number out of range
                self.exit_event.wait(AGAIN_S)
