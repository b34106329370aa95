"""What was wrong is kept once, ended once, and bounded: in the journal of each engine and by the pure merge alike."""

import asyncio
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actions.ids import now
from actions.journal import episodes_sql
from actions.journal.episodes import Book, Episode, bounded, merged, remembered
from actions.journal.journal import Journal
from actions.journal.location import JournalLocation
from actions.journal.patience import patient
from tests.actions.journals import begun, execute

START = now().replace(microsecond=0)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def episode(since: float = 0, until: float | None = None, **fields: Any) -> Episode:
    return Episode(
        **{
            "source": "alerts.am", "kind": "alert", "ref": "am/1", "state": "critical", "subject": "Down",
            "text": "Down firing", "since": at(since), "seen_at": at(since if until is None else until),
            "until": None if until is None else at(until), **fields,
        }
    )  # fmt: skip


# Each line: what is told one after the other, and which (since, until) are kept of it.
TOLD: list[tuple[list[list[Episode]], list[tuple[float, float | None]]]] = [
    ([[episode()], [episode()]], [(0, None)]),  # two consoles, one row
    ([[episode()], [episode(1)]], [(0, None)]),  # the second saw it a minute later: it is the same
    ([[episode()], [episode(0, 5)], [episode(0, 5)]], [(0, 5)]),
    ([[episode()], [episode(0, 5)], [episode(1, 6)]], [(0, 5)]),  # the second saw both ends later
    ([[episode()], [episode(0, 5)], [episode(7)]], [(0, 5), (7, None)]),
    ([[episode(0, 5)]], [(0, 5)]),  # it came and went while nothing could be written
    ([[episode()], [episode(0, 5), episode(7)]], [(0, 5), (7, None)]),
    ([[episode(7)], [episode(0, 5)]], [(7, None)]),  # an end before it began is not its own
    ([[episode()], [episode(state="warning")]], [(0, None), (0, None)]),
    ([[episode()], [episode(ref="am/2")], [episode(0, 3, ref="am/2")]], [(0, None), (0, 3)]),
]


@pytest.mark.parametrize(("told", "kept"), TOLD)
async def test_of_one_thing_one_is_open_and_none_is_told_twice(
    journal: Journal, told: list[list[Episode]], kept: list[tuple[float, float | None]]
) -> None:
    """A13, A12: the key is context, source, ref, state, since."""
    await journal.audit()
    by_merge: list[Episode] = []
    for news in told:
        assert await journal.keep("test", news)
        by_merge = remembered(by_merge, news)
    book = await journal.episodes("test", at(-60), at(60))
    minutes = [(each.since, each.until) for each in book.episodes]
    assert minutes == [(at(since), None if until is None else at(until)) for since, until in kept]
    assert {each.key: each.until for each in by_merge} == {each.key: each.until for each in book.episodes}
    assert not (await journal.episodes("other", at(-60), at(60))).episodes


async def test_two_consoles_write_a_row_once(location: JournalLocation) -> None:
    first, second = Journal(location), Journal(location)
    await first.audit()
    await first.keep("test", [episode(ref="before")])
    news = [episode(ref=f"am/{number}") for number in range(20)]
    until = time.monotonic() + 60  # who waits half a second for the other has not written, and asks again
    try:
        with patient(lambda: until - time.monotonic()):
            await asyncio.gather(*(each.keep("test", news) for each in (first, second) for _ in range(3)))
        assert len((await first.episodes("test", at(-60), at(60))).episodes) == 21
    finally:  # a connection that is left open fails whatever test comes when it is found
        await first.aclose()
        await second.aclose()


async def test_what_is_asked_for_is_what_was_so_in_the_window(journal: Journal) -> None:
    await journal.audit()
    rows = [episode(0, 5, ref="over"), episode(0, ref="on"), episode(20, 25, ref="in"), episode(40, ref="later")]
    await journal.keep("test", rows)
    found = (await journal.episodes("test", at(10), at(30))).episodes
    assert [each.ref for each in found] == ["on", "in"]
    assert replace(found[1], text="") == replace(rows[2], text="")


async def test_the_oldest_go_first_and_it_is_said(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episodes_sql, "MOST", 3)
    await journal.audit()
    for minute in range(5):
        await journal.keep("test", [episode(minute, minute + 0.5)])
    await journal.keep("other", [episode()])
    book = await journal.episodes("test", at(-60), at(60))
    assert [each.since for each in book.episodes] == [at(2), at(3), at(4)]
    assert book.whole_from == at(2)
    month = 32 * 24 * 60
    await journal.keep("test", [episode(-month, -month + 1, ref="old")])
    assert "old" not in [each.ref for each in (await journal.episodes("test", at(-2 * month), at(60))).episodes]


@pytest.mark.parametrize("location", ["sqlite"], indirect=True)  # one file
async def test_an_order_does_not_wait_for_what_is_kept(location: JournalLocation) -> None:
    """Another program keeps the writers of the file out: what is kept gives up within a second, on its own thread."""
    journal = Journal(location)
    await begun(journal)
    beside = journal.another()
    await beside.keep("test", [episode(ref="before")])
    with sqlite3.connect(str(location.path), isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        keeping = asyncio.create_task(beside.keep("test", [episode()]))
        assert (await journal.actions("test"))[0].open
        assert not keeping.done()
        with pytest.raises(Exception, match="journal"):
            await keeping
        other.execute("ROLLBACK")
    assert await beside.keep("test", [episode()])
    await beside.aclose()
    await journal.aclose()


async def test_no_journal_is_made_for_it_and_none_that_is_read_only_is_waited_for(location: JournalLocation) -> None:
    journal = Journal(location)
    if location.path is not None:
        assert not await journal.keep("test", [episode()])
        assert not location.path.exists()
        assert await journal.episodes("test", at(0), at(1)) == Book()
    await journal.audit()
    assert await journal.keep("test", [episode()])
    await journal.aclose()
    execute(location, "DROP TABLE episodes")  # as in the schema before, while an action is open
    older = Journal(location)
    assert not await older.keep("test", [episode()])
    assert await older.episodes("test", at(0), at(1)) == Book()
    await older.aclose()


def test_books_are_merged_where_they_overlap() -> None:
    mine, theirs = [episode(0, seen_at=at(2))], [episode(1, 5), episode(9)]
    assert [(each.since, each.until) for each in merged(mine, theirs)] == [(at(0), at(5)), (at(9), None)]
    assert [each.until for each in merged([episode()], [episode(0, 4)])] == [at(4)]
    other = [episode(0, ref="am/2")]
    assert len(merged(mine, other)) == 2


def test_who_looks_once_in_a_while_makes_no_trouble_longer() -> None:
    """A status that was asked for once told an end late, and T0 was on what was over: each host had its own."""
    watched = [episode(0, 1, seen_at=at(0.9)), episode(3, 4, seen_at=at(3.9))]
    once = [episode(0, 5, seen_at=at(0))]
    for books in ((watched, once), (once, watched)):
        assert [(each.since, each.until) for each in merged(*books)] == [(at(0), at(1)), (at(3), at(4))]


def test_a_book_is_bounded() -> None:
    rows = [episode(minute, minute + 0.5) for minute in range(5)]
    assert bounded(rows, at(10), 3) == rows[2:]
    assert bounded(rows, at(10) + timedelta(days=40), 3) == []
    assert START.tzinfo is UTC
