"""A service of two colors, a house over it, and a journal on each database that it can be in."""

import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import SimpleNamespace

import pytest

from actions import ids
from actions.ids import new_id
from actions.journal.journal import Journal
from actions.journal.location import JournalLocation, journal_location
from tests.actions.house import House
from tests.actions.journals import here
from tests.live.postgres import PostgresServer, postgres
from tests.two_colors import TwoColors


@pytest.fixture
async def house(tmp_path: Path, service: TwoColors) -> AsyncIterator[House]:
    async with House(tmp_path / "state", service) as house:
        yield house


IN_POSTGRESQL = pytest.param("postgresql", marks=[pytest.mark.live, pytest.mark.xdist_group("journal-postgresql")])


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", IN_POSTGRESQL])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> JournalLocation:
    """An empty journal in each database."""
    if request.param == "sqlite":
        return here(tmp_path / "state")
    server: PostgresServer = request.getfixturevalue("postgresql")
    name = f"journal_{new_id().lower()}"
    server.sql(f"CREATE DATABASE {name}")
    return journal_location(server.url(database=name), {"TEAL_STATE_DIR": str(tmp_path / "state")})


@pytest.fixture
async def journal(location: JournalLocation) -> AsyncIterator[Journal]:
    journal = Journal(location)
    yield journal
    await journal.aclose()


class Clock:
    """What the host takes for the time: `ahead` of what it is."""

    ahead = timedelta()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that a test sets, forward and back; the one since boot goes on as it does."""
    clock = Clock()

    def set_now(tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) + clock.ahead

    def time_ns() -> int:
        return time.time_ns() + round(clock.ahead.total_seconds() * 1e9)

    monkeypatch.setattr(ids, "datetime", SimpleNamespace(now=set_now, strptime=datetime.strptime))
    monkeypatch.setattr(ids, "time", SimpleNamespace(time_ns=time_ns))
    return clock
