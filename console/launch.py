"""Opens the console on this terminal: frugal settings first, then Textual, which reads them when it is imported."""

from __future__ import annotations

import errno
import locale
import os
import signal
import threading
from typing import TYPE_CHECKING

from console.symbols import terminal_symbols
from panels.words import ASCII

if TYPE_CHECKING:
    from backends.models import Item
    from console.session import Session

# 200 ms let a split escape sequence arrive before it counts as Esc; 20 frames a second are more than a link needs.
_SETTINGS = {"TEXTUAL_ANIMATIONS": "none", "TEXTUAL_SMOOTH_SCROLL": "0", "ESCDELAY": "200"}
_OVER_SSH = {"TEXTUAL_FPS": "20"}
_LAST_WORDS_S = 1.0


def run_console(
    session: Session,
    *,
    ascii_only: bool = False,
    mouse: bool = False,
    color: bool = True,
    item: Item | None = None,
) -> int:
    """Run the console until it is left; returns its exit code. Nothing is read before the first paint.

    `item` is what it is opened on.
    """
    over_ssh = _OVER_SSH if os.environ.get("SSH_CONNECTION") else {}
    for name, value in {**_SETTINGS, **over_ssh}.items():
        os.environ.setdefault(name, value)
    if not color:
        os.environ["NO_COLOR"] = "1"
    from console.app import TealApp
    from console.driver import TerminalDriver
    from panels.links import takes_links

    symbols = ASCII if ascii_only else terminal_symbols(os.environ, locale.getpreferredencoding(False))
    session.show_kept()
    links = takes_links(os.environ)
    app = TealApp(session, symbols=symbols, links=links, item=item, driver_class=TerminalDriver)
    _end_with_the_terminal()
    app.run(mouse=mouse)
    return app.return_code or 0


def _end_with_the_terminal() -> None:
    """End when writing fails because the terminal has gone, in order if that works within a second, else at once.

    Textual writes in a thread that dies of it; its queue then fills up, and the event loop waits for room for ever.
    """
    others = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not isinstance(failure.exc_value, OSError) or failure.exc_value.errno != errno.EIO:
            others(failure)
            return
        last = threading.Timer(_LAST_WORDS_S, os._exit, (128 + signal.SIGHUP,))
        last.daemon = True
        last.start()
        os.kill(os.getpid(), signal.SIGHUP)

    threading.excepthook = hook
