"""Merging by time: order wherever the window allows, and a count of everything where it does not."""

import heapq
import random
from collections import Counter

import pytest

from backends.logs.merging import Merger, gap, is_gap
from backends.models import LogEntry
from backends.testing.logs import T0

START_NS = int(T0.timestamp()) * 10**9
WINDOW_S = 1.5


def entry(source: str, at_s: float, message: str) -> LogEntry:
    return LogEntry(at=None, at_ns=str(START_NS + round(at_s * 1e9)), source=source, message=message)


def at_of(line: LogEntry) -> int:
    return int(line.at_ns or 0)


def played(arrivals: list[tuple[float, LogEntry]], merger: Merger) -> list[LogEntry]:
    """Push in order of arrival, pop ten times a second, as the console does."""
    out: list[LogEntry] = []
    next_pop = 0.0
    for now, line in arrivals:
        while next_pop <= now:
            out += merger.pop(next_pop)
            next_pop += 0.1
        merger.push(line.source, line, now)
    return out + merger.flush()


def skewed(rng: random.Random, count: int, most_s: float) -> list[tuple[float, LogEntry]]:
    """Lines of four sources over 100 s, each with its own delay up to `most_s`, in order of arrival."""
    arrivals = []
    for number in range(count):
        at = number * 100 / count
        delay = rng.random() ** 3 * most_s
        arrivals.append((at + delay, entry(f"s{rng.randrange(4)}", at, f"line {number}")))
    arrivals.sort(key=lambda pair: pair[0])
    return arrivals


def test_four_sources_within_the_window_come_out_as_a_full_sort() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    arrivals = skewed(random.Random(seed), 100_000, WINDOW_S - 0.001)
    assert [line.message for _, line in arrivals] != [f"line {n}" for n in range(100_000)]
    merger = Merger(WINDOW_S, max_held=200_000)
    out = played(arrivals, merger)
    assert [line.message for line in out] == [f"line {n}" for n in range(100_000)]
    assert (merger.late, merger.early, merger.held) == (0, 0, 0)
    assert not any(line.late for line in out)


@pytest.mark.parametrize("max_held", [200_000, 300])
def test_beyond_the_window_every_line_is_there_and_each_late_one_counted(max_held: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    arrivals = skewed(random.Random(seed), 100_000, 3 * WINDOW_S)
    merger = Merger(WINDOW_S, max_held)
    out = played(arrivals, merger)
    assert Counter(line.message for line in out) == Counter(line.message for _, line in arrivals)
    in_time = [at_of(line) for line in out if not line.late]
    assert in_time == sorted(in_time)
    newest, out_of_order = 0, 0
    for line in out:  # found anew from the output: a line behind a younger one that was out before it
        out_of_order += at_of(line) < newest
        newest = max(newest, at_of(line))
    assert merger.late == sum(line.late for line in out) >= out_of_order > 0
    assert (merger.early > 0) == (max_held == 300)


def test_only_what_came_later_than_the_window_is_late() -> None:
    merger = Merger(WINDOW_S)
    merger.push("a", entry("a", 10, "young"), 0.0)
    assert merger.pop(1.4) == []
    merger.push("b", entry("b", 9, "old, in time"), 1.4)
    assert [line.message for line in merger.pop(1.5)] == ["old, in time", "young"]
    merger.push("b", entry("b", 9.5, "old, too late"), 1.6)
    merger.push("b", entry("b", 10, "same time"), 1.6)
    late, same = merger.pop(4.0)
    assert (late.late, same.late, merger.late) == (True, False, 1)


def test_lines_without_a_time_stay_behind_theirs() -> None:
    merger = Merger(WINDOW_S)
    merger.push("a", entry("a", 5, "error"), 0)
    merger.push("b", entry("b", 4, "other"), 0)
    merger.push("a", LogEntry(at=None, source="a", message="  at x"), 0)
    merger.push("b", entry("b", 5.5, "more"), 0)
    merger.push("a", LogEntry(at=None, source="a", message="  at y"), 0)
    assert [line.message for line in merger.flush()] == ["other", "error", "  at x", "  at y", "more"]


def test_gaps_are_handed_on_and_counted() -> None:
    merger = Merger(WINDOW_S)
    merger.push("a", entry("a", 1, "before"), 0)
    merger.push("a", gap("a", 1234, "the reader was too slow"), 0)
    merger.push("b", gap("b", None, "reconnected"), 0)
    found = [line for line in merger.flush() if is_gap(line)]
    assert sorted(line.message for line in found) == [
        "1,234 lines missing here: the reader was too slow",
        "an unknown number of lines missing here: reconnected",
    ]
    assert (merger.gaps, merger.missing, merger.late) == (2, 1234, 0)


def test_equal_times_keep_their_order_of_arrival() -> None:
    merger = Merger(WINDOW_S)
    for number in range(50):
        merger.push("ab"[number % 2], entry("ab"[number % 2], 1, f"{number}"), 0)
    assert [line.message for line in merger.flush()] == [f"{number}" for number in range(50)]


def test_the_heap_is_what_a_merge_of_sorted_sources_gives() -> None:
    merger = Merger(WINDOW_S)
    sources = {
        name: [entry(name, k / 3 + shift, f"{name}{k}") for k in range(30)] for name, shift in (("a", 0), ("b", 1))
    }
    for lines in sources.values():
        for line in lines:
            merger.push(line.source, line, 0)
    assert merger.flush() == list(heapq.merge(*sources.values(), key=at_of))
