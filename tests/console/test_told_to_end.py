"""A console that is told to end reads nothing more, whenever it hears of that."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.config.selection import select
from console.session import Session

FEEDS = {"feeds", "memory"}


@pytest.fixture
async def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Session]:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    path = tmp_path / "config.toml"
    path.write_text('[contexts.c]\n[[contexts.c.checks]]\nname = "a"\ntype = "tcp"\naddress = "127.0.0.1:1"\n')
    path.chmod(0o600)
    found = Session(select(str(path), None))
    yield found
    await found.aclose()


def running() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks()} & FEEDS


async def test_before_its_first_read(session: Session) -> None:
    """The first reads began after it had given the terminal back, and it imported for two seconds what they need."""
    session.stop()
    session.start()
    assert running() == set()


async def test_before_the_first_step_of_what_reads(session: Session) -> None:
    session.start()
    assert running() == FEEDS
    session.stop()
    await session.aclose()
    assert running() == set()
