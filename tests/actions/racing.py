"""`python -m tests.actions.racing URL STATE_DIR N`: N processes begin an action of one service at the same moment, and
each prints a line: `won ID`, `lost ID`, or what went wrong."""

import asyncio
import os
import sys

import alembic.command  # noqa: F401  # imported before the fork: so the children meet in the database, not in the importer

from actions.journal.journal import Journal
from actions.journal.location import journal_location
from actions.journal.rows import Occupied
from tests.actions.journals import draft


async def begin(url: str, state: str) -> str:
    journal = Journal(journal_location(url, {"TEAL_STATE_DIR": state}))
    try:
        return f"won {(await journal.begin(draft())).id}"
    except Occupied as held:
        return f"lost {held.action.id}"
    finally:
        await journal.aclose()


def main(url: str, state: str, count: str) -> None:
    go, start = os.pipe()
    for _ in range(int(count)):
        if os.fork() == 0:
            os.close(start)
            os.read(go, 1)  # until the parent closes its end
            try:
                line = asyncio.run(begin(url, state))
            except Exception as error:
                line = f"{type(error).__name__} {error}"
            os.write(1, f"{line}\n".encode())
            os._exit(0)
    os.close(start)
    for _ in range(int(count)):
        os.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
