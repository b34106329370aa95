"""What every adapter of the port `Errors` does. An adapter's test class inherits this and gives four fixtures:

`adapter` (a fresh one over a system with one project, that of the service `shop`, in which nothing was raised; closed
afterwards), `hold`: makes the system hold one more error, `released`: makes it know the release of a version, and
`lose`: makes it go away.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from backends.errors import BackendError
from backends.models import ErrorIssue
from backends.ports import Errors, LiveVersions

HOUR = timedelta(hours=1)
LIVE = {"shop": LiveVersions(("2.4.1",))}


class Raised(NamedTuple):
    """An error as a service raised it; `version` is the one that did first."""

    title: str
    version: str = "2.4.0"
    level: str = "error"
    events: int = 1
    users: int = 0
    file: str = ""
    function: str = ""
    assigned: str = ""
    is_back: bool = False
    last_seen: datetime | None = None


Hold = Callable[[Raised], None]
Released = Callable[[str], None]
Lose = Callable[[], None]


async def only(adapter: Errors, live: dict[str, LiveVersions] = LIVE) -> ErrorIssue:
    """The one error, which fits together."""
    (found,) = await adapter.issues(live)
    assert found.ref.startswith(f"{found.backend}/")
    assert (found.is_new is None) == bool(found.reason)
    assert bool(found.is_new) == bool(found.release)
    for told in (found.first_seen, found.last_seen):
        assert told is None or told.utcoffset() == timedelta(0)
    return found


class ErrorsContract:
    async def test_nothing_raised_is_no_error(self, adapter: Errors, released: Released) -> None:
        released("2.4.1")
        assert await adapter.issues(LIVE) == []

    async def test_all_of_it(self, adapter: Errors, hold: Hold, released: Released) -> None:
        released("2.4.1")
        at = datetime.now(UTC).replace(microsecond=0)
        hold(Raised("KeyError: 'id'", "2.4.1", "error", 1234, 56, "app/db.py", "load", "Alice", last_seen=at))
        found = await only(adapter)
        assert (found.title, found.service, found.level, found.count, found.users, found.assigned) == (
            "KeyError: 'id'", "shop", "error", 1234, 56, "Alice",
        )  # fmt: skip
        assert found.last_seen == at
        assert "app/db.py" in found.frame
        assert "load" in found.frame

    async def test_new_is_what_a_version_brought_that_takes_traffic(
        self, adapter: Errors, hold: Hold, released: Released
    ) -> None:
        released("2.4.0")
        released("2.4.1")
        hold(Raised("old", "2.4.0"))
        found = await only(adapter)
        assert (found.is_new, found.state, found.health) == (False, "unresolved", "ok")
        found = await only(adapter, {"shop": LiveVersions(("2.4.1", "2.4.0"))})
        assert (found.is_new, found.health) == (True, "warning")
        assert "2.4.0" in (found.release or "")

    async def test_what_is_fatal_and_new_is_critical(self, adapter: Errors, hold: Hold, released: Released) -> None:
        released("2.4.1")
        hold(Raised("MemoryError", "2.4.1", level="fatal"))
        assert (await only(adapter)).health == "critical"

    async def test_what_is_back_is_a_warning(self, adapter: Errors, hold: Hold, released: Released) -> None:
        released("2.4.1")
        hold(Raised("old", "2.3.0", is_back=True))
        found = await only(adapter)
        assert (found.is_new, found.state, found.health) == (False, "regressed", "warning")

    async def test_a_release_that_it_does_not_know_is_not_free_of_errors(self, adapter: Errors, hold: Hold) -> None:
        hold(Raised("KeyError", "2.4.0"))
        found = await only(adapter)
        assert (found.is_new, found.health) == (None, "unknown")
        assert "2.4.1" in found.reason

    async def test_a_live_version_that_nobody_knows(self, adapter: Errors, hold: Hold, released: Released) -> None:
        released("2.4.1")
        hold(Raised("KeyError", "2.4.1"))
        found = await only(adapter, {"shop": LiveVersions(unknown="nobody looked")})
        assert (found.is_new, found.health, found.reason) == (None, "unknown", "nobody looked")
        found = await only(adapter, {"shop": LiveVersions(("2.4.1",), unknown="and another one")})
        assert found.is_new, "what is known of one version stays known"

    async def test_without_its_service_here_it_is_no_trouble(self, adapter: Errors, hold: Hold) -> None:
        hold(Raised("KeyError"))
        found = await only(adapter, {})
        assert (found.is_new, found.service, found.health) == (None, "", "ok")
        assert found.reason

    async def test_strings_from_outside_are_clean(self, adapter: Errors, hold: Hold, released: Released) -> None:
        released("2.4.1")
        hold(Raised("Key\x1b[31mError\u202e" + "x" * 5000, file="a\x07.py", function="f\u202e", assigned="A\x1b[0mB"))
        found = await only(adapter)
        assert found.title.startswith("KeyErrorx")
        for told in (found.title, found.frame, found.assigned):
            assert told.isprintable()
            assert len(told) <= 300

    async def test_a_lost_system_is_an_error_that_says_what_to_do(
        self, adapter: Errors, hold: Hold, lose: Lose
    ) -> None:
        hold(Raised("KeyError"))
        await adapter.issues(LIVE)
        lose()
        with pytest.raises(BackendError) as caught:
            await adapter.issues(LIVE)
        assert caught.value.kind in ("unreachable", "timeout")
        assert caught.value.message.isprintable()
        assert caught.value.fix

    async def test_reads_side_by_side_and_cancelled_ones(self, adapter: Errors, hold: Hold, released: Released) -> None:
        released("2.4.1")
        hold(Raised("KeyError", "2.4.1"))
        tasks = [asyncio.create_task(adapter.issues(LIVE)) for _ in range(6)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert all(isinstance(items, list) and len(items) == 1 for items in found[1:])
        assert (await only(adapter)).is_new

    async def test_closing_twice(self, adapter: Errors) -> None:
        await adapter.issues({})
        await adapter.aclose()
        await adapter.aclose()
