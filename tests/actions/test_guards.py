"""The table of guards, row by row, and the windows of a freeze."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.guards import Policy, context_findings, freeze_problem, in_window, refusal, with_overrides
from actions.models import Consent, Finding, GuardClass, Plan, PlanSummary, Request

BERLIN = ZoneInfo("Europe/Berlin")
WEEKEND = "Fri 16:00 - Mon 08:00"
AT = datetime(2026, 3, 4, 12, tzinfo=UTC)


def plan(guard_class: GuardClass, *findings: Finding, overrides: tuple[str, ...] = ()) -> Plan:
    return Plan(
        kind="flip", context="production", service="analytics", guard_class=guard_class, protected=True,
        from_="blue", to="green", findings=findings, hash="h", made_at=AT,
        summary=PlanSummary(effects=(), preconditions=(), undo=""),
        request=Request(kind="flip", service="analytics", overrides=overrides),
    )  # fmt: skip


def policy(*, protected: bool) -> Policy:
    return Policy(context="production", protected=protected, zone=UTC, shared_journal=True)


NOTHING = Consent()
YES = Consent(confirmed=True)
REASON = Consent(confirmed=True, reason="r")
ARMED = Consent(confirmed=True, armed=True, reason="r")
NAMED = Consent(confirmed=True, typed_context="production", reason="r")
NAMED_NO_REASON = Consent(confirmed=True, typed_context="production")
NAMED_UNCONFIRMED = Consent(typed_context="production", reason="r")
WRONG = Consent(confirmed=True, typed_context="staging", reason="r")
ALL = (NOTHING, YES, REASON, ARMED, NAMED, NAMED_NO_REASON, NAMED_UNCONFIRMED, WRONG)
CONFIRMED = (YES, REASON, ARMED, NAMED, NAMED_NO_REASON)


@pytest.mark.parametrize(
    ("guard_class", "protected", "enough"),
    [
        ("0", False, ALL),
        ("0", True, ALL),
        ("1", False, CONFIRMED),
        ("1", True, CONFIRMED),
        ("2", False, CONFIRMED),
        ("2", True, (ARMED, NAMED)),
        ("3", False, CONFIRMED),
        ("3", True, (NAMED,)),
        ("R", False, CONFIRMED),
        ("R", True, CONFIRMED),
    ],
)
@pytest.mark.parametrize("consent", ALL)
def test_what_is_enough_consent(
    guard_class: GuardClass, protected: bool, enough: tuple[Consent, ...], consent: Consent
) -> None:
    error = refusal(policy(protected=protected), plan(guard_class), consent)
    assert (error is None) == (consent in enough)
    if error is not None:
        assert error.kind == "refused"
        assert error.message
        assert error.fix


def test_a_block_refuses_whatever_was_agreed_and_says_how_to_override_it() -> None:
    frozen = Finding(level="block", code="freeze", text="frozen", overridable=True)
    error = refusal(policy(protected=False), plan("3", frozen), NAMED)
    assert error is not None
    assert error.message == "frozen"
    assert "--override freeze" in error.fix


def test_only_what_may_be_overridden_is_and_it_stays_visible() -> None:
    frozen = Finding(level="block", code="freeze", text="frozen", overridable=True)
    unhealthy = Finding(level="block", code="target-unhealthy", text="GREEN is unhealthy")
    found = with_overrides([frozen, unhealthy], ("freeze", "target-unhealthy"))
    assert [(finding.level, finding.code) for finding in found] == [
        ("warning", "freeze"),
        ("block", "target-unhealthy"),
    ]
    assert "overridden" in found[0].text


def test_an_override_needs_a_reason() -> None:
    assert refusal(policy(protected=False), plan("3", overrides=("freeze",)), YES) is not None
    assert refusal(policy(protected=False), plan("3", overrides=("freeze",)), REASON) is None


@pytest.mark.parametrize("guard_class", ["0", "1", "2", "3", "R"])
def test_a_read_only_context_writes_nothing_not_even_a_rollback(guard_class: GuardClass) -> None:
    (finding,) = context_findings(Policy(context="c", read_only=True, zone=UTC), guard_class, AT)
    assert (finding.level, finding.code, finding.overridable) == ("block", "read-only", False)


@pytest.mark.parametrize(("guard_class", "frozen"), [("0", 0), ("1", 0), ("2", 0), ("3", 1), ("R", 0)])
def test_a_freeze_stops_class_3_and_never_a_rollback(guard_class: GuardClass, frozen: int) -> None:
    saturday = datetime(2026, 3, 7, 12, tzinfo=UTC)
    found = context_findings(Policy(context="c", freeze=(WEEKEND,), zone=UTC), guard_class, saturday)
    assert [finding.code for finding in found] == ["freeze"] * frozen


def test_a_window_that_is_not_understood_freezes() -> None:
    (finding,) = context_findings(Policy(context="c", freeze=("weekends",), zone=UTC), "3", AT)
    assert (finding.level, finding.code) == ("block", "freeze")
    assert "weekends" in finding.text


@pytest.mark.parametrize(
    ("shared", "lock", "protected", "blocks"),
    [(False, "", True, True), (True, "", True, False), (False, "local", True, False), (False, "", False, False)],
)
def test_a_protected_context_wants_a_lock_that_all_share(
    shared: bool, lock: str, protected: bool, blocks: bool
) -> None:
    found = context_findings(
        Policy(context="c", protected=protected, shared_journal=shared, lock=lock, zone=UTC), "3", AT
    )
    assert [finding.code for finding in found] == (["private-lock"] if blocks else [])


@pytest.mark.parametrize(
    ("local", "inside"),
    [
        ("2026-03-06 15:59", False),  # Friday
        ("2026-03-06 16:00", True),
        ("2026-03-08 23:59", True),
        ("2026-03-09 07:59", True),  # Monday
        ("2026-03-09 08:00", False),
        ("2026-03-29 03:30", True),  # the hour after the clock went forward
    ],
)
def test_a_window_is_read_in_the_zone_of_the_context(local: str, inside: bool) -> None:
    at = datetime.fromisoformat(local).replace(tzinfo=BERLIN)
    assert in_window(WEEKEND, at.astimezone(UTC), BERLIN) is inside


@pytest.mark.parametrize(
    "window", ["", "Fri 16:00", "Fry 16:00 - Mon 08:00", "Fri 16:60 - Mon 08:00", "Fri 25:00 - Mon 08:00"]
)
def test_what_is_no_window_says_so(window: str) -> None:
    assert window in freeze_problem(window)


@given(
    st.integers(0, 6), st.integers(0, 1439), st.integers(0, 6), st.integers(0, 1439),
    st.integers(0, 3 * 365 * 24 * 60),
)  # fmt: skip
def test_a_moment_is_in_a_window_or_in_the_one_turned_around(
    day: int, minute: int, end_day: int, end_minute: int, later: int
) -> None:
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    begin = f"{days[day]} {minute // 60:02d}:{minute % 60:02d}"
    end = f"{days[end_day]} {end_minute // 60:02d}:{end_minute % 60:02d}"
    moment = AT + timedelta(minutes=later)
    if begin != end:
        assert in_window(f"{begin} - {end}", moment, UTC) is not in_window(f"{end} - {begin}", moment, UTC)
