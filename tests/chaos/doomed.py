"""A runner that kills itself at a chosen instant:

python -P -m tests.chaos.doomed ACTION_ID DIGEST INSTANT COUNTED [TTL_S]

The instants are before and after each transaction of the journal, each write to the system and each call that such a
write makes to AWS, in the order of their coming; INSTANT is the number of one, or its name, where that comes first.
`kill -9` falls exactly there: nothing of what would follow is done, and no `finally` runs. 0 lets it live. What was
reached is appended to the file COUNTED, a line each. With TTL_S its lease lasts so long, and it stops itself instead
(SIGSTOP), to go on when somebody says so.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from actions.described import Described
from actions.journal.journal import Journal
from actions.journal.lease import LeaseTimes
from actions.journal.location import journal_location
from actions.journal.sql import SqlJournal
from actions.runner import run_action
from backends.aws.account import Account
from console.runners import JOURNAL_VARIABLE, build_described

DESCRIBED = "described.json"
"""Beside the journal: the entry of the service, as a config would have it."""
WRITES = ("shift", "deploy", "restore", "retire", "order")


class Instants:
    """Counts them, and is the end at one."""

    def __init__(self, fatal: str, counted: str, end: signal.Signals = signal.SIGKILL) -> None:
        self._fatal, self._reached, self._end = fatal, 0, end
        self._counted = open(counted, "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - for the life of the process

    def reach(self, what: str) -> None:
        self._reached += 1
        self._counted.write(what + "\n")
        if self._fatal in (str(self._reached), what):
            # This thread first: of a whole process that is stopped it might go on, into the next transaction.
            signal.pthread_kill(threading.get_ident(), self._end)


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


async def run(action_id: str, digest: str, instants: Instants, times: LeaseTimes | None = None) -> None:
    """Raises whatever the runner does."""
    original = SqlJournal.write

    def write(self: SqlJournal, hold: Any, events: Any, *rest: Any) -> bool:
        told = f"{events[0].kind} {events[0].step}".strip() if events else "status"
        instants.reach(f"before journal: {told}")
        done = original(self, hold, events, *rest)
        instants.reach(f"after journal: {told}")
        return done

    SqlJournal.write = write
    call = Account.write

    async def called(self: Account, service: str, operation: str, **request: Any) -> dict[str, Any]:
        instants.reach(f"before {operation}")
        answer = await call(self, service, operation, **request)
        instants.reach(f"after {operation}")
        return answer

    Account.write = called

    async def build(entry: Described) -> Any:
        return Watched(await build_described(entry), instants)

    location = journal_location(os.environ[JOURNAL_VARIABLE], os.environ)
    journal = Journal(location, times)
    kept = (location.directory / DESCRIBED).read_bytes()
    described = msgspec.json.decode(kept, type=Described, dec_hook=lambda kind, value: kind(value))

    async def own(_: object) -> Described:
        return described

    try:
        await run_action(action_id, journal, build, own, digest=digest)
    finally:
        await journal.aclose()


def main() -> None:
    """Run one."""
    action_id, digest, instant, counted, *ttl = sys.argv[1:]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if ttl:
        short = LeaseTimes(ttl_s=float(ttl[0]), renew_s=float(ttl[0]) / 4, self_fence_s=float(ttl[0]) * 2 / 3)
        asyncio.run(run(action_id, digest, Instants(instant, counted, signal.SIGSTOP), short))
    else:
        asyncio.run(run(action_id, digest, Instants(instant, counted)))


if __name__ == "__main__":
    main()
