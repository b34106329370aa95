"""The journal's server goes away while a runner works by it: it is asked again for as long as the lease is sure, and
who gives up says why."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions.ids import new_id
from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.journal.lease import LeaseTimes, last_words, owner_file
from actions.journal.location import journal_location
from actions.journal.patience import asked_again, patient, patiently
from actions.orphans import judged
from actions.switching.other_journal import OTHER_JOURNAL
from actions.work import Work
from backends.errors import BackendError
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.actions.journals import begun, execute, here
from tests.actions.test_notices import told, webhook
from tests.backends.faulty_server import FaultyServer
from tests.live.postgres import PostgresServer
from tests.two_colors import TwoColors

live = [pytest.mark.live, pytest.mark.xdist_group("journal-postgresql")]


@pytest.fixture
async def served(postgresql: PostgresServer, tmp_path: Path, service: TwoColors) -> AsyncIterator[House]:
    """A house whose journal is in PostgreSQL."""
    name = f"journal_{new_id().lower()}"
    postgresql.sql(f"CREATE DATABASE {name}")
    location = journal_location(postgresql.url(database=name), {"TEAL_STATE_DIR": str(tmp_path / "state")})
    try:
        async with House(tmp_path / "state", service, location=location, bake="11s") as house:
            yield house
    finally:
        postgresql.start()


async def first_failure(house: House) -> Exception:
    (done, _) = await asyncio.wait(house.runners, timeout=60)
    assert done, "its runner did not end"
    failure = done.pop().exception()
    house.runners.clear()
    assert isinstance(failure, Exception)
    return failure


@pytest.mark.parametrize("_", [pytest.param("postgresql", marks=live)])
async def test_a_server_that_is_back_before_the_lease_ends_ends_no_runner(
    served: House, postgresql: PostgresServer, _: str
) -> None:
    """Away when the lease was to be renewed, it was asked only once more before its end, or not at all: the runner
    ended with status 0, without a word, and the split stayed."""
    served.times = LeaseTimes(ttl_s=15, renew_s=5, self_fence_s=10)
    action = await served.reaches(await served.gate.submit(await served.gate.plan(ANALYTICS_FLIP), YES), "bake")
    since = time.monotonic()
    await asyncio.sleep(2)
    await asyncio.to_thread(postgresql.stop)
    await asyncio.sleep(max(0.0, 5.5 - (time.monotonic() - since)))  # past the time of the renewal
    await asyncio.to_thread(postgresql.start)
    assert (await served.ended(action)).status == "succeeded"
    assert (await served.gate.verify_audit()).intact


@pytest.mark.parametrize("_", [pytest.param("postgresql", marks=live)])
async def test_one_that_stays_away_ends_it_and_it_says_why_to_everybody(
    served: House, postgresql: PostgresServer, service: TwoColors, tmp_path: Path, _: str
) -> None:
    served.times = LeaseTimes(ttl_s=3, renew_s=0.5, self_fence_s=2)
    async with FaultyServer() as receiver:
        served.targets.notify = (webhook(receiver, tmp_path),)
        action = await served.reaches(await served.gate.submit(await served.gate.plan(ANALYTICS_FLIP), YES), "bake")
        await asyncio.to_thread(postgresql.stop)
        failure = await first_failure(served)
        assert "refused" in str(failure)
        assert [event["what"] for event in told(receiver)] == ["started", "held"]
        assert "nobody goes on with it" in told(receiver)[-1]["text"]
    assert last_words(owner_file(served.location.directory, str(action.id))) == str(failure)[:256]
    await asyncio.to_thread(postgresql.start)
    (seen,) = await served.journal.action("test", str(action.id))
    seen = judged(seen, served.location, UTC)
    assert seen.open
    assert "refused" in seen.findings[0].text
    assert (await served.order(ANALYTICS_ROLLBACK)).status in ("succeeded", "rolled_back")
    assert service.weights() == {"blue": 100, "green": 0}


async def test_one_that_hangs_is_waited_for_no_longer_than_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(here(tmp_path), LeaseTimes(ttl_s=3, renew_s=0.1, self_fence_s=0.5))
    hold = await begun(journal)
    work = Work(journal, hold, await journal.plan(hold.action_id), [])
    answers = asyncio.Event()
    monkeypatch.setattr("actions.work.LET_GO_S", 0.1)
    for name in ("renew", "let_go"):
        monkeypatch.setattr(journal, name, lambda lease: answers.wait())
    with pytest.raises(JournalError, match=r"its lease was not renewed for 0.5 s: journal /.*: no answer"):
        await work.unless_ordered(asyncio.sleep(30))
    await asyncio.wait_for(work.stop(ended=False), 10)
    await journal.aclose()


async def test_a_journal_that_was_put_back_to_before_an_action_is_said_by_its_runner_and_by_the_switch(
    tmp_path: Path, service: TwoColors
) -> None:
    """The runner of a database that was restored from a backup ended within seconds, without a word."""
    async with House(tmp_path / "state", service, bake="11s") as house:
        house.times = LeaseTimes(ttl_s=3, renew_s=0.2, self_fence_s=1)
        action = await house.reaches(await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES), "bake")
        for table in ("commands", "events", "leases", "actions"):
            execute(house.location, f"DELETE FROM {table}")
        failure = await first_failure(house)
        assert f"the journal does not know {action.id}, or who runs it: was an older copy" in str(failure)
        assert "older copy" in last_words(owner_file(house.location.directory, str(action.id)))
        findings = (await house.gate.plan(ANALYTICS_FLIP)).findings
        (told_of_the_mark,) = [finding.text for finding in findings if finding.code == OTHER_JOURNAL]
        assert f"action {action.id} of this very journal, which does not know it (was an older" in told_of_the_mark


class Away:
    """What is asked, and fails with `kind` the first `times` times."""

    def __init__(self, times: int, kind: Any = "unreachable") -> None:
        self.asked, self._times, self._kind = 0, times, kind

    async def __call__(self) -> str:
        self.asked += 1
        if self.asked <= self._times:
            raise BackendError(self._kind, "gone", fix="")
        return "here"


def sure(*seconds: float) -> Callable[[], float]:
    left = iter(seconds)
    return lambda: next(left)


async def test_it_is_asked_once_more_when_that_may_be_done_no_longer() -> None:
    away = Away(9)
    with pytest.raises(BackendError, match="gone"):
        await asked_again(away, sure(1.0, 0.0))
    assert away.asked == 3
    assert await asked_again(Away(2), sure(1.0, 0.0)) == "here"


async def test_what_no_patience_helps_is_said_at_once() -> None:
    away = Away(1, "malformed")
    with pytest.raises(BackendError, match="gone"):
        await asked_again(away, sure(1.0))
    assert away.asked == 1


async def test_only_what_is_done_under_a_lease_is_patient() -> None:
    with pytest.raises(BackendError, match="gone"):
        await patiently(Away(1))
    with patient(lambda: 1.0):
        assert await asyncio.create_task(patiently(Away(1))) == "here"
        with patient(None), pytest.raises(BackendError, match="gone"):
            await patiently(Away(1))


async def test_every_look_of_a_runner_is_patient(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind of call fails once: what steers, what holds back, what it has done, what came of it."""
    from actions.journal.sql import SqlJournal

    lost: set[str] = set()
    names = ("plan", "acquire", "history", "action", "waiting", "planned", "of_service", "renew", "write")

    def failing(name: str) -> Callable[..., Any]:
        does = getattr(SqlJournal, name)

        def once(self: SqlJournal, *given: Any) -> Any:
            if any(journal._sql is self for journal in house._journals) and name not in lost:
                lost.add(name)
                raise BackendError("unreachable", f"gone in {name}")
            return does(self, *given)

        return once

    for name in names:
        monkeypatch.setattr(SqlJournal, name, failing(name))
    async with House(tmp_path / "state", service, stages={"canary": [50, 100]}, stage_time="300ms") as house:
        house.times = LeaseTimes(ttl_s=3, renew_s=0.2, self_fence_s=2)
        assert (await house.order(replace(ANALYTICS_FLIP, strategy="canary"))).status == "succeeded"
    assert lost == set(names), "each was asked, or this proves nothing"
