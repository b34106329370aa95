"""A runner that kills itself at a chosen instant: `python -P -m tests.chaos.doomed ACTION_ID INSTANT COUNTED`.

The instants are before and after each transaction of the journal and each write to the system, in the order of their
coming; `kill -9` falls exactly there: nothing of what would follow is done, and no `finally` runs. 0 lets it live.
What was reached is appended to the file COUNTED, a line each.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from actions.journal import Journal
from actions.journal_sql import SqlJournal
from actions.location import journal_location
from actions.runner import run_action
from console.runner import JOURNAL_VARIABLE, build_described

WRITES = ("shift", "deploy", "restore", "retire")


class Instants:
    """Counts them, and is the end at one."""

    def __init__(self, fatal: int, counted: str) -> None:
        self._fatal, self._reached = fatal, 0
        self._counted = open(counted, "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - for the life of the process

    def reach(self, what: str) -> None:
        self._reached += 1
        self._counted.write(what + "\n")
        if self._reached == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


class Watched:
    """An adapter whose writes are instants."""

    def __init__(self, adapter: Any, instants: Instants) -> None:
        self._adapter, self._instants = adapter, instants

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._adapter, name)
        if name == "deployer" and found is not None:
            return Watched(found, self._instants)
        return self._between(name, found) if name in WRITES else found

    def _between(self, name: str, write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def watched(*given: Any, **more: Any) -> Any:
            self._instants.reach(f"before {name}")
            written = await write(*given, **more)
            self._instants.reach(f"after {name}")
            return written

        return watched


async def run(action_id: str, instants: Instants) -> None:
    """Raises whatever the runner does."""
    original = SqlJournal.write

    def write(self: SqlJournal, hold: Any, events: Any, *rest: Any) -> bool:
        told = f"{events[0].kind} {events[0].step}".strip() if events else "status"
        instants.reach(f"before journal: {told}")
        done = original(self, hold, events, *rest)
        instants.reach(f"after journal: {told}")
        return done

    SqlJournal.write = write  # type: ignore[method-assign]

    async def build(target: dict[str, Any]) -> Any:
        return Watched(await build_described(target), instants)

    journal = Journal(journal_location(os.environ[JOURNAL_VARIABLE], os.environ))
    try:
        await run_action(action_id, journal, build)
    finally:
        await journal.aclose()


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    asyncio.run(run(sys.argv[1], Instants(int(sys.argv[2]), sys.argv[3])))
