"""Everything at a glance, each line one key away from its detail. No key here writes: the keys open screens."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from backends.errors import BackendError
from backends.models import Alert, Deployment, LogEntry, PipelineRun
from console.clipboard import save_text
from console.ports.store import Snapshot
from console.screens import readings
from console.screens.about import copy_command_of, go_there, page_of, time_of
from console.screens.board import SANDBOX_CARD, TALL, Board
from console.screens.clock import Clock
from console.screens.folding import Folding
from console.screens.open_actions import OpenActions
from console.screens.overview_keys import KEY_ORDER, KEYS
from console.screens.top import Top
from console.screens.working import PRESS_AGAIN, work
from console.session import who_acts
from panels.columns import Moment
from panels.keybar import SAID_S, KeyBar
from panels.listing import Listing
from panels.logview import LogView
from panels.words import ago

if TYPE_CHECKING:
    from actions.models import Action
    from console.screens.host import Host
    from console.screens.prompt import Prompt

FLUSH_S = 0.1
TICK_S = 5.0
ACTIONS_S = 1.0  # what another console begins is on the screen within two seconds
SINCE = tuple(timedelta(minutes=minutes) for minutes in (5, 15, 60, 180, 720, 1440))


class Overview(Screen[None], inherit_bindings=False):
    """The first screen: header, strip, panels, keys."""

    AUTO_FOCUS = ""
    BLANK = True  # header, panels and keys cover it
    ESCAPE_TO_MINIMIZE = False
    DEFAULT_CSS = """
    Overview { layout: vertical; }
    """
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    app: Host

    def __init__(self) -> None:
        super().__init__()
        self._dirty: set[str] = set()
        self._waiting = False
        self._touched = False
        self._begun = False
        self._was_roomy = False
        self._warned_at = float("-inf")

    # ---- building

    def compose(self) -> ComposeResult:
        self._actions = OpenActions(self.app.session)
        card = SANDBOX_CARD if self.app.session.context.sandbox else ""
        self.board = Board(
            self.app.session.store, self.moment, opened=self.app.open_item, size=self.app.size, card=card
        )
        self.folding = Folding(self, self.app.session, self.app.now, self._draw_soon)
        self.board.causes = lambda: self.folding.causes.found
        self.clock = Clock(self.app.session, self.board, self._draw_soon)
        self.top = Top(self.app, self.board, self.clock, self._actions)
        self.keys = KeyBar(KEY_ORDER)
        yield self.top.header
        yield self.top.strip
        yield self.board
        yield self.keys

    def on_mount(self) -> None:
        self._forget = [self.app.session.store.listen(self._on_snapshot), self.folding.listen()]
        if self.app.session.logs is not None:
            self.board.counts = lambda: self.app.session.logs.counts
            self._forget.append(self.app.session.logs.listen(self._on_lines))
        self.redraw()
        self.call_after_refresh(self._begin)

    def on_unmount(self) -> None:
        for forget in self._forget:
            forget()

    def _begin(self) -> None:
        self._begun = True
        self._look_at_config()
        self.set_interval(TICK_S, self._tick)
        self.set_interval(ACTIONS_S, self.read_actions)
        self.app.begin()

    @cached_property
    def prompt(self) -> Prompt:
        """The line for a filter or a search: made when one is first asked for, the first paint needs none."""
        from console.screens.prompt import Prompt

        prompt = Prompt()
        self.mount(prompt, before=self.keys)
        return prompt

    @property
    def subject(self) -> Any:
        """The thing under the cursor."""
        return self.board.current

    @property
    def alike(self) -> int:
        """How many are in one row with it."""
        return self.board.amount

    # ---- data

    def redraw(self) -> None:
        """Show everything anew."""
        self._dirty = set(self.board.boxes)
        self._was_roomy = self._roomy
        self._flush()

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        self._draw_soon(snapshot.key.panel)

    def _draw_soon(self, panel: str) -> None:
        self._dirty.add(panel)
        if not self._waiting:
            self._waiting = True
            self.set_timer(FLUSH_S, self._flush)

    def _on_lines(self, batch: list[LogEntry] | None) -> None:
        if self.clock.past is not None:
            return  # what is followed meanwhile is followed anew when the clock is back at now
        if batch is None:
            self.board.logs.reread()
        else:
            self.board.logs.extend(batch, self.moment("logs"))

    def _flush(self) -> None:
        self._waiting = False
        dirty, self._dirty = self._dirty, set()
        with self.app.batch_update():
            self.board.show(dirty)
            self.top.show(self.moment())
        if not self._touched and self.is_current:
            self.board.focus_worst()
        if "deployments" in dirty:
            self._look_for_actions()
        self.refresh_bindings()

    def _look_for_actions(self) -> None:
        if any(item.action for item in self.app.session.store.items("deployments")):
            self.read_actions()

    def _blind(self, error: BackendError) -> None:
        """Who acts is not known."""
        self._actions.blind = who_acts(error)
        self.top.show(self.moment())

    @work(group="actions", lost=_blind)
    async def read_actions(self) -> None:
        """Ask which actions are open now, if that is not being asked."""
        news = await self._actions.read()
        if news is None:
            return
        if news.new and not self.is_current:
            shown = getattr(self.app.screen, "action_id", "")
            told = [action for action in news.new if action.id != shown]
            self.app.say("   ".join(f"@ {readings.action_words(action, self.app.symbols)}" for action in told))
        if news.differs:
            self.top.show(self.moment())
        self.app.attend(self._actions.found)

    @property
    def open_actions(self) -> list[Action]:
        """The actions that were open when last looked."""
        return self._actions.found

    @work(group="config", exclusive=True)
    async def _look_at_config(self) -> None:
        self.top.edited = await self.app.session.config_files.edited()

    def _tick(self) -> None:
        self._look_at_config()
        if self.is_current:
            self.board.tick()
            self.top.show(self.moment())

    def moment(self, name: str = "") -> Moment:
        """Now, for a panel: roomy where there is height for headings and reasons."""
        roomy = self._roomy or bool(name and name == self.board.zoomed)
        return Moment(self.app.now(), self.app.session.context.zone, self.app.symbols, roomy)

    def on_resize(self) -> None:
        if self._begun and self._was_roomy != self._roomy:
            self.call_after_refresh(self.redraw)

    def on_screen_resume(self) -> None:
        if self._begun:
            self.call_after_refresh(self.redraw)

    @property
    def _roomy(self) -> bool:
        return self.app.size.height >= TALL

    # ---- what happens in the panels

    def on_key(self, event: events.Key) -> None:
        self._touched = True
        self.keys.hush()

    def on_listing_highlighted(self, event: Listing.Highlighted) -> None:
        self.refresh_bindings()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self.refresh_bindings()

    @work(group="save", exclusive=True, then=PRESS_AGAIN)
    async def on_log_view_save(self, event: LogView.Save) -> None:
        lines = self.board.logs.all_text
        self.app.say(await asyncio.to_thread(save_text, lines, "logs"))

    def on_log_view_changed(self, event: LogView.Changed) -> None:
        box = self.board.boxes["logs"]
        box.extra = self.board.log_words()
        box.draw()

    # ---- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys show where they do something; elsewhere they are silent."""
        if action not in ("back", "menu", "acknowledge", "silences", "rollback", "logs_here", "timeline_here", "url"):
            return True
        if action == "back":
            return self._can_go_back
        item = self.board.current if self.is_mounted else None
        match action:
            case "menu":
                return isinstance(item, PipelineRun | Deployment | Alert)
            case "acknowledge" | "silences":
                return isinstance(item, Alert)
            case "rollback":
                return isinstance(item, Deployment)
            case "url":
                return bool(page_of(self.app, item))
            case _:
                return time_of(item) is not None and self.board.focused != action.removesuffix("_here")

    def action_zoom(self, name: str) -> None:
        self.board.zoom("" if self.board.zoomed == name else name)

    def action_unzoom(self) -> None:
        if not self.board.zoomed:
            self.app.say("this is the overview")
        self.board.zoom("")

    def action_next_panel(self, step: int) -> None:
        """To the next panel; where one is alone, the next one is."""
        if self.board.zoomed:
            self.board.zoom_next(step)
        else:
            self.focus_next() if step > 0 else self.focus_previous()

    def action_back(self) -> None:
        """Out of a filter, then out of a zoom, then back to now; nothing else is left to leave but by q."""
        if self.board.narrowed:
            self.board.widen()
        elif self.board.zoomed:
            self.board.zoom("")
        else:
            self.clock.back()
        self.refresh_bindings()

    @property
    def _can_go_back(self) -> bool:
        return self.is_mounted and bool(self.board.zoomed or self.board.narrowed or self.clock.away)

    def action_leave(self) -> None:
        """Back, as Esc; where there is nothing to go back to, out. With an action open one press is not enough."""
        if self._can_go_back:
            self.action_back()
        elif self.open_actions and time.monotonic() - self._warned_at > SAID_S:
            self._warned_at = time.monotonic()
            what = "an action goes" if len(self.open_actions) == 1 else f"{len(self.open_actions)} actions go"
            here = self.app.session.orders.runs_here
            alone = "leaves to nobody what this console runs itself"
            how = alone if here else f"quits: {what} on without this console"
            self.app.say(f"q again {how} (@ shows it)")
        else:
            self.app.leave(self.open_actions)

    def action_filter(self) -> None:
        name = self.board.focused
        if not name:
            raise SkipAction
        if name == "logs":
            logs = self.board.logs
            self.prompt.ask("/", logs.search, logs.set_search, back=logs)
        else:
            listing = self.board.listing(name)
            self.prompt.ask("/", listing.filter, listing.set_filter, back=listing)

    def action_filter_logs(self) -> None:
        logs = self.board.logs
        if self.board.zoomed and not logs.has_focus:
            raise SkipAction
        self.prompt.ask("&", logs.filter, logs.set_filter, back=logs)

    def action_match(self, step: int) -> None:
        if self.board.focused == "logs":
            if not self.board.logs.next_match(step):
                self.app.say("no further match" if self.board.logs.search else "nothing is searched: / asks for what")
        elif name := self.board.focused:
            self.board.listing(name).action_move(step)

    def action_menu(self) -> None:
        self.app.open_menu(self.board.current)

    def action_acknowledge(self) -> None:
        item = self.board.current
        if isinstance(item, Alert):
            self.app.acknowledge(item)

    def action_silences(self) -> None:
        item = self.board.current
        if isinstance(item, Alert):
            self.app.open_silences(item)

    def action_rollback(self) -> None:
        item = self.board.current
        if isinstance(item, Deployment):
            from actions.models import Request

            self.app.open_plan(Request(kind="rollback", service=item.service, ref=item.ref))

    def action_logs_here(self) -> None:
        self._go_here("logs")

    def action_timeline_here(self) -> None:
        self._go_here("timeline")

    def action_all_here(self) -> None:
        self._go_here("")

    def _go_here(self, panel: str) -> None:
        go_there(self.app, self.board.current, panel)

    def go_to(self, at: datetime, panel: str = "") -> None:
        """Show `panel`, or all that has a time, as it was at `at`."""
        self.board.zoom(panel)
        self._go(at)

    @work(group="clock", exclusive=True, lost=lambda overview, _: overview.action_now())
    async def _go(self, at: datetime) -> None:
        await self.clock.go(at)
        self.refresh_bindings()

    def action_now(self) -> None:
        self.clock.back()

    def action_since(self, step: int) -> None:
        nearest = min(range(len(SINCE)), key=lambda index: abs(SINCE[index] - self.board.since))
        self.board.since = SINCE[max(0, min(nearest + step, len(SINCE) - 1))]
        self.app.look_back(self.board.since)
        if (past := self.clock.past) is not None:
            self._go(past.at)
        self.redraw()
        end = {0: ", the least", len(SINCE) - 1: ", the most"}.get(SINCE.index(self.board.since), "")
        self.app.say(f"looking back {ago(self.board.since.total_seconds())}{end}")

    def action_copy(self) -> None:
        if not self.board.row_text:
            raise SkipAction
        self.app.copy(self.board.row_text)

    def action_copy_command(self) -> None:
        copy_command_of(self.app, self.board.current)

    def action_url(self) -> None:
        self.app.say(page_of(self.app, self.board.current))
