"""A freeze and a rejection: through the gate, in the chain, in the way of what goes forward and of nothing else."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from actions.guards import Policy
from actions.journal.journal import Journal
from actions.journal.rows import Draft
from actions.models import Consent, Refused, Request
from actions.orders.freeze_and_reject import held_back, window_freeze
from actions.switching.standing import freeze_of
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.actions.journals import draft
from tests.two_colors import TwoColors

FREEZE = Request(kind="freeze", service="analytics")
UNFREEZE = Request(kind="unfreeze", service="analytics")
REJECT = Request(kind="reject", service="analytics", version="2.5.0")
BECAUSE = Consent(confirmed=True, reason="quarter end")


@pytest.fixture
def journal(house: House) -> Journal:
    return house.journal


async def refused(house: House, request: Request, consent: Consent = YES) -> Refused:
    with pytest.raises(Refused) as caught:
        await house.gate.submit(await house.gate.plan(request), consent)
    return caught.value


async def test_a_freeze_stops_what_goes_forward_and_no_way_back(house: House, service: TwoColors) -> None:
    assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
    frozen = await house.order(FREEZE, BECAUSE)
    assert (frozen.status, frozen.changed, frozen.from_, frozen.to) == ("succeeded", True, "open", "frozen")
    no = await refused(house, replace(ANALYTICS_FLIP, to="blue"))
    assert no.exit_code == 3
    assert "frozen by" in no.error.message
    assert "quarter end" in no.error.message
    assert "teal deploy unfreeze analytics" in no.error.fix
    assert "--override freeze" in no.error.fix
    assert (await house.order(ANALYTICS_ROLLBACK)).status == "succeeded"
    assert service.weights() == {"blue": 100, "green": 0}
    assert (await house.order(UNFREEZE)).changed
    assert not (await house.order(UNFREEZE)).changed
    assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"


async def test_a_freeze_is_overridden_only_with_a_reason(house: House) -> None:
    await house.order(FREEZE)
    over = replace(ANALYTICS_FLIP, overrides=("freeze",))
    assert "reason" in (await refused(house, over)).error.message
    done = await house.order(over, BECAUSE)
    assert done.status == "succeeded"
    overrides = [entry for entry in await house.journal.audit_records() if entry.kind == "override"]
    assert [(entry.result, entry.reason) for entry in overrides] == [("freeze", "quarter end")]


async def test_it_is_seen_on_the_deployment_and_in_the_chain(house: House, service: TwoColors) -> None:
    target = await house.targets.switch("analytics")
    await house.order(replace(FREEZE, for_s=3600.0), BECAUSE)
    seen = (await house.gate.enrich(await target.adapter.deployment())).freeze
    assert seen is not None
    assert seen.until is not None
    assert seen.since is not None
    assert (seen.reason, (seen.until - seen.since).total_seconds()) == ("quarter end", 3600)
    commands = [entry for entry in await house.journal.audit_records() if entry.kind == "command"]
    assert [(entry.order, entry.result, entry.reason) for entry in commands] == [("freeze", "done", "quarter end")]
    assert (await house.gate.verify_audit()).intact
    await target.adapter.aclose()


async def test_a_freeze_ends_by_itself(house: House) -> None:
    await house.order(replace(FREEZE, for_s=0.001))
    assert await freeze_of(house.journal, "test", "analytics") is None
    await house.order(FREEZE)
    assert await freeze_of(house.journal, "test", "analytics") is not None
    assert await freeze_of(house.journal, "test", "another") is None
    assert await freeze_of(house.journal, "elsewhere", "analytics") is None


async def test_a_short_freeze_does_not_open_what_a_longer_one_keeps_shut(house: House) -> None:
    await house.order(replace(FREEZE, for_s=3600.0), BECAUSE)
    short = await house.order(replace(FREEZE, for_s=60.0))
    assert (short.status, short.changed) == ("succeeded", False)
    longer = await house.order(replace(FREEZE, for_s=7200.0))
    assert longer.changed
    kept = await freeze_of(house.journal, "test", "analytics")
    assert kept is not None
    assert kept.until is not None
    assert kept.since is not None
    assert (kept.until - kept.since).total_seconds() == 7200
    assert (await house.order(FREEZE)).changed
    assert not (await house.order(replace(FREEZE, for_s=60.0))).changed
    kept = await freeze_of(house.journal, "test", "analytics")
    assert kept is not None
    assert kept.until is None
    await house.order(UNFREEZE)
    assert await freeze_of(house.journal, "test", "analytics") is None


async def test_one_hour_is_not_agreed_to_by_the_hash_of_two(house: House) -> None:
    two, one = [await house.gate.plan(replace(FREEZE, for_s=hours * 3600.0)) for hours in (2, 1)]
    no = await refused(house, one.request, replace(YES, plan_hash=two.hash))
    assert no.exit_code == 6


async def test_a_service_is_frozen_while_an_action_is_open_on_it(house: House) -> None:
    opened = await house.journal.begin(draft())
    assert opened.open
    assert (await house.order(FREEZE)).status == "succeeded"


async def test_in_a_protected_context_it_wants_the_name_and_a_reason(house: House) -> None:
    house.under(protected=True, shared_journal=True)
    assert "was not named" in (await refused(house, FREEZE)).error.message
    done = await house.order(FREEZE, Consent(confirmed=True, typed_context="test", reason="quarter end"))
    assert done.changed
    house.under(shared_journal=False)
    no = await refused(house, UNFREEZE, Consent(confirmed=True, typed_context="test", reason="over"))
    assert "its lock is not shared" in no.error.message


async def test_what_cannot_be_meant_is_refused(house: House) -> None:
    for request in (replace(FREEZE, for_s=0.0), replace(FREEZE, for_s=1e9), replace(REJECT, version="")):
        with pytest.raises(Refused) as caught:
            await house.gate.plan(request)
        assert caught.value.exit_code == 2


async def test_a_window_of_the_config_is_a_freeze_in_its_own_zone() -> None:
    policy = Policy(context="test", zone=ZoneInfo("Europe/Berlin"), freeze=("Fri 16:00 - Mon 08:00", "nonsense"))
    assert window_freeze(policy, datetime(2026, 11, 27, 14, 59, tzinfo=UTC)) is None
    found = window_freeze(policy, datetime(2026, 11, 27, 15, 0, tzinfo=UTC))
    assert found is not None
    assert (found.by, found.reason) == ("config", "Fri 16:00 - Mon 08:00 (Europe/Berlin)")


def a_release(version: str) -> Draft:
    made = draft()
    request = Request(kind="release", service="analytics", version=version)
    return replace(made, plan=replace(made.plan, kind="release", request=request))


async def test_a_rejected_version_is_not_released(house: House) -> None:
    done = await house.order(REJECT, BECAUSE)
    assert (done.status, done.changed, done.version) == ("succeeded", True, "2.5.0")
    assert not (await house.order(REJECT, BECAUSE)).changed
    policy = Policy(context="test", zone=UTC)
    (finding,) = (await held_back(a_release("2.5.0").plan, policy, house.journal)).findings
    assert (finding.level, finding.code, finding.overridable) == ("block", "rejected", True)
    assert "quarter end" in finding.text
    assert (await held_back(a_release("2.5.1").plan, policy, house.journal)).findings == ()
