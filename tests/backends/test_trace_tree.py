"""The tree of a trace, its critical path and first error, whatever the spans are."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import BackendError
from backends.testing.traces import FIRST, work
from backends.traces.otlp import hexadecimal, spans_of
from backends.traces.tree import Found, tree_of

AT = datetime(2026, 11, 30, 13, tzinfo=UTC)


def span(id_: int, above: int, begin: float, end: float, error: str | None = None) -> Found:
    return work(FIRST, id_, above, f"s{id_}", "work", AT + timedelta(seconds=begin), end - begin, error=error)


def waited(spans: Sequence[Found]) -> dict[str, float]:
    return {each.service: round(each.critical_s, 3) for each in tree_of("t", spans).spans}


def test_of_two_side_by_side_it_waits_for_the_later_one() -> None:
    spans = [span(1, 0, 0, 10), span(2, 1, 1, 4), span(3, 1, 1, 9)]
    assert waited(spans) == {"s1": 2, "s3": 8, "s2": 0}


def test_what_still_ran_when_the_last_began_held_nobody_up() -> None:
    assert waited([span(1, 0, 0, 10), span(2, 1, 0, 8), span(3, 1, 5, 10)]) == {"s1": 5, "s2": 0, "s3": 5}


def test_a_child_that_outlives_its_parent_and_one_that_begins_after_it() -> None:
    spans = [span(1, 0, 0, 4), span(2, 1, 1, 9), span(3, 1, 6, 8)]
    assert waited(spans) == {"s1": 1, "s2": 3, "s3": 0}
    assert tree_of("t", spans).duration_s == 9


def test_a_parent_that_is_not_there_is_said() -> None:
    tree = tree_of("t", [span(1, 0, 0, 4), span(3, 2, 1, 2)])
    assert [(each.service, each.depth) for each in tree.spans] == [("s1", 0), ("s3", 0)]
    assert tree.orphans == 1


def test_a_span_that_came_twice_and_two_sides_of_a_call_with_one_id() -> None:
    once = [span(1, 0, 0, 4), span(2, 1, 1, 3)]
    assert tree_of("t", [*once, *once]).span_count == 2
    server = work(FIRST, 2, 1, "server", "work", AT + timedelta(seconds=1.5), 1)
    tree = tree_of("t", [*once, server, span(3, 2, 1.6, 2)])
    assert [(each.service, each.depth) for each in tree.spans] == [("s1", 0), ("s2", 1), ("server", 2), ("s3", 2)]


def test_the_first_that_failed_is_the_cause_not_the_one_that_began_first() -> None:
    tree = tree_of("t", [span(1, 0, 0, 9, ""), span(2, 1, 1, 8, "timeout"), span(3, 2, 2, 8, "refused")])
    assert [each.error for each in tree.spans if each.first_error] == ["refused"]
    assert tree.state == "critical"


def test_ten_thousand_deep() -> None:
    tree = tree_of("t", [span(n, n - 1, 0, 10) for n in range(1, 10_001)])
    assert tree.spans[-1].depth == 9_999
    assert sum(each.critical_s for each in tree.spans) == pytest.approx(10)


@given(
    st.lists(
        st.tuples(st.integers(1, 8), st.integers(0, 8), st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=12
    )
)
def test_any_spans_each_once_and_no_more_waiting_than_it_took(told: list[tuple[int, int, int, int]]) -> None:
    spans = [span(id_, above, min(one, two), max(one, two)) for id_, above, one, two in told]
    tree = tree_of("t", spans)
    assert len(tree.spans) == tree.span_count == len(set(spans))
    assert tree.spans[0].depth == 0
    assert sum(each.critical_s for each in tree.spans) <= tree.duration_s + 1e-9
    for each in tree.spans:
        assert 0 <= each.critical_s <= each.duration_s + 1e-9


def test_ids_in_base64_are_those_in_hexadecimal() -> None:
    assert hexadecimal("W47/95gDgQPSabYzgT/HAA==") == "5b8efff798038103d269b633813fc700"
    assert hexadecimal("7uGbfsPBsQA=") == "eee19b7ec3c1b100"
    assert hexadecimal("5B8EFFF798038103D269B633813FC700") == "5b8efff798038103d269b633813fc700"
    assert hexadecimal("0000000000000000") == hexadecimal("") == ""


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    with pytest.raises(BackendError, match="breaks off"):
        spans_of(b'{"result":{"resourceSpans":[]}}\n{"error":{"message":"storage is gone"}}', where="http://jaeger")


def test_times_that_are_none() -> None:
    with pytest.raises(BackendError, match="no time"):
        tree_of("t", [Found(FIRST, "1" * 16, "", "s", "o", 10**30, 10**30)])
