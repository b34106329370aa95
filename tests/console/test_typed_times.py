"""What is typed is in the zone that is shown, wherever the host is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from console import moment
from console.cli.commands import teal
from console.cli.ending import run_command
from console.typed_times import TypedTime

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 28, 19, 57, tzinfo=UTC)  # 20:57 in Berlin


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setattr(moment, "utc_now", lambda: NOW)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("20:40", datetime(2026, 11, 28, 19, 40, tzinfo=UTC)),
        ("20:40:30", datetime(2026, 11, 28, 19, 40, 30, tzinfo=UTC)),
        ("20:57", NOW),
        ("21:30", datetime(2026, 11, 27, 20, 30, tzinfo=UTC)),
        ("2026-11-28T20:40", datetime(2026, 11, 28, 19, 40, tzinfo=UTC)),
        ("2026-11-28 20:40", datetime(2026, 11, 28, 19, 40, tzinfo=UTC)),
        ("2026-07-01T12:00", datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("2026-11-28T20:40Z", datetime(2026, 11, 28, 20, 40, tzinfo=UTC)),
        ("2026-11-28T20:40-05:00", datetime(2026, 11, 29, 1, 40, tzinfo=UTC)),
        ("20:40Z", datetime(2026, 11, 27, 20, 40, tzinfo=UTC)),
        ("2026-11-28", datetime(2026, 11, 27, 23, tzinfo=UTC)),
        ("15m", NOW - timedelta(minutes=15)),
    ],
)
def test_a_time_is_of_the_zone_of_the_context(text: str, meant: datetime) -> None:
    assert TypedTime.parse(text).at(BERLIN) == meant


def test_one_that_is_still_to_come_says_which_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    TypedTime.parse("21:30").at(BERLIN)
    assert capsys.readouterr().err == "teal: 21:30 CET is still to come: 2026-11-27 21:30 is taken\n"
    TypedTime.parse("20:40").at(BERLIN)
    assert capsys.readouterr().err == ""


def test_an_age_is_counted_back_from_the_end() -> None:
    end = NOW - timedelta(hours=3)
    assert TypedTime.parse("1h").at(BERLIN, end) == end - timedelta(hours=1)
    assert TypedTime.parse("16:00").at(BERLIN, end) == datetime(2026, 11, 28, 15, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "noon", "25:00", "2026-13-01", "1 fortnight"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        TypedTime.parse(text)


@pytest.mark.parametrize("arguments", [["timeline", "--until"], ["run", "list", "--since"], ["log", "--around"]])
def test_a_year_that_no_calendar_has_is_a_mistake_of_whoever_typed_it(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[contexts.c]\ntimezone = "Europe/Berlin"\n')
    config.chmod(0o600)
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    assert run_command(teal, [*arguments, "0001-01-01", "-c", str(config)]) == 2
    assert "no calendar has" in capsys.readouterr().err
