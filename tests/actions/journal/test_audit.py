"""The audit chain: written with what it tells of, and broken by any change of any byte."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.ids import now
from actions.journal.audit import AuditEntry, AuditRecord, Head, Link, hash_of, link, record, verify
from actions.journal.journal import Journal
from actions.journal.rows import Changes
from actions.models import Actor
from console.cli.audit import at_words
from tests.actions.journals import draft, execute


def chain(length: int) -> list[Link]:
    links: list[Link] = []
    for seq in range(1, length + 1):
        prev_hash = links[-1].hash if links else ""
        entry = AuditEntry(kind="note", detail=f"number {seq}", actor=Actor(login="alice"))
        links.append(link(seq, prev_hash, "2026-01-01T00:00:00.000000Z", entry))
    return links


def head(links: list[Link]) -> tuple[int, str]:
    return (links[-1].seq, links[-1].hash)


def test_a_chain_that_nobody_touched_holds() -> None:
    links = chain(5)
    assert verify(links, head(links)).intact
    assert record(links[2]).detail == "number 3"


def test_a_chain_that_was_cut_off_or_written_anew_does_not_have_the_head_that_was_kept() -> None:
    """Whoever can write the journal can make a chain that holds: the head is from where he can not."""
    links = chain(5)
    kept = Head.parse(f"3:{links[2].hash[:16].upper()}")
    assert verify(links, head(links), kept).anchored
    cut = verify(links[:2], head(links[:2]), kept)
    assert (cut.intact, cut.broken_at) == (False, 3)
    forged: list[Link] = []
    for old in links:
        entry = AuditEntry(kind="note", detail=f"lumber {old.seq}")
        forged.append(link(old.seq, forged[-1].hash if forged else "", "2026-01-01T00:00:00.000000Z", entry))
    assert verify(forged, head(forged)).intact
    assert not verify(forged, head(forged)).anchored
    assert verify(forged, head(forged), kept).broken_at == 3


def test_no_record_at_all_is_not_a_chain_that_holds() -> None:
    assert not verify([], (0, "")).intact
    assert not verify([], (0, ""), Head(1, "0" * 64)).intact


@pytest.mark.parametrize("text", ["", "3", "3:abc", "x:0123456789abcdef", "3:0123456789abcdeg", "-1:0123456789abcdef"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="SEQ:HASH"):
        Head.parse(text)


@given(st.data())
def test_any_change_names_the_first_broken_record(data: st.DataObject) -> None:
    links = chain(6)
    end = head(links)
    at = data.draw(st.integers(0, 5))
    row = links[at]
    how = data.draw(st.sampled_from(["text", "hash", "prev_hash", "remove", "swap", "rehash"]))
    if how == "remove":
        del links[at]
    elif how == "swap":
        other = data.draw(st.integers(0, 5).filter(lambda index: index != at))
        links[at] = Link(row.seq, row.prev_hash, row.hash, links[other].text)
    elif how == "rehash":
        text = row.text.replace("number", "lumber")
        links[at] = Link(row.seq, row.prev_hash, hashlib.sha256((row.prev_hash + text).encode()).hexdigest(), text)
    else:
        changed = {name: getattr(row, name) for name in ("seq", "prev_hash", "hash", "text")}
        changed[how] = changed[how] + " "
        links[at] = Link(**changed)
    verdict = verify(links, end)
    assert not verdict.intact
    assert verdict.broken_at is not None
    assert at + 1 <= verdict.broken_at <= at + 2


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE audit SET text = replace(text, 'alice', 'mallory') WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq = 2", 3),
        ("DELETE FROM audit WHERE seq = 3", 3),
        ("UPDATE audit SET seq = 9 WHERE seq = 1", 2),
    ],
)
async def test_tampering_with_the_database_shows(journal: Journal, statement: str, broken_at: int) -> None:
    for number in range(3):
        await journal.audit(AuditEntry(kind="note", actor=Actor(login="alice"), detail=str(number)))
    assert (await journal.audit_verify()).intact
    execute(journal.location, statement)
    verdict = await journal.audit_verify()
    assert (verdict.intact, verdict.broken_at) == (False, broken_at)
    assert verdict.detail


async def test_a_record_that_can_not_be_read_does_not_hide_the_others(journal: Journal) -> None:
    for number in range(2):
        await journal.audit(AuditEntry(kind="note", detail=str(number)))
    execute(journal.location, "UPDATE audit SET text = '{' WHERE seq = 1")
    first, second = await journal.audit_records()
    assert (first.result, second.detail) == ("unreadable", "1")


async def test_a_record_is_written_with_what_it_tells_of_or_not_at_all(journal: Journal) -> None:
    told = draft(key="k")
    await journal.begin(told, audit=[AuditEntry(kind="command", action=told.id)])
    for refused in (draft(key="k"), draft()):
        with pytest.raises(Exception, match=r"open|key"):
            await journal.begin(refused, audit=[AuditEntry(kind="command")])
    await journal.close_orphan(told.id, Changes(status="abandoned"), audit=[AuditEntry(kind="takeover")])
    assert [found.kind for found in await journal.audit_records()] == ["command", "takeover"]


async def test_another_program_can_walk_the_export(journal: Journal) -> None:
    for number in range(4):
        await journal.audit(AuditEntry(kind="note", detail=f"ü {number}"))
    prev_hash = ""
    for line in await journal.audit_lines():
        told = json.loads(line)
        assert told["prev_hash"] == prev_hash
        assert hashlib.sha256((prev_hash + told["text"]).encode()).hexdigest() == told["hash"]
        assert json.loads(told["text"])["seq"] == told["seq"]
        prev_hash = told["hash"]


def test_a_time_that_can_not_be_read_is_none_and_takes_no_other_with_it() -> None:
    for odd in ("", "soon", "0001-01-01T00:00:00+23:59"):
        told = AuditRecord(kind="note", seq=1, happened_at=odd, at="2026-01-01T00:00:00.000000Z")
        assert told.done_at == datetime(2026, 1, 1, tzinfo=UTC)
        assert AuditRecord(kind="note", seq=1, at=odd).done_at is None
        late = AuditRecord(kind="note", seq=1, happened_at="2026-01-01T00:00:00Z", late=True, at=odd)
        assert at_words(late, UTC) == "2026-01-01 00:00:00 UTC, late"


def test_a_record_that_is_nested_too_deep_is_one_that_can_not_be_read() -> None:
    for text in ("[" * 100_000, "[]", "{"):
        link_ = Link(1, "", hash_of("", text), text)
        assert record(link_).result == "unreadable"
        assert not verify([link_], (1, link_.hash)).intact


@pytest.mark.parametrize("location", ["sqlite"], indirect=True)  # a PostgreSQL column of text holds nothing else
@pytest.mark.parametrize("column", ["text", "hash", "prev_hash"])
@pytest.mark.parametrize(
    "value",
    ["CAST(x'7bff00' AS TEXT)", "x'7bff'", "7", "CAST({} AS BLOB)"],
    ids=["bytes", "blob", "number", "own blob"],
)
async def test_a_cell_that_is_no_text_breaks_the_chain_there_and_hides_no_other_record(
    journal: Journal, column: str, value: str
) -> None:
    await journal.audit(*(AuditEntry(kind="note", detail=f"{n}") for n in range(4)))
    value = value.format(column)
    execute(journal.location, f"UPDATE audit SET {column} = {value} WHERE seq = 2")
    verdict = await journal.audit_verify()
    assert (verdict.intact, verdict.broken_at) == (False, 2)
    records = await journal.audit_records()
    assert [record.detail for record in records if record.seq != 2] == ["0", "2", "3"]
    assert len(records) == len(await journal.audit_lines()) == 4
    assert await journal.audit_records(since=now() - timedelta(hours=1))


@pytest.mark.parametrize("location", ["sqlite"], indirect=True)  # as above
async def test_a_head_that_is_no_text_is_no_head(journal: Journal) -> None:
    await journal.audit(AuditEntry(kind="note"))
    execute(journal.location, "UPDATE audit_head SET hash = CAST(x'ff' AS TEXT)")
    verdict = await journal.audit_verify()
    assert (verdict.intact, verdict.broken_at) == (False, 2)
