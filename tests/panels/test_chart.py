"""A score over 24 hours as a line: what is drawn where, what is left out, and how it reads in ASCII."""

from datetime import UTC, datetime, timedelta

import pytest

from panels.ascii import plain
from panels.chart import HEIGHT, chart

NOW = datetime(2026, 8, 24, 13, tzinfo=UTC)


def points(*values: float, every_h: float = 1.0) -> list[tuple[datetime, float]]:
    last = len(values) - 1
    return [(NOW - timedelta(hours=every_h * (last - n)), value) for n, value in enumerate(values)]


def drawn(*values: float, width: int = 36, limits: tuple[float, ...] = (0.95, 0.8), every_h: float = 1.0) -> list[str]:
    return [line.text for line in chart(points(*values, every_h=every_h), NOW, UTC, width, limits)]


def test_a_fall_is_seen_with_its_limits_and_times() -> None:
    assert drawn(1.0, 1.0, 0.7, 0.7) == [
        " 1.00┤────────────────────╮         ",
        " 0.95┤┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄│┄┄┄┄┄┄┄┄┄",
        "     ┤                    │         ",
        "     ┤                    │         ",
        "     ┤                    │         ",
        " 0.80┤┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄│┄┄┄┄┄┄┄┄┄",
        "     ┤                    │         ",
        " 0.70┤                    ╰─────────",
        "      10:00                    13:00",
    ]


def test_the_rows_know_their_value_and_the_axis_has_none() -> None:
    lines = chart(points(1.0, 0.5), NOW, UTC, 40, (0.8,))
    values = [line.value for line in lines]
    assert values[0] == 1.0
    assert values[HEIGHT - 1] == 0.5
    assert values[HEIGHT] is None
    assert all(plain(line.text).isascii() for line in lines)


@pytest.mark.parametrize("values", [(), (0.9,)])
def test_less_than_two_measurements_are_no_line(values: tuple[float, ...]) -> None:
    assert drawn(*values) == []


def test_what_is_older_than_a_day_or_in_the_future_is_left_out() -> None:
    old = [(NOW - timedelta(hours=30), 0.1), (NOW - timedelta(hours=25), 0.1)]
    late = [(NOW + timedelta(hours=1), 0.1)]
    recent = points(0.9, 0.9, 0.9)
    assert chart([*old, *recent, *late], NOW, UTC, 40) == chart(recent, NOW, UTC, 40)
    assert chart([*old, *recent[-1:]], NOW, UTC, 40) == []


def test_of_several_in_one_column_the_lowest_is_drawn() -> None:
    many = [0.99] * 500
    many[250] = 0.2
    assert " 0.20" in drawn(*many, every_h=0.01)[HEIGHT - 1]
    assert any(sign in drawn(*many, every_h=0.01)[HEIGHT - 1] for sign in "╰─")


@pytest.mark.parametrize("width", [17, 20, 42, 60, 200])
def test_it_is_never_wider_than_its_room(width: int) -> None:
    lines = drawn(*(0.5 + n % 7 / 14 for n in range(48)), width=width, every_h=0.5)
    assert len(lines) == HEIGHT + 1
    assert max(map(len, lines)) == width


def test_one_value_all_the_time_is_a_line_too() -> None:
    assert "─" * 10 in drawn(1.0, 1.0, limits=())[0]
    assert drawn(1.0, 1.0, width=16) == []
