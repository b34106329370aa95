"""Who is on call: the command at a time of the zone that is shown, and what check, doctor and status say of nobody."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actions import who
from backends.oncall.ical import IcalSchedule
from console import moment
from console.cli.commands import teal
from console.cli.ending import run_command
from console.typed_times import TypedTime
from tests.backends.test_ical import daily, event, feed

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 30, 13, 0, tzinfo=UTC)  # a Monday, 14:00 in Berlin
CONFIG = """
[contexts.production]
timezone = "Europe/Berlin"
[[contexts.production.oncall]]
name = "primary"
type = "ical"
path = "primary.ics"
"""


class House:
    """One schedule: alice and bob in turn, at nine; `plan` makes it another one."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._feed, self._capsys, self._patch = directory / "primary.ics", capsys, patch
        self.config = directory / "config.toml"
        self.config.write_text(CONFIG)
        self.config.chmod(0o600)
        first = datetime(2026, 11, 30, 9, tzinfo=BERLIN)
        alice, bob = (daily(name, first + timedelta(days=n), 24, every=2) for n, name in enumerate(("alice", "bob")))
        self.plan(alice, bob)

    def plan(self, *events: str) -> None:
        self._feed.write_text(feed(*events), newline="")

    def age(self, hours: float) -> None:
        at = self._feed.stat().st_mtime - hours * 3600
        os.utime(self._feed, (at, at))

    def lose(self) -> None:
        self._feed.unlink()

    def said(self, *arguments: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        self._patch.setattr("sys.argv", ["teal", *arguments])
        code = run_command(teal, list(arguments))
        told = self._capsys.readouterr()
        return code, told.out, told.err

    def told(self, *arguments: str) -> Any:
        return json.loads(self.said(*arguments, "-o", "json")[1])


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("TEAL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TEAL_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setattr(moment, "utc_now", lambda: NOW)
    monkeypatch.setattr(who, "login_name", lambda: "alice")
    monkeypatch.delenv("SUDO_USER", raising=False)
    return House(tmp_path, capsys, monkeypatch)


def test_now_and_next_in_the_zone_of_the_context_and_that_it_is_you(house: House) -> None:
    code, out, _ = house.said("oncall")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines == [
        ["Times", "in", "CET"],
        ["STATE", "SCHEDULE", "ON", "CALL", "UNTIL", "THEN", "UNTIL"],
        ["✓", "ok", "primary", "alice", "Tue", "09:00", "bob", "Wed", "09:00"],
        ["primary:", "you", "are", "on", "call", "until", "Tue", "09:00", "CET"],
    ]
    found = house.told("oncall")
    assert (found["schema"], found["health"], found["total"]) == ("teal/v1/oncall", "ok", 1)
    (item,) = found["items"]
    assert (item["schedule"], item["state"], item["you"]) == ("primary", "ok", True)
    assert item["now"] == {
        "who": ["alice"],
        "since": "2026-11-30T08:00:00Z",
        "until": "2026-12-01T08:00:00Z",
        "emails": [],
    }
    assert (item["next"]["who"], item["next"]["since"]) == (["bob"], "2026-12-01T08:00:00Z")


@pytest.mark.parametrize(
    ("at", "head", "person", "you"),
    [
        ("08:30", "At Mon 2026-11-30 08:30 CET", "nobody", False),
        ("15:00", "At Mon 2026-11-30 15:00 CET", "alice", True),
        ("2026-12-01T08:59", "At Tue 2026-12-01 08:59 CET", "alice", True),
        ("2026-12-01T09:00", "At Tue 2026-12-01 09:00 CET", "bob", False),
        ("2026-12-01T08:00Z", "At Tue 2026-12-01 09:00 CET", "bob", False),
        ("2027-03-28T08:59", "At Sun 2027-03-28 08:59 CEST", "bob", False),
        ("2027-03-28T09:00", "At Sun 2027-03-28 09:00 CEST", "alice", True),
        ("6h", "At Mon 2026-11-30 08:00 CET", "nobody", False),
    ],
)
def test_at_another_time_of_the_zone_that_is_shown(house: House, at: str, head: str, person: str, you: bool) -> None:
    code, out, err = house.said("oncall", "--at", at)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == head
    (item,) = house.told("oncall", "--at", at)["items"]
    assert (item["now"]["who"] or ["nobody"], item["you"]) == ([person], you)
    assert ("you are on call then" in out) == you


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(minutes=st.integers(0, 400 * 1440))
def test_the_time_that_is_shown_is_the_time_that_can_be_typed(house: House, minutes: int) -> None:
    asked = (NOW + timedelta(minutes=minutes)).astimezone(BERLIN)
    typed = f"{asked:%Y-%m-%dT%H:%M}"
    out = house.said("oncall", "--at", typed)[1]
    head = out.splitlines()[0]
    means = TypedTime.parse(typed).at(BERLIN)
    assert head == f"At {means.astimezone(BERLIN):%a %Y-%m-%d %H:%M} {means.astimezone(BERLIN).tzname()}"
    assert means == asked or asked.fold, "the second of two equal hours is not what was typed"
    day = (means.astimezone(BERLIN).replace(tzinfo=None) - datetime(2026, 11, 30, 9)).days  # noqa: DTZ001 - wall clocks
    assert ("alice" if day % 2 == 0 else "bob") in out.splitlines()[2].split()[3]


def test_you_are_whom_the_source_asks_as_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IcalSchedule, "me", ("Bob", "bob@example.com"))
    for at, you in (("2026-12-01T10:00", True), ("2026-11-30T10:00", True), ("2026-11-30T08:00", False)):
        assert house.told("oncall", "--at", at)["items"][0]["you"] == you


def test_what_was_asked_of_another_time_is_not_kept_as_now(house: House, tmp_path: Path) -> None:
    house.said("oncall", "--at", "2026-11-29T12:00")
    assert not list((tmp_path / "state").rglob("*oncall*"))
    assert house.told("timeline", "--since", "3d")["items"] == []
    for never in ("2300-01-01", "0001-01-01", "9999-12-31T23:59"):
        assert house.said("oncall", "--at", never)[0] == 2
    assert house.said("oncall", "--at", "10:00", "--watch")[0] == 2
    assert house.said("oncall", "--at", "soon")[0] == 2


def test_nobody_is_a_finding_everywhere(house: House) -> None:
    house.plan(event("alice", "DTSTART:20261201T080000Z", "DTEND:20261201T160000Z"))
    code, out, _ = house.said("check")
    assert code == 1
    assert "primary: nobody is on call for another 19h, then alice" in out
    found = {each["subject"]: each for each in house.told("doctor")["items"]}["oncall"]
    assert (found["health"], found["detail"]) == ("warning", "primary: nobody is on call for another 19h, then alice")
    status = house.told("status")
    assert status["oncall"][0]["now"]["who"] == []
    assert status["health"] == "warning"
    assert "On call · 1 warning" in house.said("status")[1]
    (change,) = house.told("timeline", "--since", "3d")["items"]
    assert change["text"] == "nobody is on call by primary"
    report = house.said("report", "--handover")[1]
    assert "## On call\n\n- `primary` nobody until Tue 09:00, then alice\n" in report
    assert "- on call primary: nobody is on call for another 19h, then alice" in report
    assert "- on call primary: nobody is on call" in house.said("report")[1]


def test_a_hole_that_is_to_come_is_told_by_doctor(house: House) -> None:
    house.plan(
        event("alice", "DTSTART:20261130T080000Z", "DTEND:20261130T160000Z"),
        event("bob", "DTSTART:20261201T080000Z", "DTEND:20261201T160000Z"),
    )
    found = {each["subject"]: each for each in house.told("doctor")["items"]}["oncall"]
    assert (found["health"], found["detail"]) == ("warning", "primary: nobody is on call in 3h, for 16h")
    assert house.said("check", "oncall")[0] == 0


@pytest.mark.parametrize("how", ["old", "lost", "no calendar"])
def test_what_nobody_knows_is_neither_ok_nor_nobody(house: House, how: str) -> None:
    if how == "old":
        house.age(50)
    elif how == "lost":
        house.lose()
    else:
        (house.config.parent / "primary.ics").write_text("<html>Sign in</html>")
    for arguments in (["oncall"], ["oncall", "--at", "15:00"]):
        found = house.told(*arguments)
        assert found["health"] == "unknown"
        assert all(item["now"] is None for item in found["items"])
        code, out, err = house.said(*arguments)
        assert code == (0 if how == "old" else 7)
        assert "nobody" not in out.replace(str(house.config.parent), "")
        assert "nobody is" not in err
    report = house.said("report", "--handover")[1]
    assert "## On call\n\n" + ("- `primary` unknown: the feed was written" if how == "old" else "Unknown: ") in report
    assert house.said("check")[0] == 3
    assert house.told("status")["health"] == "unknown"
    assert not [each for each in house.told("timeline", "--since", "3d")["items"] if "nobody is" in each["text"]]


def test_without_a_schedule_that_is_said(house: House) -> None:
    house.config.write_text("[contexts.production]\n")
    code, out, _ = house.said("oncall")
    assert (code, len(out.splitlines())) == (0, 2)
    assert "oncall" not in house.said("check", "--list")[1]
    assert "On call" not in house.said("report", "--handover")[1]
