"""What a notifier made of an action is found again: by the same process, by another one, and without a journal."""

from pathlib import Path
from typing import Any

from actions.described import Described
from actions.ids import made_at, new_id, now
from actions.journal.journal import Journal
from actions.notices import Notices
from actions.references import CLOCKS
from backends.errors import BackendError
from backends.ports import ActionEvent, EventKind
from backends.testing.notify import event
from console.reading.history import of_notes
from tests.actions.journals import here


class Board:
    """A notifier that keeps one note an action. `asked`: what it was told to follow; `lost`: its notes were deleted."""

    def __init__(self) -> None:
        self.asked: list[tuple[EventKind, str]] = []
        self.lost = False
        self.failing = False

    async def notify(self, event: ActionEvent) -> None:
        raise AssertionError("who follows is asked to follow")

    async def follow(self, event: ActionEvent, earlier: str) -> str:
        self.asked.append((event.what, earlier))
        if self.failing:
            raise BackendError("unreachable", "notify.board: gone")
        return f"note-{len(self.asked)}" if self.lost or not earlier else earlier

    async def dry_run(self) -> None: ...

    async def aclose(self) -> None: ...


def told(directory: Path, name: str = "board") -> Described:
    return Described(port="notify", type="board", name=name, config={}, base_dir=directory, state_dir=directory)


async def tell(journal: Journal, board: Board, entry: Described, *events: ActionEvent) -> None:
    """In a process of its own, as far as what it knows goes."""

    async def build(described: Described) -> Any:
        return board

    async with Notices(journal, "test", [entry], build) as notices:
        for each in events:
            notices.tell(each)


def a_journal(directory: Path) -> Journal:
    return Journal(here(directory))


async def test_it_is_followed_by_whoever_tells_next(tmp_path: Path) -> None:
    journal, board, action = a_journal(tmp_path), Board(), new_id()
    await tell(journal, board, told(tmp_path), event("started", action=action), event("held", action=action))
    await tell(a_journal(tmp_path), board, told(tmp_path), event("succeeded", action=action))
    assert board.asked == [("started", ""), ("held", "note-1"), ("succeeded", "note-1")]
    (record,) = await journal.audit_records()
    assert (record.action, record.result, record.after) == (
        action, "notify.board was told: started", {"board board": "note-1"},
    )  # fmt: skip
    assert of_notes([record], now() - CLOCKS, now()) == [], "where somebody was told is no news of the timeline"
    await journal.aclose()


async def test_of_two_actions_and_two_receivers_each_is_its_own(tmp_path: Path) -> None:
    journal, board, other = a_journal(tmp_path), Board(), Board()
    one, two = new_id(), new_id()
    await tell(journal, board, told(tmp_path), event("started", action=one), event("started", action=two))
    await tell(journal, other, told(tmp_path, "other"), event("held", action=one))
    await tell(journal, board, told(tmp_path), event("held", action=two), event("held", action=one))
    assert [earlier for _, earlier in board.asked] == ["", "", "note-2", "note-1"]
    assert other.asked == [("held", "")]
    await journal.aclose()


async def test_what_was_made_anew_is_what_is_followed(tmp_path: Path) -> None:
    journal, board, action = a_journal(tmp_path), Board(), new_id()
    await tell(journal, board, told(tmp_path), event("started", action=action))
    board.lost = True
    await tell(journal, board, told(tmp_path), event("held", action=action))
    board.lost = False
    await tell(journal, board, told(tmp_path), event("failed", action=action))
    assert board.asked[-1] == ("failed", "note-2")
    await journal.aclose()


async def test_what_is_of_no_action_is_not_followed(tmp_path: Path) -> None:
    journal, board = a_journal(tmp_path), Board()
    await tell(journal, board, told(tmp_path), event("held", action=""), event("held", action=""))
    assert board.asked == [("held", ""), ("held", "")]
    assert await journal.audit_records() == []
    await journal.aclose()


async def test_who_fails_is_noted_and_followed_afterwards(tmp_path: Path) -> None:
    journal, board, action = a_journal(tmp_path), Board(), new_id()
    await tell(journal, board, told(tmp_path), event("started", action=action))
    board.failing = True
    await tell(journal, board, told(tmp_path), event("held", action=action))
    board.failing = False
    await tell(journal, board, told(tmp_path), event("succeeded", action=action))
    assert board.asked[-1] == ("succeeded", "note-1")
    assert [record.result for record in await journal.audit_records()] == [
        "notify.board was told: started",
        "notify.board was not told: held",
    ]
    await journal.aclose()


async def test_without_a_journal_the_process_itself_knows(tmp_path: Path) -> None:
    lost = Journal(here(tmp_path), lost=BackendError("unreachable", "journal: away"))
    board, action = Board(), new_id()
    await tell(lost, board, told(tmp_path), event("started", action=action), event("succeeded", action=action))
    assert board.asked == [("started", ""), ("succeeded", "note-1")]
    await lost.aclose()


def test_an_id_says_when_it_was_made() -> None:
    before = now()
    made = made_at(new_id())
    assert made is not None
    assert abs((made - before).total_seconds()) < 1
    assert (made_at("01HZX"), made_at("Z" * 26), made_at("!" * 26)) == (None, None, None)
