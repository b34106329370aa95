"""The console on a screen: holds the session, opens screens, ends cleanly whatever happens to the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from backends.errors import BackendError
from backends.models import Item
from console.arming import Arming
from console.drawing import Drawing
from console.leaving import GONE, Leaving
from console.opening import Opening
from console.ports.table import dated
from console.screens import everywhere
from console.screens.host import is_too_small
from console.screens.overview import Overview
from console.screens.working import PRESS_AGAIN, READ_AGAIN, read_again, tell, work
from console.settling import Settling
from panels.header import Place
from panels.keybar import KeyBar
from panels.words import UNICODE, Symbols

if TYPE_CHECKING:
    from textual.driver import Driver

    from actions.models import Action
    from console.attention import Attention
    from console.session import Session

WATCH_INPUT_S = 1.0
CLOSE_S = 3.0
WAY_BACK_SAID_S = 60.0
SAY_ON_FIRST_S = 5.0  # what is on the screen comes first
SAY_ON_S = 60.0
CARE_S = 15.0


class TealApp(Leaving, Opening, Drawing, inherit_bindings=False):
    """The console of one session. `armed` and `symbols` are for every screen; `say` tells the operator something.

    `links`: whether the terminal takes links (OSC 8). `item`: what it opens on.
    """

    TITLE = "teal"
    ENABLE_COMMAND_PALETTE = False
    ESCAPE_TO_MINIMIZE: ClassVar[bool] = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *everywhere.bindings(),
        Binding("colon", "palette", "command", id="palette", tooltip="find a command or a thing by name"),
        Binding("question_mark", "help", "help", id="help", tooltip="the keys that work here"),
        Binding("r", "refresh_now", "read every source now", id="refresh", show=False),
        Binding("s", "sources", "sources and how they answer", id="sources", show=False),
        Binding("at", "actions", "actions: open and done", id="actions", show=False),
        Binding("exclamation_mark", "arm", "arm or disarm a protected context", id="arm", show=False),
        Binding("number_sign", "note", "write a note down for the others", id="note", show=False),
        Binding("ctrl+c", "interrupt", "how to quit", id="interrupt", show=False, system=True),
    ]

    def __init__(
        self,
        session: Session,
        *,
        symbols: Symbols = UNICODE,
        links: bool = True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        item: Item | None = None,
        driver_class: type[Driver] | None = None,
    ) -> None:
        super().__init__(session, symbols=symbols, links=links, driver_class=driver_class)
        self.now = now
        self._first = item
        self.arming = Arming(clock)
        self._attention: Attention | None = None
        self._settling = Settling(self)
        self._cover_of_all: Screen[None] | None = None
        self.animation_level = "none"

    # ---- life

    def get_default_screen(self) -> Screen[None]:
        """The overview is what everything else lies upon."""
        return Overview()

    def on_mount(self) -> None:
        self.set_keymap(self.session.context.keymap)
        self.call_later(self._cover)
        self.app_resume_signal.subscribe(self, self._resumed)
        self.theme_changed_signal.subscribe(self, self.draw_all)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self._end, number)
        if not self.is_headless:
            self.set_interval(WATCH_INPUT_S, self._watch_input)

    def begin(self) -> None:
        """Called once by the overview, after the first paint: now there may be I/O."""
        gc.freeze()
        gc.enable()
        self.session.store.defects.tell = self._part_failed
        self.session.say = self._note_way_back
        self.session.start()
        for first_s, every_s, what in ((SAY_ON_FIRST_S, SAY_ON_S, self._say_on), (SAY_ON_FIRST_S, CARE_S, self._care)):
            self.set_timer(first_s, what)
            self.set_interval(every_s, what)
        if self._first is not None:
            self.call_later(self.open_item, self._first)
            self.call_later(self._cover)

    @work(exclusive=True, group="on")
    async def _say_on(self) -> None:
        """Tell the others that this console is open. Nothing depends on it."""
        with contextlib.suppress(BackendError):
            await self.session.orders.say_on(armed=self.arming.armed and self.session.context.protected)

    @work(exclusive=True, group="care")
    async def _care(self) -> None:
        """Tell of actions that nobody runs, and show them."""
        await self.session.orders.care()
        for screen in self.screen_stack:
            if isinstance(screen, Overview) and screen.is_mounted:
                screen.read_actions()

    def _part_failed(self, words: str) -> None:
        """Of what lies behind the screens, which goes on by itself: `r` forgets it until it fails again."""
        tell(self.screen_stack[0], words, f"{words} {READ_AGAIN}")

    def _note_way_back(self, words: str) -> None:
        """Of a rollback that this console runs itself: it stays to be read, whatever page is open."""
        self.notify(words, markup=False, timeout=WAY_BACK_SAID_S)

    async def on_unmount(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.session.aclose()

    def leave(self, open_actions: Sequence[Action] = ()) -> None:
        """Quit, and say which actions go on without this console."""
        from actions.telling import title

        going_on = [f"{action.id}  {title(action)}: {action.status}" for action in open_actions]
        words = ["These actions go on:", *going_on, "Watch one with: teal action watch ID"] if going_on else []
        if self.session.orders.runs_here:
            self.session.orders.park()
            words.append("What this console ran itself waits: teal action list --open says how to go on.")
        self.exit(message=Text("\n".join(words)) if words else None)

    def on_resize(self, event: events.Resize) -> None:
        if self._settling.draws(event):
            self.call_later(self._cover)
        else:
            event.prevent_default()

    def _cover(self) -> None:
        """Where there is no room, nothing is to be seen but that, and no key acts beneath it."""
        if not self.screen_stack:
            return
        small = is_too_small(self.size)
        if small and not self._covered:
            from console.screens.too_small import TooSmall

            self._cover_of_all = TooSmall()
            self.push_screen(self._cover_of_all)
        elif self._covered and not small:
            self.pop_screen()

    @property
    def _covered(self) -> bool:
        return self.screen is self._cover_of_all

    def _resumed(self, _: App[Any]) -> None:
        """Back from a stop: nobody watched meanwhile, and the shell has written over the screen."""
        self.disarm()
        self.refresh(layout=True)

    def _end(self, number: int) -> None:
        self.session.stop()
        self.session.orders.park()
        self.exit(return_code=128 + number)

    def _watch_input(self) -> None:
        """End when the terminal has gone: Textual's input thread would spin on its end of file."""
        poll = select.poll()
        poll.register(sys.__stdin__.fileno() if sys.__stdin__ else 0, select.POLLHUP | select.POLLERR)
        if any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0)):
            self._end(signal.SIGHUP)

    def _fatal_error(self) -> None:
        """One line and the name of a crash file. Textual would print local variables, and those hold secrets."""
        from console.crash import of_defect

        error = sys.exc_info()[1] or RuntimeError("unknown")
        if self.left_with is not None and isinstance(error, GONE):
            self._return_code = self.left_with
            return
        told = of_defect(error)
        self.panic(Text(f"teal: {told.message} ({told.fix}). Open actions go on."))
        self._return_code = told.exit_code

    # ---- what every screen asks for

    @property
    def place(self) -> Place:
        """Where we are, for the header."""
        context = self.session.context
        return Place(
            title=context.title,
            name=context.name,
            identity=context.identity,
            protected=context.protected,
            read_only=context.read_only,
            sandbox=context.sandbox,
            armed=self.armed,
        )

    @property
    def armed(self) -> bool:
        """Whether writes that need arming are possible now. Keeps what the session says in step."""
        context = self.session.context
        armed = not context.read_only and (not context.protected or self.arming.armed)
        self.session.armed = armed
        return armed

    @property
    def alarm(self) -> str:
        """The action that wants a person now, for pages that lie over the strip."""
        first = self.screen_stack[0]
        return first.top.strip.alarm if isinstance(first, Overview) and first.is_mounted else ""

    def disarm(self) -> None:
        """Back to reading, in a protected context."""
        self.arming.disarm()
        self._show_place()

    def attend(self, open_actions: Sequence[Action]) -> None:
        """Ring the terminal for those that need a person, of these and of those that have ended since the last call."""
        if not (self._rings and (open_actions or self._attention)):
            return
        if self._attention is None:
            from console.attention import Attention

            self._attention = Attention(self.session.context.name)
        over = self._attention.over(open_actions)
        self._ring(open_actions)
        if over:
            self._attend_ended(over)

    @work(group="attend")
    async def _attend_ended(self, over: set[str]) -> None:
        """A way back that failed is open no more, and needs somebody all the same."""
        with contextlib.suppress(BackendError):
            self._ring([action for action in await self.session.actions() if action.id in over])

    @property
    def _rings(self) -> bool:
        return self.to_terminal is not None and self.session.context.notify_terminal

    def _ring(self, actions: Sequence[Action]) -> None:
        from console.attention import sequence

        if self.to_terminal is not None and self._attention is not None:
            for words in self._attention.news(actions):
                self.to_terminal(sequence(words, os.environ))

    def say(self, text: str) -> None:
        """Tell the operator something in the line of keys: of the screen below where the top one has none, and where no
        screen has one as a notification."""
        if not text:
            return
        for screen in reversed(self.screen_stack):
            for bar in screen.query(KeyBar):
                bar.say(text)
                return
        self.notify(text, markup=False)

    @work(group="copy", exclusive=True, then=PRESS_AGAIN)
    async def copy(self, text: str) -> None:
        """Send text to the clipboard and say so."""
        from console.clipboard import copy

        if text:
            self.say(await copy(text, self.copy_to_clipboard))

    def look_back(self, since: timedelta) -> None:
        """Let the feeds read this far back."""
        self.session.since = since
        for panel in dated():
            self.session.refresh(panel)

    def pop_screen(self) -> AwaitComplete:
        """Leave a screen, and with it every line that it drew: Textual keeps the style caches of the last 1,024 widgets
        (https://github.com/Textualize/textual/issues/6665), and to be drawn anew they are emptied. One that is left in
        the read that opened it goes once it is there: what it does first would miss its widgets."""
        leaving = self.screen
        if not leaving.is_mounted:
            leaving.call_later(self._pop, leaving)
            return AwaitComplete()
        for widget in leaving.walk_children(Widget, with_self=True):
            widget.refresh()
        return super().pop_screen()

    def _pop(self, leaving: Screen[Any]) -> None:
        if self.screen is leaving:
            self.pop_screen()

    # ---- keys

    def on_key(self, event: events.Key) -> None:
        """A letter that comes up here although a line of text has focus was typed before it had. One that means
        nothing to anybody is said to."""
        field = self.focused
        if isinstance(field, Input) and event.is_printable and event.character:
            event.prevent_default()
            field.insert_text_at_cursor(event.character)
        elif self._covered or not event.is_printable or event.key in everywhere.KNOWN:
            return
        elif event.key not in self.screen.active_bindings:
            event.prevent_default()
            self.say(everywhere.unknown(event.key, event.character or "", self.session.context.keymap))

    def action_refresh_now(self) -> None:
        self.session.refresh()
        for screen in self.screen_stack:
            read_again(screen)
        self.say("reading every source now")

    def action_arm(self) -> None:
        """Arm or disarm a protected context."""
        context = self.session.context
        if context.read_only:
            self.say(f"context {context.name} is read_only in the config; nothing is written from here")
        elif not context.protected:
            self.say(f"context {context.name} is not protected: there is nothing to arm")
        elif self.arming.armed:
            self.disarm()
            self.say("disarmed")
        else:
            self.arming.arm()
            self._show_place()
            self.say("armed: until 15 idle minutes have passed, an hour at most; ! disarms")

    def action_interrupt(self) -> None:
        self.say("q leaves; actions that are running go on")

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self.arming.touch()
        await super().on_event(event)

    def _show_place(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, Overview) and screen.is_mounted:
                screen.redraw()
