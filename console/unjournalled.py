"""A rollback that the journal has no room for: run in this process, its records kept where there is room."""

import os
from collections.abc import Callable

from actions.gate import Gate
from actions.journal.audit import AuditEntry
from actions.journal.late import LateFile, named, places
from actions.journal.rows import Draft
from actions.models import Action
from actions.unjournalled_order import RunUnjournalled
from actions.unjournalled_rollback import run_unjournalled
from console.runners import build_described


def kept_elsewhere(gate: Gate, tell: Callable[[str], None], begun: set[str]) -> RunUnjournalled:
    """`tell` gets where its audit is kept, and its records where no file has room either; `begun` the id of each."""

    async def run(draft: Draft, audit: list[AuditEntry]) -> Action:
        location = gate.journal.location
        late = LateFile(places(location, os.environ), location.name, draft)
        tell(kept := named(late))
        begun.add(draft.id)
        untold: list[str] = []

        def only_here(record: str) -> None:
            untold.append(record)
            if late.path is None:  # no room for a file, or no more: then all of them
                for each in untold:
                    tell(each)
                untold.clear()

        try:
            return await run_unjournalled(draft, audit, build_described, gate.own, only_here, late=late)
        finally:
            if late.path is None:
                tell("keep the lines above: no directory took its records, and nothing else has them")
            elif named(late) != kept:
                tell(named(late))

    return run
