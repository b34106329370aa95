"""Log sources with a query language of their own: which of them there are, and how far a query is."""

from typing import Any, Protocol, cast

from backends.errors import BackendError
from backends.ports import SearchableLogs, Searched
from backends.text import counted
from console.ports.logs import LOGS

NONE = "no log source has queries of its own"
FIX = 'name one of type = "cloudwatch"'


class Adapters(Protocol):
    """Those of one context."""

    @property
    def context(self) -> Any:
        """With its entries."""

    def of(self, port: Any, name: str) -> Any:
        """The adapter of that name. Raises BackendError."""


def searchable(adapters: Adapters) -> list[tuple[str, SearchableLogs]]:
    """The sources that take queries, by name; not those that can not be used, which their panel says."""
    found = []
    for entry in adapters.context.entries["logs"]:
        try:
            logs = adapters.of(LOGS, entry.name)
        except BackendError:
            continue
        if hasattr(logs, "search"):
            found.append((entry.name, cast(SearchableLogs, logs)))
    return found


def progress(state: Searched) -> str:
    """`3 rows, 120.4 MB scanned so far`."""
    rows = counted(f"{len(state.entries):,}", "row")
    return f"{rows}, {state.scanned_bytes / 1e6:,.1f} MB scanned{'' if state.done else ' so far'}"
