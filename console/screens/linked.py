"""What belongs to a thing, as a list whose rows open: the run of a score, the dataset of an alert, the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from backends.models import Item
from console.ports.derive import ref_of
from console.ports.table import port_of
from console.screens.moving import Options
from console.screens.parts import mark, symbols

if TYPE_CHECKING:
    from console.screens.host import Host


class Linked(Options):
    """Enter opens the row under the cursor. Not there where nothing is linked."""

    DEFAULT_CSS = """
    Linked {
        height: auto; max-height: 7; border: none; padding: 0; margin-top: 1; background: transparent;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    Linked > .option-list--option { padding: 0; }
    """
    app: Host

    def __init__(self, *, id: str = "linked") -> None:
        super().__init__(id=id, markup=False)
        self._items: list[Item] = []
        self.display = False

    def show(self, items: Sequence[Item]) -> None:
        """Replace the rows; the cursor stays on its thing."""
        if list(items) == self._items:
            return
        at = self.highlighted
        before = ref_of(self._items[at]) if at is not None and at < len(self._items) else ""
        self._items = list(items)
        self.set_options(Option(self._line(item)) for item in items)
        refs = [ref_of(item) for item in items]
        self.highlighted = refs.index(before) if before in refs else 0 if refs else None
        self.display = bool(items)

    def _line(self, item: Item) -> Content:
        port = port_of(item)
        reading = port.reading if port is not None else None
        words = f"{reading.single} {reading.title(item)}" if reading is not None else ref_of(item)
        return Content.assemble(mark(item.health, symbols(self.app)), " ", words)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.app.open_item(self._items[event.option_index])
