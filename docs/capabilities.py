"""`python -m docs.capabilities` writes docs/capabilities.md: what each adapter of the house can, in the words of its
module and of its methods."""

import re
import sys
from inspect import cleandoc, getmodule
from pathlib import Path
from typing import Any

from backends.ports import Controller
from backends.ports.controllers import is_controller_class
from backends.registry import ADAPTERS, adapter_class
from console.ports.record import loaded
from console.ports.table import PORTS
from docs.pages import cell, write

PAGE = Path(__file__).parent / "capabilities.md"
HEAD = """# What each adapter can

Written by `python -m docs.capabilities` from the code: the columns of a table are adapters, the rows the methods of
their port (`backends/ports/`), a cell is what the adapter says of its own (✓: as the port says, –: it has none).
What each is told by the config: [config.md](config.md).
"""
ONE_METHOD = 1
OTHERS = {"deployments": (Controller,)}
"""What an adapter of a port may speak instead."""
_AS_EVERYWHERE = re.compile(r"^As the port says[.;:,]? ?| ?Raises (BackendError|`not_found`)\.| ?Raises as `query`\.")


def page() -> str:
    """The whole of docs/capabilities.md."""
    return "\n".join([HEAD, *(line for port in PORTS for line in _port(port))])


def _port(port: str) -> list[str]:
    kinds = sorted(key.partition(".")[2] for key in ADAPTERS if key.startswith(f"{port}."))
    classes = {kind: adapter_class(port, kind) for kind in kinds}
    lines = [f"## {port}", "", "| type | |", "|---|---|"]
    lines += [f"| `{kind}` | {cell(_first(getmodule(found).__doc__))} |" for kind, found in classes.items()]
    told = PORTS[port].protocol
    protocols = [loaded(told) if isinstance(told, str) else told, *OTHERS.get(port, ())]
    for n, protocol in enumerate(protocols):
        mine = (
            [kind for kind in kinds if is_controller_class(classes[kind]) == (n > 0)] if len(protocols) > 1 else kinds
        )
        lines += _table(protocol, {kind: classes[kind] for kind in mine})
    return [*lines, ""]


def _table(protocol: Any, classes: dict[str, Any]) -> list[str]:
    methods = _methods(protocol)
    if len(methods) <= ONE_METHOD:
        return []
    lines = ["", f"| | {' | '.join(f'`{kind}`' for kind in classes)} |", f"|---|{'---|' * len(classes)}"]
    return lines + [f"| `{name}` | {' | '.join(_said(each, name) for each in classes.values())} |" for name in methods]


def _methods(protocol: Any) -> list[str]:
    found = [name for base in reversed(protocol.__mro__) for name in vars(base) if not name.startswith("_")]
    return [name for name in found if name != "aclose"]


def _said(adapter: Any, name: str) -> str:
    if not hasattr(adapter, name):
        return "–"
    words = _AS_EVERYWHERE.sub("", _first(getattr(adapter, name).__doc__))
    return cell(words) or "✓"


def _first(text: str | None) -> str:
    """The first paragraph on one line."""
    return " ".join(cleandoc(text or "").split("\n\n")[0].split())


if __name__ == "__main__":
    sys.exit(write(PAGE, page()))
