"""What tests of the journal write into it, and where it is."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from actions.expected import SwitchExpected
from actions.ids import canonical, new_id, now
from actions.journal.audit import hash_of
from actions.journal.journal import Journal
from actions.journal.lease import Lease, LeaseHeld
from actions.journal.location import JournalLocation, journal_location
from actions.journal.rows import Draft
from actions.models import Actor, Owner, Plan, PlanSummary, Request
from actions.who import runner_owner

ALICE = Actor(login="alice", host="bastion-1")
ROOT = Path(__file__).parents[2]


def here(directory: Path) -> JournalLocation:
    return journal_location(None, {"TEAL_STATE_DIR": str(directory)})


def draft(service: str = "analytics", key: str = "", **plan: Any) -> Draft:
    plan = {"expected": SwitchExpected(weights={}, revision=""), **plan}
    made = Plan(
        kind="flip", context="test", service=service, guard_class="3", protected=False, from_="blue", to="green",
        findings=(), summary=PlanSummary(effects=("e",), preconditions=(), undo="u"), hash="h", made_at=now(),
        request=Request(kind="flip", service=service), **plan,
    )  # fmt: skip
    return Draft(
        id=new_id(), plan=made, request_hash="r", idempotency_key=key or new_id(), actor=ALICE, reason="",
        steps=("preflight", "shift"),
    )  # fmt: skip


def owner(host: str = "bastion-1", *, pid: int = 1, lock: str = "/nowhere/A.lock") -> Owner:
    return Owner(user="alice", host=host, pid=pid, lock=lock)


async def begun(journal: Journal) -> Lease:
    action = await journal.begin(draft())
    assert action.id is not None
    return await journal.acquire(action.id, owner())


async def until_won(journal: Journal, action_id: str) -> Lease:
    """The lease, as soon as its owner has lost it."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(LeaseHeld):
                return await journal.acquire(action_id, runner_owner())
            await asyncio.sleep(0.1)


def rechain(location: JournalLocation, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """The whole audit written anew with each record as `change` makes it: that can only be seen from outside of it."""
    hash_ = ""
    with contextlib.closing(sqlite3.connect(str(location.path))) as database, database:
        for seq, text in database.execute("SELECT seq, text FROM audit ORDER BY seq").fetchall():
            made = canonical(change(json.loads(text)))
            was, hash_ = hash_, hash_of(hash_, made)
            database.execute(
                "UPDATE audit SET prev_hash = ?, hash = ?, text = ? WHERE seq = ?", (was, hash_, made, seq)
            )
        database.execute("UPDATE audit_head SET hash = ?", (hash_,))


def without_digest(record: dict[str, Any]) -> dict[str, Any]:
    """A record as a program before 0.2 wrote it."""
    return {key: value for key, value in record.items() if key != "plan_digest"}


def execute(location: JournalLocation, statement: str) -> list[Any]:
    """A statement past the journal, as somebody with a database client would send it."""
    engine = create_engine(location.url)
    try:
        with engine.begin() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()
