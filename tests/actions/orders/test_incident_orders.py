"""Orders to incidents of PagerDuty through the gate: in whose name, sent once, looked for where the answer was lost."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actions.described import Described
from actions.models import Consent, Request
from actions.targets import IncidentsTarget
from backends.errors import BackendError
from backends.registry import AdapterContext, build
from tests.actions.house import YES, House
from tests.backends.fake_pagerduty import TOKEN, FakeIncident, FakePagerDuty

WHY = Consent(confirmed=True, reason="on it")


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakePagerDuty]:
    monkeypatch.setenv("PAGERDUTY_TOKEN", TOKEN)
    async with FakePagerDuty() as server:
        yield server
        assert server.complaints == []


@pytest.fixture
def incident(server: FakePagerDuty, house: House, tmp_path: Path) -> FakeIncident:
    use(house, server, tmp_path)
    return server.trigger("k", {"alertname": "Slow"}, title="It burns")


def use(house: House, server: FakePagerDuty, base: Path, **more: Any) -> None:
    """From now on orders go by this config."""
    config = {"url": server.url, "token": {"env": "PAGERDUTY_TOKEN"}, **more}
    adapter = build("alerts", "pagerduty", config, AdapterContext("pd", base, base, house.http))
    told = Described(port="alerts", type="pagerduty", name="pd", config=config, base_dir=base, state_dir=base)
    house.targets.incident_systems["pd"] = IncidentsTarget(adapter, told)


async def on(house: House, kind: str, **more: Any) -> Request:
    (alert,) = await house.targets.incident_systems["pd"].adapter.alerts()
    return Request(kind=kind, service=alert.ref, ref=alert.ref, **more)


async def test_an_acknowledgement_is_given_as_the_tokens_user_and_never_resolves(
    house: House, server: FakePagerDuty, incident: FakeIncident
) -> None:
    request = await on(house, "ack-incident")
    plan = await house.gate.plan(request)
    assert (plan.from_, plan.to, plan.guard_class, plan.about) == (
        "triggered", "acknowledged", "1", f"#{incident.number} It burns",
    )  # fmt: skip
    assert "as       Alice Greenholt" in plan.summary.effects
    ended = await house.order(request, YES)
    assert (ended.status, ended.changed, incident.status) == ("succeeded", True, "acknowledged"), ended.error
    assert server.orders == [
        ("PUT", f"/incidents/{incident.id}", "alice@example.com",
         {"incident": {"type": "incident_reference", "status": "acknowledged"}})
    ]  # fmt: skip
    again = await house.order(request, YES)
    assert (again.changed, len(server.orders)) == (False, 1)


async def test_what_somebody_else_has_acknowledged_is_told(
    house: House, server: FakePagerDuty, incident: FakeIncident
) -> None:
    incident.status, incident.acked_by, incident.acked_at = "acknowledged", "PBOB", incident.created
    plan = await house.gate.plan(await on(house, "ack-incident"))
    assert [finding.text for finding in plan.findings] == ["Bob Dee has acknowledged it"]


async def test_a_snooze_lasts_as_long_as_was_asked(house: House, server: FakePagerDuty, incident: FakeIncident) -> None:
    ended = await house.order(await on(house, "snooze", for_s=5400.0), YES)
    assert (ended.status, incident.status) == ("succeeded", "acknowledged"), ended.error
    assert incident.ack_until is not None
    assert incident.acked_at is not None
    assert incident.ack_until - incident.acked_at == timedelta(seconds=5400)


@pytest.mark.parametrize("for_s", [0.5, 604_801.0])
async def test_a_snooze_has_limits(house: House, incident: FakeIncident, for_s: float) -> None:
    with pytest.raises(BackendError, match="at most"):
        await house.gate.plan(await on(house, "snooze", for_s=for_s))


async def test_an_acknowledgement_has_no_time_of_its_own(house: House, incident: FakeIncident) -> None:
    with pytest.raises(BackendError, match="its service says"):
        await house.gate.plan(await on(house, "ack-incident", for_s=60.0))


async def test_what_is_resolved_while_its_alert_fires_is_told(
    house: House, server: FakePagerDuty, incident: FakeIncident
) -> None:
    plan = await house.gate.plan(await on(house, "resolve"))
    assert [(finding.level, finding.code) for finding in plan.findings] == [("warning", "still-firing")]
    server.ends("k")
    incident.status = "triggered"  # a silence kept the end from it
    request = await on(house, "resolve")
    assert (await house.gate.plan(request)).findings == ()
    ended = await house.order(request, WHY)
    assert (ended.status, incident.status) == ("succeeded", "resolved"), ended.error


async def test_the_next_level_is_called(house: House, server: FakePagerDuty, incident: FakeIncident) -> None:
    request = await on(house, "escalate")
    plan = await house.gate.plan(request)
    assert "call     Bob Dee, level 2 of its escalation policy" in plan.summary.effects
    assert plan.summary.undo.endswith("--to PXPGF42")
    ended = await house.order(request, WHY)
    assert (ended.status, incident.assigned) == ("succeeded", ["PBOB"]), ended.error
    with pytest.raises(BackendError, match="no level"):
        await house.gate.plan(await on(house, "escalate"))


@pytest.mark.parametrize("to", ["bob@example.com", "Bob Dee", "PBOB"])
async def test_it_is_given_to_somebody_else(
    house: House, server: FakePagerDuty, incident: FakeIncident, to: str
) -> None:
    ended = await house.order(await on(house, "reassign", to=to), WHY)
    assert (ended.status, incident.assigned) == ("succeeded", ["PBOB"]), ended.error
    again = await house.order(await on(house, "reassign", to=to), WHY)
    assert (again.changed, len(server.orders)) == (False, 1)


async def test_nobody_is_called_by_half_a_name(house: House, incident: FakeIncident) -> None:
    with pytest.raises(BackendError, match="no user is called Bob") as caught:
        await house.gate.plan(await on(house, "reassign", to="Bob"))
    assert "Bob Dee" in caught.value.fix


async def test_a_note(house: House, server: FakePagerDuty, incident: FakeIncident) -> None:
    ended = await house.order(await on(house, "note-incident", params={"text": "disk is full"}), YES)
    assert (ended.status, [note["content"] for _, note in server.notes]) == ("succeeded", ["disk is full"])


@pytest.mark.parametrize(
    ("kind", "more"),
    [("ack-incident", {}), ("snooze", {"for_s": 3600.0}), ("note-incident", {"params": {"text": "x"}})],
)
async def test_where_the_answer_was_lost_it_is_looked_for_and_not_sent_again(
    house: House, server: FakePagerDuty, incident: FakeIncident, kind: str, more: dict[str, Any]
) -> None:
    request = await on(house, kind, **more)
    server.lose = True
    ended = await house.order(request, YES)
    assert (ended.status, ended.changed, len(server.orders)) == ("succeeded", True, 1), ended.error


async def test_what_was_answered_and_not_done_is_no_success(
    house: House, server: FakePagerDuty, incident: FakeIncident
) -> None:
    server.ignores = True
    ended = await house.order(await on(house, "ack-incident"), YES)
    assert ended.status == "aborted"
    assert ended.error is not None
    assert "is triggered still" in ended.error.message


async def test_what_changed_since_the_plan_is_a_conflict(
    house: House, server: FakePagerDuty, incident: FakeIncident
) -> None:
    request = await on(house, "reassign", to="PBOB")
    house.before_runner = lambda: setattr(incident, "assigned", [])
    ended = await house.order(request, WHY)
    assert (ended.status, server.orders) == ("aborted", [])
    assert ended.error is not None
    assert (ended.error.kind, "nobody has it" in ended.error.message) == ("conflict", True)


async def test_a_general_key_is_nobodys_until_somebody_says_who(
    house: House, server: FakePagerDuty, incident: FakeIncident, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.is_general = True
    with pytest.raises(BackendError, match="which is nobody's") as caught:
        await house.gate.plan(await on(house, "ack-incident"))
    assert caught.value.kind == "config"
    monkeypatch.setenv("PAGERDUTY_EMAIL", "bob@example.com")
    use(house, server, tmp_path, **{"from": {"env": "PAGERDUTY_EMAIL"}})
    ended = await house.order(await on(house, "ack-incident"), YES)
    assert (ended.status, incident.acked_by, server.orders[0][2]) == ("succeeded", "PBOB", "bob@example.com")


async def test_a_token_that_only_reads_says_so(house: House, server: FakePagerDuty, incident: FakeIncident) -> None:
    server.reads_only = True
    ended = await house.order(await on(house, "ack-incident"), YES)
    assert ended.error is not None
    assert (ended.status, ended.error.kind) == ("aborted", "auth")


async def test_what_is_gone_is_not_found(house: House, server: FakePagerDuty, incident: FakeIncident) -> None:
    request = await on(house, "ack-incident")
    incident.status = "resolved"
    with pytest.raises(BackendError) as caught:
        await house.gate.plan(request)
    assert caught.value.kind == "not_found"


async def test_a_plan_sends_nothing_and_is_the_same_twice(
    house: House, server: FakePagerDuty, incident: FakeIncident
) -> None:
    for kind, more in (("ack-incident", {}), ("escalate", {}), ("reassign", {"to": "PBOB"})):
        request = await on(house, kind, **more)
        assert (await house.gate.plan(request)).full_hash == (await house.gate.plan(request)).full_hash
    assert server.orders == []
