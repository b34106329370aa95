"""A screen that is one list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from console.screens import everywhere
from console.screens.host import leave
from console.screens.prompt import Prompt
from panels.columns import Cell, Kind, Moment
from panels.frame import PanelBox
from panels.keybar import KeyBar
from panels.listing import Listing
from panels.sources import Source

if TYPE_CHECKING:
    from console.screens.host import Host

REREAD_S = 1.0


class ListScreen(Screen[None], inherit_bindings=False):
    """One list over the whole screen. `read` gives its items and is asked again while the screen is open. As long as it
    is `awaited` nothing is known of them: Enter opens what is under the cursor once they are there."""

    AUTO_FOCUS = "Listing"
    ESCAPE_TO_MINIMIZE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "back", "back", id="back", key_display="q"),
        Binding("slash", "filter", "filter", id="filter"),
        Binding("enter", "open_once_read", "open", id="list.open", show=False),
    ]

    app: Host
    awaited = False

    def __init__(
        self,
        title: str,
        kind: Kind[Any],
        read: Callable[[], Sequence[Any]],
        *,
        opened: Callable[[Any], None] | None = None,
    ) -> None:
        super().__init__()
        self._open_once_read = False
        self._read = read
        self.list = Listing(kind)
        if opened is not None:
            self.list.opened = opened
        self.box = PanelBox(self.list, key="", title=title, id="list", needs_source=False)

    def compose(self) -> ComposeResult:
        self.prompt = Prompt()
        yield self.box
        yield self.prompt
        yield KeyBar(("back", "list.open", "menu", "filter"))

    def on_mount(self) -> None:
        self.show()
        self.set_interval(REREAD_S, self.show)

    def show(self) -> None:
        """Read and write the list anew."""
        moment = Moment(self.app.now(), self.app.session.context.zone, self.app.symbols)
        items = self._read()
        self.box.show(moment, self.sources(moment), extra=self.extra())  # first: its notices take lines of the list
        self.list.apply(items, moment)
        if self._open_once_read and not self.awaited:
            self._open_once_read = False
            if self.is_current and not self.list.open_current():
                self.app.say(everywhere.why_not("list.open", self))

    def on_listing_highlighted(self, event: Listing.Highlighted) -> None:
        """What can be done with a row is shown once there is one."""
        self.refresh_bindings()

    def sources(self, moment: Moment) -> Sequence[Source]:
        """Where the items come from, if they are read from anywhere."""
        return ()

    @property
    def subject(self) -> Any:
        """The row under the cursor."""
        return self.list.current

    def extra(self) -> Sequence[Cell]:
        """What the upper edge says more."""
        return ()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "open_once_read" or self.awaited

    def action_open_once_read(self) -> None:
        """Typed before there is anything to open."""
        self._open_once_read = True

    def action_filter(self) -> None:
        self.prompt.ask("/", self.list.filter, self.list.set_filter, back=self.list)

    def action_back(self) -> None:
        if self.list.filter:
            self.list.set_filter("")
        else:
            leave(self)
