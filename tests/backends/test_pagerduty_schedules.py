"""`pagerduty` schedules against a server in this process, held against PagerDuty's own description of its API."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backends.errors import BackendError
from backends.http import Http
from backends.oncall.pagerduty import PagerDutySchedules
from backends.registry import AdapterContext, build
from backends.testing.oncall import Lose, Plan, SchedulesContract, Turn, now
from tests.backends.fake_pagerduty import TOKEN
from tests.backends.fake_pagerduty_schedules import FakeSchedules

Connect = Callable[..., PagerDutySchedules]
HOUR = timedelta(hours=1)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSchedules]:
    monkeypatch.setenv("PAGERDUTY_TOKEN", TOKEN)
    async with FakeSchedules() as server:
        yield server
        assert server.complaints == []


@pytest.fixture
async def connect(server: FakeSchedules, tmp_path: Path) -> AsyncIterator[Connect]:
    http = Http()

    def connected(**config: Any) -> PagerDutySchedules:
        table = {"url": server.url, "token": {"env": "PAGERDUTY_TOKEN"}, **config}
        adapter: PagerDutySchedules = build(
            "oncall", "pagerduty", table, AdapterContext("pd", tmp_path, tmp_path, http)
        )
        return adapter

    yield connected
    await http.aclose()


class OfSchedule(SchedulesContract):
    @pytest.fixture
    def plan(self, server: FakeSchedules) -> Plan:
        def hold(turns: Sequence[Turn]) -> None:
            server.turns["primary"] = turns

        return hold

    @pytest.fixture
    def lose(self, server: FakeSchedules) -> Lose:
        def gone() -> None:
            server.fault = "no answer"

        return gone


class TestSchedule(OfSchedule):
    @pytest.fixture
    def adapter(self, connect: Connect) -> PagerDutySchedules:
        return connect(schedules=["primary"])


class TestEscalationPolicy(OfSchedule):
    @pytest.fixture
    def adapter(self, connect: Connect, server: FakeSchedules) -> PagerDutySchedules:
        server.policies = {"primary": [["primary"]]}
        return connect(escalation_policies=["Primary"])


class TestAllThatTheTokenSees(OfSchedule):
    @pytest.fixture
    def adapter(self, connect: Connect) -> PagerDutySchedules:
        return connect()


async def test_each_level_of_a_policy_also_one_that_has_nobody(connect: Connect, server: FakeSchedules) -> None:
    at = now()
    server.turns = {
        "primary": [Turn("Alice Greenholt", at - HOUR, at + HOUR)],
        "night": [Turn("Carol", at - 9 * HOUR, at - HOUR)],
    }
    server.policies = {"Data on call": [["primary", "@Dave"], ["night"], ["@Boss"]], "Other": [["@Nobody"]]}
    found = await connect(escalation_policies=["Data on call"], schedules=["night"]).on_call(at)
    assert [(item.ref, item.schedule, item.state) for item in found] == [
        ("pd/PNIGHT", "night", "warning"),
        ("pd/PDATAONCALL/1", "Data on call, level 1", "ok"),
        ("pd/PDATAONCALL/2", "Data on call, level 2", "warning"),
        ("pd/PDATAONCALL/3", "Data on call, level 3", "ok"),
    ]
    first, boss = found[1], found[3]
    assert first.now is not None
    assert first.next is not None
    assert (first.now.who, first.now.until) == (("Alice Greenholt", "Dave"), at + HOUR)
    assert first.next.who == ("Dave",)
    assert first.url == "https://acme.pagerduty.com/escalation_policys/PDATAONCALL"
    assert boss.now is not None
    assert (boss.now.who, boss.now.until, boss.next) == (("Boss",), None, None)


async def test_it_is_asked_in_whole_seconds_and_beyond_the_edges(connect: Connect, server: FakeSchedules) -> None:
    at = datetime.now(UTC).replace(microsecond=123456)
    server.turns["primary"] = [Turn("alice", at - timedelta(days=40), at + timedelta(days=80))]
    (found,) = await connect().on_call(at)
    assert found.now is not None
    assert (found.now.since, found.now.until) == (at - timedelta(days=40), at + timedelta(days=80))
    query = parse_qs(urlsplit(server.requests[-1].target).query)
    since, until = (datetime.fromisoformat(query[name][0].replace("Z", "+00:00")) for name in ("since", "until"))
    assert since.microsecond == until.microsecond == 0
    assert since < at < until
    assert until - since <= timedelta(days=90), "PagerDuty refuses more"


async def test_beyond_what_was_looked_at_nobody_is_said_to_be_nobody(connect: Connect, server: FakeSchedules) -> None:
    at = now()
    server.turns["primary"] = [
        Turn(("alice", "bob")[n % 2], at + timedelta(days=20 * n - 1), at + timedelta(days=20 * n + 19))
        for n in range(9)
    ]
    (found,) = await connect().on_call(at)
    assert all(shift.who for shift in found.shifts)
    assert len(found.shifts) >= 4


async def test_whose_token_it_is(connect: Connect, server: FakeSchedules) -> None:
    adapter = connect()
    await adapter.on_call(now())
    assert adapter.me == ("Alice Greenholt", "alice@example.com")
    await adapter.on_call(now())
    assert len([each for each in server.requests if "/users/me" in each.target]) == 1
    server.is_general = True
    general = connect()
    await general.on_call(now())
    assert general.me == ()


async def test_a_schedule_that_is_gone_is_unknown_then_looked_for_again(
    connect: Connect, server: FakeSchedules
) -> None:
    server.turns = {"primary": [Turn("alice", now() - HOUR, now() + HOUR)], "night": ()}
    adapter = connect(schedules=["primary", "night"])
    await adapter.on_call(now())
    del server.turns["night"]
    primary, night = await adapter.on_call(now())
    assert (primary.state, night.state, night.now) == ("ok", "unknown", None)
    assert night.reason == "the schedule is not there any more"
    with pytest.raises(BackendError, match="schedules: PagerDuty has no night"):
        await adapter.on_call(now())


@pytest.mark.parametrize("key", ["schedules", "escalation_policies"])
async def test_a_name_that_is_not_there_is_a_mistake_of_the_config(
    connect: Connect, server: FakeSchedules, key: str
) -> None:
    server.policies = {"Data on call": [["primary"]]}
    with pytest.raises(BackendError) as caught:
        await connect(**{key: ["nothing"]}).on_call(now())
    assert caught.value.kind == "config"
    assert f"{key}: PagerDuty has no nothing" in caught.value.message


async def test_an_answer_without_a_final_schedule_is_unknown(
    connect: Connect, server: FakeSchedules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_schedule", lambda query, body, key: (200, {"schedule": server._named("primary")}))
    (found,) = await connect().on_call(now())
    assert (found.state, found.now, found.reason) == ("unknown", None, "PagerDuty gave no final schedule")


@pytest.mark.parametrize("key", ["schedules", "escalation_policies"])
def test_an_empty_name_is_refused(connect: Connect, key: str) -> None:
    with pytest.raises(BackendError, match="none of them empty"):
        connect(**{key: [""]})


async def test_too_many_schedules_are_to_be_named(connect: Connect, server: FakeSchedules) -> None:
    server.turns = {f"schedule {n}": () for n in range(51)}
    with pytest.raises(BackendError, match="the token sees 51, more than 50"):
        await connect().on_call(now())
