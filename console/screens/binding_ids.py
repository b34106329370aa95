"""The ids by which a keymap can give a key of the console another one."""

from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from typing import get_args

from textual.binding import Binding
from textual.dom import DOMNode

import console.screens
import panels
from actions.kinds import TABLE
from actions.models import OrderWord
from console.screens.everywhere import KEYS


def binding_ids() -> frozenset[str]:
    """Of all screens, of what stands on them, and of the lines of the menu."""
    import_module("console.app")
    for package in (console.screens, panels):
        for module in iter_modules(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    found = {each.id for each in KEYS} | {place.id for kind in TABLE.values() for place in kind.menu}
    found |= {f"action.{word}" for word in get_args(OrderWord)}
    for shape in _below(DOMNode):
        if shape.__module__.partition(".")[0] in ("console", "panels"):
            found |= {each.id for each in shape.__dict__.get("BINDINGS", ()) if isinstance(each, Binding) and each.id}
    return frozenset(found)


def unknown_id(wanted: str, known: frozenset[str]) -> str:
    """What to do about an id that no key has."""
    near = get_close_matches(wanted, sorted(known), n=1)
    return f'did you mean "{near[0]}"?' if near else "`?` in the console shows the ids"


def _below(shape: type[DOMNode]) -> Iterator[type[DOMNode]]:
    for each in shape.__subclasses__():
        yield each
        yield from _below(each)
