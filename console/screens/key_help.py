"""The keys that work here, and what the symbols say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct
from textual.binding import Binding
from textual.screen import Screen

from console.screens.lists import ListScreen
from panels.columns import Cell, Column, Kind

if TYPE_CHECKING:
    from console.screens.host import Host


class KeyHelp(Struct, frozen=True):
    """A key, what it does, and where that is so."""

    CALLED: ClassVar[str] = "a key"
    order: int
    keys: str
    does: str
    where: str
    id: str


KEYS: Kind[KeyHelp] = Kind(
    name="keys",
    columns=(
        Column(title="KEY", cell=lambda key, _: Cell(key.keys, "strong"), min_width=8, max_width=16),
        Column(title="DOES", cell=lambda key, _: Cell(key.does), min_width=20, max_width=48, flex=True),
        Column(title="WHERE", cell=lambda key, _: Cell(key.where, "muted"), max_width=16, priority=1),
        Column(title="ID FOR keymap", cell=lambda key, _: Cell(key.id, "muted"), max_width=20, priority=2),
    ),
    key=lambda key: f"{key.order}",
    health=lambda _: "ok",
    sort_key=lambda key: key.order,
    text=lambda key: f"{key.keys} {key.does} {key.where} {key.id}",
    fields=lambda key: {"id": key.id, "where": key.where},
    empty="No keys",
)


_WHERE = ("this screen", "everywhere", "this list")


def keys_of(screen: Screen[Any]) -> list[KeyHelp]:
    """The keys that work on `screen` for what has focus there, the nearest first."""
    found: dict[tuple[str, str], list[str]] = {}
    place: dict[tuple[str, str], tuple[str, str]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if not (binding.description and binding.id):  # what Textual's widgets do by themselves has no id of ours
            continue
        name = binding.id or binding.action, binding.tooltip or binding.description
        shown = screen.app.get_key_display(Binding(binding.key, ""))
        found.setdefault(name, []).append(shown)
        where = "everywhere" if active.node is screen.app else "this screen" if active.node is screen else "this list"
        place.setdefault(name, (where, binding.id or ""))
    nearest = sorted(found, key=lambda name: _WHERE.index(place[name][0]))
    return [KeyHelp(order, " ".join(found[name]), name[1], *place[name]) for order, name in enumerate(nearest)]


def help_screen(app: Host) -> ListScreen:
    """The keys of the screen that is open, then what the symbols say."""
    keys = keys_of(app.screen)
    keys += [KeyHelp(len(keys) + n, sign, says, "symbol", "") for n, (sign, says) in enumerate(app.symbols.legend())]
    return ListScreen("Keys that work here", KEYS, lambda: keys)
