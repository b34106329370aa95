"""Rows stay where the operator is while the data under them changes."""

from random import Random

from msgspec.structs import replace

from backends.models import PipelineRun
from panels.kinds.pipelines import PIPELINES
from panels.kinds.timeline import TIMELINE
from panels.kinds.timeline_event import Event
from panels.rows import Rows
from tests.console.fakes import NOW, ago, run


def runs(amount: int) -> list[PipelineRun]:
    return [run(f"p{n:05}", "1", "success", started_at=ago(seconds=n)) for n in range(amount)]


def rows_of(items: list[PipelineRun], *, room: int = 100) -> Rows[PipelineRun]:
    rows: Rows[PipelineRun] = Rows(PIPELINES)
    update(rows, items, room=room)
    return rows


def update(rows: Rows[PipelineRun], items: list[PipelineRun], *, frozen: bool = False, room: int = 100) -> bool:
    rows.apply(items, frozen=frozen)
    return rows.arrange(roomy=True, room=room)


def names(rows: Rows[PipelineRun]) -> list[str]:
    return [row.item.pipeline for row in rows.shown]


def test_the_cursor_stays_on_its_item_when_a_worse_one_comes() -> None:
    items = runs(5)
    rows = rows_of(items)
    rows.move_to(2)
    worse = run("zz", "9", "failed", started_at=ago(seconds=1), error="broken")
    moved = update(rows, [*items, worse])
    assert not moved
    assert names(rows)[0] == "zz"
    assert rows.current is not None
    assert rows.current.item.pipeline == "p00002"
    assert rows.at == 3


def test_a_cursor_that_nobody_moved_is_on_the_worst() -> None:
    items = runs(5)
    rows = rows_of(items)
    worse = run("zz", "9", "failed", started_at=ago(seconds=1), error="broken")
    assert update(rows, [*items, worse])
    assert rows.current is not None
    assert (rows.at, rows.current.item.pipeline) == (0, "zz")
    rows.move_to(0)
    update(rows, [*items, worse, run("yy", "9", "failed", started_at=ago(seconds=2), error="broken too")])
    assert rows.current.item.pipeline == "zz"


def test_the_cursor_goes_to_the_next_row_when_its_item_is_gone() -> None:
    items = runs(5)
    rows = rows_of(items)
    rows.move_to(4)
    assert update(rows, items[:4])
    assert rows.current is not None
    assert rows.current.item.pipeline == "p00003"
    update(rows, [])
    assert not rows.shown
    assert rows.total == 0


def test_while_frozen_nothing_moves_and_what_is_new_waits() -> None:
    items = runs(3)
    rows = rows_of(items)
    broken = replace(items[2], state="failed", error="x")
    update(rows, [items[0], items[1], broken, run("new", "1", "failed")], frozen=True)
    assert names(rows) == ["p00000", "p00001", "p00002"]
    assert rows.shown[2].item.state == "failed"
    assert len(rows.late) == 1
    rows.thaw()
    rows.arrange(roomy=True, room=100)
    assert set(names(rows)[:2]) == {"p00002", "new"}
    assert not rows.late


def test_equal_items_keep_their_rows_and_changed_ones_do_not() -> None:
    items = runs(3)
    rows = rows_of(items)
    before = list(rows.shown)
    update(rows, [replace(items[0]), replace(items[1], error="why"), replace(items[2])])
    assert rows.shown[0] is before[0]
    assert rows.shown[1] is not before[1]


def test_lines_and_rows_find_each_other() -> None:
    items = [*runs(2), run("bad", "1", "failed", error="why")]
    rows = rows_of(items)
    assert [rows.height(n) for n in range(3)] == [2, 1, 1]
    assert [rows.row_at(line) for line in range(4)] == [0, 0, 1, 2]
    assert rows.total == 4


def test_reasons_are_dropped_for_all_but_the_worst_where_there_is_no_room() -> None:
    items = [run(f"p{n}", "1", "failed", error="why") for n in range(4)]
    rows: Rows[PipelineRun] = Rows(PIPELINES)
    rows.apply(items, frozen=False)
    rows.arrange(roomy=False, room=8)
    assert rows.total == 8
    rows.arrange(roomy=False, room=7)
    assert rows.total == 5


def test_one_key_given_twice_is_two_rows() -> None:
    twin = run("p", "1", "success")
    rows = rows_of([twin, replace(twin, error="second")])
    assert len(rows.shown) == 2


def test_filter_and_counts() -> None:
    items = [*runs(3), run("bad", "1", "failed")]
    rows = rows_of(items)
    rows.filter = "state:failed"
    update(rows, items)
    assert names(rows) == ["bad"]
    assert len(rows) == 4
    amounts, distrusted = rows.count()
    assert amounts["ok", ""] == 3
    assert distrusted == 0
    assert rows.count(frozenset({"airflow"})) == ({}, 4)


def test_a_list_with_the_newest_last_follows_its_end_until_left() -> None:
    rows: Rows[Event] = Rows(TIMELINE)

    def event(n: int) -> Event:
        return Event(str(n), ago(seconds=100 - n), "ok", f"event {n}", run("p", "1", "success"), "run")

    rows.apply([event(1), event(2)], frozen=False)
    rows.arrange(roomy=True, room=9)
    assert rows.at == 1
    rows.apply([event(1), event(2), event(3)], frozen=False)
    rows.arrange(roomy=True, room=9)
    assert rows.at == 2
    rows.move_to(0)
    rows.apply([event(1), event(2), event(3), event(4)], frozen=False)
    rows.arrange(roomy=True, room=9)
    assert rows.at == 0


def test_random_changes_never_lose_the_cursor_or_a_row() -> None:
    seed = 20260824
    print("seed", seed)
    random = Random(seed)
    items = runs(60)
    rows = rows_of(items)
    for _ in range(200):
        rows.move_to(random.randrange(len(rows.shown)))
        assert rows.current is not None
        kept = rows.current.key
        items = [
            replace(item, state=random.choice(["failed", "running"]), ended_at=NOW) if random.random() < 0.2 else item
            for item in items
            if item.ref == kept or random.random() > 0.02
        ]
        items.append(run(f"n{random.randrange(10**9)}", "1", "failed"))
        random.shuffle(items)
        update(rows, items, frozen=random.random() < 0.3)
        assert rows.current is not None
        assert rows.current.key == kept
        assert len(rows.shown) + len(rows.late) == len(items)


def test_nothing_waits_beside_an_empty_list() -> None:
    """`No alerts firing` stood below `5,000 warning · 5,000 new` where a key was pressed before the first answer."""
    rows = Rows(PIPELINES)
    update(rows, [], frozen=True)
    update(rows, [run("new", "1", "failed")], frozen=True)
    assert (len(rows.shown), rows.late) == (1, [])
    update(rows, [run("other", "1", "failed")], frozen=True)  # and the one that was listed is gone
    assert ([row.item.pipeline for row in rows.shown], rows.late) == (["other"], [])
