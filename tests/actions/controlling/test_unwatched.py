"""A pause of a controller that no action of ours watches: told once, whoever looks and how many."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from actions.controlling.unwatched import tell_unwatched
from actions.journal.journal import Journal
from actions.who import current_actor
from backends.errors import BackendError
from console.runners import build_described
from tests.actions.controlling.desk import Desk
from tests.actions.test_notices import told, webhook
from tests.backends.faulty_server import FaultyServer

WORDS = "svc: PAUSED SCALE_UP: it PROMOTES ITSELF at 03:40 UTC, no action of ours watches it"


@pytest.fixture
async def receiver() -> AsyncIterator[FaultyServer]:
    async with FaultyServer() as server:
        yield server


async def tell_from(desk: Desk, receiver: FaultyServer, place: Path, service: str = "svc") -> None:
    """As a console does that has a journal of its own over the same file."""
    journal = Journal(desk.journal.location)
    shown = replace(await desk.controller.deployment(), service=service)
    try:
        await tell_unwatched(
            journal, shown, WORDS, "c", [webhook(receiver, place)], build_described, actor=current_actor({})
        )
    finally:
        await journal.aclose()


async def test_each_pause_is_told_once(desk: Desk, receiver: FaultyServer, tmp_path: Path) -> None:
    desk.controller.begin("3.0", by="bob")
    desk.controller.wait()
    for _ in range(2):
        await asyncio.gather(*(tell_from(desk, receiver, tmp_path) for _ in range(4)))
    (event,) = told(receiver)
    assert (event["what"], event["service"], event["from"], event["to"]) == ("held", "svc", "1.0", "3.0")
    assert event["text"].startswith(f"c: {WORDS} (audit ")
    assert event["action"] == ""
    desk.controller.wait()  # the next one
    await tell_from(desk, receiver, tmp_path)
    await tell_from(desk, receiver, tmp_path, service="another")
    assert [(each["what"], each["service"]) for each in told(receiver)] == [
        ("held", "svc"), ("held", "svc"), ("held", "another"),
    ]  # fmt: skip
    assert (await desk.gate.verify_audit()).intact


async def test_without_a_claim_nothing_is_sent(
    desk: Desk, receiver: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.controller.begin("3.0", by="bob")
    desk.controller.wait()

    async def cannot(*_: object, **__: object) -> bool:
        raise BackendError("auth", "attempt to write a readonly database")

    with monkeypatch.context() as only_read:
        only_read.setattr(Journal, "note_once", cannot)
        with pytest.raises(BackendError):
            await tell_from(desk, receiver, tmp_path)
    assert told(receiver) == []
    await tell_from(desk, receiver, tmp_path)
    assert len(told(receiver)) == 1
