"""A time of another day has its day beside it, wherever it is printed: else what ended yesterday reads as of today."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from backends.models import TaskRun
from console import moment
from console.cli.timeline import Change, lines_of
from console.printing.report import incident
from console.printing.tables import View, item_table
from panels.words import dated
from tests.console.printing.test_report import NOW as MADE_AT
from tests.console.printing.test_report import action, alert, facts

NOW = datetime(2026, 11, 29, 0, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
EARLIER = NOW - timedelta(minutes=40)


@pytest.mark.parametrize(
    ("at", "zone", "words"),
    [
        (NOW - timedelta(minutes=20), UTC, "00:10:00"),
        (EARLIER, UTC, "2026-11-28 23:50:00"),
        (EARLIER, BERLIN, "00:50:00"),
        (NOW + timedelta(days=1), UTC, "2026-11-30 00:30:00"),
        (None, UTC, "–"),
    ],
)
def test_the_day_is_of_the_zone_that_is_shown(at: datetime | None, zone: Any, words: str) -> None:
    assert dated(at, zone, NOW) == words


def test_a_timeline_and_the_tasks_of_a_run_say_their_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moment, "utc_now", lambda: NOW)
    session = cast(Any, SimpleNamespace(context=SimpleNamespace(zone=UTC)))
    changes = [
        Change(at=at, kind="note", ref="", health="ok", text="x", url=None, t0=False, before_s=None)
        for at in (EARLIER, NOW)
    ]
    assert [line.split("  ")[0] for line in lines_of(changes, session)[1:]] == ["2026-11-28 23:50:00", "00:30:00"]
    task = TaskRun(task="load", state="success", started_at=EARLIER)
    assert "2026-11-28 23:50:00" in "\n".join(item_table(TaskRun, [task], View(NOW, UTC)))


@pytest.mark.parametrize(
    ("before_s", "words"), [(20, "(20s before)"), (59, "(59s before)"), (90, "(1m before)"), (7500, "(2h before)")]
)
def test_the_timeline_says_how_long_before_as_the_panel_and_the_report_do(before_s: float, words: str) -> None:
    """It said `0m before` of what came 20 s before the trouble, and `125m`."""
    session = cast(Any, SimpleNamespace(context=SimpleNamespace(zone=UTC)))
    change = Change(at=NOW, kind="flip", ref="", health="ok", text="x", url=None, t0=False, before_s=before_s)
    assert lines_of([change], session)[1].endswith(words)


def test_a_report_over_midnight_says_where_the_day_begins() -> None:
    since = MADE_AT - timedelta(hours=4)
    found = replace(facts(alert(3.5), alert(1, "Late"), actions=(action(),)), since=since)
    text = "\n".join(incident(found))
    assert "# analytics: 2026-11-25 23:00:00 to 2026-11-26 03:00:00" in text
    assert "- 2026-11-26 02:00:00" in text
    assert "- 23:30:00" in text, "the title has the day on which the window begins"
