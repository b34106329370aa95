"""How the console reads the terminal: as Textual does, but for Esc, and on where Textual would end."""

import os
import select
from threading import Thread
from typing import Any

from textual.app import App
from textual.constants import ESCAPE_DELAY
from textual.drivers.linux_driver import LinuxDriver
from textual.widgets import Input

from console.escapes import Escapes
from console.screens.host import Host

AGAIN_S = 0.05
READ_BYTES = 4096


def has_text_focus(app: App[Any]) -> bool:
    """Whether letters are text now, and no commands."""
    return bool(app.screen_stack) and isinstance(app.screen.focused, Input)


class TerminalDriver(LinuxDriver):
    """Drops input that Textual's parser trips over: what was read together with it is lost.

    Textual 8.2 ends with a traceback on keys as the kitty protocol writes once it reports presses (`ESC [ 1;1:1 A`,
    https://sw.kovidgoyal.net/kitty/keyboard-protocol/), a mode in which an editor that crashed leaves a terminal.

    It also takes Esc and a key soon behind it for one key with Alt, and loses both: so it reads from a pipe, into which
    what is typed goes by `Escapes`.

    The app gets a way to write to the terminal itself, between two frames.
    """

    def __init__(self, app: App[Any], **settings: Any) -> None:
        super().__init__(app, **settings)
        self._escapes = Escapes(lambda: has_text_focus(app))
        if isinstance(app, Host):
            app.to_terminal = self.write

    def run_input_thread(self) -> None:
        """Read until the console ends."""
        terminal = self.fileno
        typed, to_typed = os.pipe()
        ended, to_ended = os.pipe()
        copier = Thread(target=self._copy, args=(terminal, to_typed, ended), name="teal-input")
        copier.start()
        self.fileno = typed  # nobody else asks for it until this thread has ended
        try:
            while not self.exit_event.is_set():
                try:
                    super().run_input_thread()
                except (ValueError, OverflowError):  # what int() and chr() say of a number out of range
                    self.exit_event.wait(AGAIN_S)
        finally:
            self.fileno = terminal
            os.close(typed)  # before the copier is waited for: it may stand before a full pipe
            os.close(to_ended)
            copier.join()
            os.close(to_typed)
            os.close(ended)

    def _copy(self, terminal: int, to: int, ended: int) -> None:
        """Until there is nothing to read from the terminal any more, or `ended` is closed at its other end."""
        poll = select.poll()
        poll.register(terminal, select.POLLIN)
        poll.register(ended, select.POLLIN)
        try:
            while True:
                ready = dict(poll.poll(ESCAPE_DELAY * 1000 if self._escapes.held else None))
                if ended in ready:
                    return
                data = os.read(terminal, READ_BYTES) if ready else b""
                if ready and not data:
                    return
                os.write(to, self._escapes.read(data) if ready else self._escapes.give_up())
        except OSError:
            return  # the terminal has gone, or who reads the pipe: the console ends
