"""The range grammar of the monitoring plugins, and checks held against ranges."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backends.models import CheckResult, PerfDatum
from console.printing.ranges import judged_by, parse_range


@pytest.mark.parametrize(
    ("text", "alerting", "silent"),
    [
        ("10", (-0.1, 10.1, math.inf), (0, 5, 10)),
        ("10:", (9.9, -5), (10, 1e9)),
        ("~:10", (10.1,), (10, -1e9)),
        ("10:20", (9.9, 20.1), (10, 20)),
        ("@10:20", (10, 15, 20), (9.9, 20.1)),
        ("@10", (0, 10), (-0.1, 10.1)),
        (":10", (-1, 11), (0, 10)),
        ("-5:-1", (-6, 0), (-5, -1)),
        ("0.95:", (0.94,), (0.95, 1)),
        (".5:1e3", (0.4, 1001), (0.5, 1000)),
        ("~:", (), (-1e9, 1e9)),
        ("0", (0.001, -1), (0,)),
    ],
)
def test_where_a_range_alerts(text: str, alerting: tuple[float, ...], silent: tuple[float, ...]) -> None:
    found = parse_range(text)
    assert [value for value in alerting if not found.alerts(value)] == []
    assert [value for value in silent if found.alerts(value)] == []


@pytest.mark.parametrize(
    "text", ["", "@", "soon", "20:10", "10:~", "1,5", "10:20:30", "nan", "inf:", "~", "1_0", " 10", "10%", "٣"]
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ValueError, match="is not a range"):
        parse_range(text)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_inside_is_the_opposite_of_outside(one: float, other: float, value: float) -> None:
    text = f"{min(one, other):f}:{max(one, other):f}"
    assert parse_range(text).alerts(value) != parse_range(f"@{text}").alerts(value)


RESULT = CheckResult(
    ref="api",
    name="api",
    state="ok",
    message="fine",
    perfdata=(PerfDatum(label="time", value=2.5, unit="s", warn="1", crit="5"), PerfDatum(label="size", value=9)),
)


@pytest.mark.parametrize(
    ("own", "warning", "critical", "state", "message"),
    [
        ("ok", "3", "4", "ok", "fine"),
        ("ok", "2", "4", "warning", "time 2.5s is outside 2; fine"),
        ("ok", "1", "2", "critical", "time 2.5s is outside 2; fine"),
        ("ok", None, "@2:3", "critical", "time 2.5s is inside @2:3; fine"),
        ("critical", "2", None, "critical", "time 2.5s is outside 2; fine"),
        ("critical", "3", "4", "critical", "fine"),
        ("warning", None, "2", "critical", "time 2.5s is outside 2; fine"),
    ],
)
def test_the_first_value_is_held_against_both(
    own: str, warning: str | None, critical: str | None, state: str, message: str
) -> None:
    ranges = [parse_range(text) if text else None for text in (warning, critical)]
    judged = judged_by(replace(RESULT, state=own), *ranges)
    assert (judged.state, judged.message) == (state, message)
    assert (judged.perfdata[0].warn, judged.perfdata[0].crit) == (warning or "1", critical or "5")
    assert judged.perfdata[1:] == RESULT.perfdata[1:]


@pytest.mark.parametrize("perfdata", [(), (PerfDatum(label="time", value=None),)])
def test_nothing_measured_is_never_ok(perfdata: tuple[PerfDatum, ...]) -> None:
    limit = parse_range("10")
    assert judged_by(replace(RESULT, perfdata=perfdata), limit, None).state == "unknown"
    failed = replace(RESULT, perfdata=perfdata, state="critical")
    assert judged_by(failed, limit, None) == failed
