"""Which versions get no traffic again, and for how long: what was found bad forbids, what only went back warns."""

from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions.expected import SwitchExpected
from actions.guards import Policy
from actions.ids import new_id
from actions.journal.journal import Journal
from actions.journal.rows import Changes, Event
from actions.models import ActionError, ActionKind, ActionStatus, Consent, Finding, Plan, PlanSummary, Refused, Request
from actions.orders.freeze_and_reject import held_back
from actions.switching.rejections import Candidate, against_live, rejected_by_hand, rejection_of, rejections
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.actions.journals import draft, here, owner
from tests.two_colors import TwoColors

POLICY = Policy(context="test", zone=UTC)
GREEN = Candidate(color="green", version="2.5.0", production="2.4.0")
NEW = {"blue": "2.4.0", "green": "2.5.0"}


@pytest.fixture
async def journal(tmp_path: Path) -> Any:
    journal = Journal(here(tmp_path / "state"))
    yield journal
    await journal.aclose()


def a_plan(kind: ActionKind, versions: dict[str, str], *, version: str = "", to: str = "green") -> Plan:
    from_ = "blue" if to == "green" else "green"
    expected = SwitchExpected(weights={from_: 100, to: 0}, revision="1", versions=versions)
    request = Request(kind=kind, service="analytics", version=version)
    return replace(draft().plan, kind=kind, from_=from_, to=to, expected=expected, request=request)


async def ended(
    journal: Journal, plan: Plan, status: ActionStatus, kind: str = "", *, moved: bool = True, why: str = ""
) -> None:
    """An action of `plan` that has come to `status` with an error of `kind`."""
    made = replace(draft(), id=new_id(), plan=plan)
    hold = await journal.acquire(str((await journal.begin(made)).id), owner())
    error = ActionError(kind=kind, message="what was seen") if kind else None
    events = [Event(step="", kind="status", data={"by_hand": False, "kind": why})] if why else []
    await journal.write(hold, *events, changes=Changes(status=status, changed=moved, error=error))


async def found(journal: Journal, candidate: Candidate = GREEN) -> Finding | None:
    return await rejection_of(journal, "test", "analytics", candidate, UTC)


@pytest.mark.parametrize("kind", ["flip", "release"])
@pytest.mark.parametrize(
    ("status", "error", "level"),
    [
        ("rolled_back", "gate_failed", "block"),
        ("rolled_back", "smoke_failed", "block"),
        ("rolled_back", "health_failed", "block"),
        ("rolled_back", "verify_failed", "block"),
        ("rolled_back", "ordered", "warning"),
        ("rolled_back", "deadline", "warning"),
        ("rolled_back", "unproven", "warning"),
        ("aborted", "smoke_failed", "block"),
        ("aborted", "health_failed", "block"),
        ("aborted", "deploy_failed", None),
        ("aborted", "conflict", None),
        ("succeeded", "", None),
        ("abandoned", "abandoned", None),
    ],
)
async def test_why_it_went_back_decides(
    journal: Journal, kind: ActionKind, status: ActionStatus, error: str, level: str | None
) -> None:
    version = "2.5.0" if kind == "release" else ""
    await ended(journal, a_plan(kind, NEW, version=version), status, error, moved=status != "aborted")
    finding = await found(journal)
    assert (finding and finding.level) == level
    if finding is not None:
        assert (finding.code, finding.overridable) == ("rejected", level == "block")
        assert "alice@bastion-1" in finding.text
        assert " UTC, " in finding.text
    assert await found(journal, replace(GREEN, version="2.6.0")) is None


async def test_until_it_succeeds_again(journal: Journal) -> None:
    await ended(journal, a_plan("flip", NEW), "rolled_back", "gate_failed")
    await ended(journal, a_plan("flip", NEW), "rolled_back", "ordered")
    finding = await found(journal)
    assert finding is not None
    assert finding.level == "block"  # it went back by hand since, and has not succeeded
    await ended(journal, a_plan("release", NEW, version="2.5.0"), "succeeded")
    assert await found(journal) is None
    await ended(journal, a_plan("rollback", NEW, to="blue"), "succeeded")
    finding = await found(journal)
    assert finding is not None
    assert (finding.level, "2.5.0 went back by hand at " in finding.text) == ("warning", True)


async def test_a_way_back_that_failed_too_does_not_hide_what_was_bad(journal: Journal) -> None:
    await ended(journal, a_plan("flip", NEW), "rollback_failed", "rollback_failed", why="gate_failed")
    finding = await found(journal)
    assert finding is not None
    assert finding.level == "block"


async def test_the_same_version_on_both_sides_is_no_reason(journal: Journal) -> None:
    await ended(journal, a_plan("flip", {"blue": "2.5.0", "green": "2.5.0"}), "rolled_back", "gate_failed")
    assert await found(journal) is None
    await ended(journal, a_plan("flip", NEW), "rolled_back", "gate_failed")
    assert await found(journal, replace(GREEN, production="2.5.0")) is None


async def test_where_nobody_knows_the_version_the_side_is_warned_of(journal: Journal) -> None:
    await ended(journal, a_plan("flip", {}), "rolled_back", "gate_failed")
    for candidate in (GREEN, replace(GREEN, version="")):
        finding = await found(journal, candidate)
        assert finding is not None
        assert (finding.level, "is not known" in finding.text) == ("warning", True)
    assert await found(journal, replace(GREEN, released=True)) is None  # another version is put there first
    assert await found(journal, replace(GREEN, color="blue")) is None


async def test_for_a_rollback_it_is_only_ever_a_warning(journal: Journal) -> None:
    await ended(journal, a_plan("flip", NEW), "rolled_back", "gate_failed")
    (forward,) = (await held_back(a_plan("flip", NEW), POLICY, journal)).findings
    (back,) = (await held_back(a_plan("rollback", NEW), POLICY, journal)).findings
    assert (forward.level, back.level, back.code) == ("block", "warning", "rejected")
    queued = a_plan("rollback", NEW)
    queued = replace(queued, expected=replace(queued.expected, queued_to="A1"))
    assert (await held_back(queued, POLICY, journal)).findings == ()


async def test_what_was_accepted_holds_until_it_is_found_bad_anew(journal: Journal) -> None:
    live = replace(GREEN, production="")

    async def against(candidate: Candidate = live) -> str:
        found = await against_live(journal, "test", "analytics", candidate, UTC)
        return found.level if found else ""

    await ended(journal, a_plan("flip", NEW), "rolled_back", "gate_failed")
    assert await against() == "block"
    await ended(journal, a_plan("accept", {}, version="2.5.0"), "succeeded", moved=False)
    assert await against() == ""
    assert await against(replace(live, color="blue")) == "block", "there it was not accepted"
    again = await found(journal)
    assert again is not None
    assert again.level == "block", "it is no release of it"
    await ended(journal, a_plan("release", NEW, version="2.6.0"), "aborted", "smoke_failed", moved=False)
    assert await against() == "", "another version that got no traffic says nothing of it"
    await ended(journal, a_plan("release", NEW, version="2.5.0"), "aborted", "smoke_failed", moved=False)
    assert await against() == "block"


async def test_what_stands_is_every_version_that_would_be_refused(journal: Journal) -> None:
    async def standing() -> list[tuple[str, str]]:
        return [(each.version, each.kind) for each in await rejections(journal, "test", "analytics")]

    await ended(journal, a_plan("reject", {}, version="2.7.0"), "succeeded")
    await ended(journal, a_plan("release", NEW, version="2.6.0"), "rolled_back", "gate_failed")
    await ended(journal, a_plan("flip", NEW), "rolled_back", "verify_failed")
    await ended(journal, a_plan("release", NEW, version="2.8.0"), "rolled_back", "ordered")
    assert await standing() == [("2.5.0", "flip"), ("2.6.0", "release"), ("2.7.0", "reject")]
    await ended(journal, a_plan("release", NEW, version="2.6.0"), "succeeded")
    assert await standing() == [("2.5.0", "flip"), ("2.7.0", "reject")]


async def test_a_rejection_by_hand_is_one_however_it_went_before(journal: Journal) -> None:
    await ended(journal, a_plan("flip", NEW), "rolled_back", "gate_failed")
    assert not await rejected_by_hand(journal, "test", "analytics", "2.5.0")
    await ended(journal, a_plan("reject", {}, version="2.5.0"), "succeeded")
    assert await rejected_by_hand(journal, "test", "analytics", "2.5.0")
    finding = await found(journal)  # of a flip as of a release
    assert finding is not None
    assert (finding.level, finding.text) == ("block", "2.5.0 was rejected by alice@bastion-1")
    await ended(journal, a_plan("flip", NEW), "succeeded")
    assert not await rejected_by_hand(journal, "test", "analytics", "2.5.0")


async def test_a_side_that_failed_in_the_bake_is_not_flipped_to_again(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        flip = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES)
        await house.reaches(flip, "bake")
        service.faults["green"].status = 503
        ended = await house.ended(flip)
        assert (ended.status, ended.error and ended.error.kind) == ("rolled_back", "health_failed")
        service.faults["green"].status = 200
        with pytest.raises(Refused) as caught:
            await house.order(ANALYTICS_FLIP)
        assert (caught.value.exit_code, service.weights()) == (3, {"blue": 100, "green": 0})
        assert "2.4.1 went back at" in caught.value.error.message
        assert "--override rejected" in caught.value.error.fix
        assert (await house.order(ANALYTICS_ROLLBACK)).changed is False
        over = replace(ANALYTICS_FLIP, overrides=("rejected",))
        again = await house.gate.submit(await house.gate.plan(over), Consent(confirmed=True, reason="a probe was lost"))
        await house.reaches(again, "bake")
        await house.order(ANALYTICS_ROLLBACK)
        (service.directory / "green.version").write_text("2.4.2")
        assert not any(f.code == "rejected" for f in (await house.gate.plan(ANALYTICS_FLIP)).findings)


async def test_a_rollback_to_what_was_rejected_says_so_before_it_goes(house: House, service: TwoColors) -> None:
    """The gate never asked: it was told afterwards, as critical."""
    await house.order(ANALYTICS_FLIP)
    await house.order(Request(kind="reject", service="analytics", version="2.4.0"), Consent(confirmed=True, reason="r"))
    plan = await house.gate.plan(ANALYTICS_ROLLBACK)
    (told,) = [finding for finding in plan.findings if finding.code == "rejected"]
    assert told.text.startswith("2.4.0 was rejected by ")
    assert (told.level, told.overridable) == ("warning", False)
    assert (await house.order(ANALYTICS_ROLLBACK)).status == "succeeded"
    assert service.weights() == {"blue": 100, "green": 0}


async def test_the_undo_of_a_rollback_from_a_bad_version_is_taken_as_it_is_typed(journal: Journal) -> None:
    """It lacked what the way there has to override."""
    await ended(journal, a_plan("flip", NEW), "succeeded")
    back = replace(a_plan("rollback", NEW, to="blue"), summary=PlanSummary(effects=(), preconditions=(), undo="x"))
    plain = "teal deploy flip analytics --to green"
    assert (await held_back(back, POLICY, journal)).summary.undo == plain
    await ended(journal, a_plan("reject", {}, version="2.5.0"), "succeeded")
    assert (await held_back(back, POLICY, journal)).summary.undo == f"{plain} --override rejected --reason WHY"
    await ended(journal, a_plan("freeze", {}), "succeeded")
    undo = (await held_back(back, POLICY, journal)).summary.undo
    assert undo == f"{plain} --override rejected --override freeze --reason WHY"
    forward = a_plan("flip", NEW)
    typed = replace(forward, request=replace(forward.request, overrides=("rejected", "freeze")))
    assert ((await held_back(typed, POLICY, journal)).blocked, (await held_back(forward, POLICY, journal)).blocked) == (
        False, True,
    )  # fmt: skip
