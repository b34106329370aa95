"""An action that nobody runs: known at once, said everywhere with since when and what to do, and told once."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions import orphans
from actions.described import Described
from actions.ids import now
from actions.journal.journal import Journal
from actions.journal.lease import owner_file, release, take
from actions.journal.steering import possible_orders
from actions.kinds import TABLE
from actions.models import Action, ActionStatus, Request
from actions.orphans import orphaned_since, since_words, tell, ways_out, why_orphaned
from actions.runner import run_action
from actions.who import current_actor
from backends.errors import BackendError
from console.check_results import of_actions
from console.runners import CONFIG_VARIABLE, CONTEXT_VARIABLE, JOURNAL_VARIABLE, build_described
from console.session import Acting
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, YES, House
from tests.actions.journals import ROOT, draft, here
from tests.actions.orders.test_orders import in_phase, order
from tests.actions.switching.test_rollback import dies_unobserved
from tests.actions.test_notices import told, webhook
from tests.backends.faulty_server import FaultyServer
from tests.two_colors import TwoColors


@pytest.fixture
async def receiver() -> AsyncIterator[FaultyServer]:
    async with FaultyServer() as server:
        yield server


async def orphan(house: House) -> Action:
    """A flip in its bake whose runner was killed."""
    opened = await in_phase(house, "bake")
    await house.kill_runner()
    return await house.gate.action(str(opened.id))


async def tell_from(house: House, receiver: FaultyServer, place: Path) -> None:
    """As a console that has just opened the journal does."""
    journal = Journal(house.location)
    try:
        actions = await house.gate.actions(open_only=True)
        hook = [webhook(receiver, place)]
        await tell(journal, actions, "test", hook, build_described, actor=current_actor({}), zone=UTC)
    finally:
        await journal.aclose()


async def test_it_says_since_when_and_the_two_ways_out(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        before = now()
        found = await orphan(house)
        assert found.orphaned_since is not None
        assert before <= found.orphaned_since <= now()
        finding = next(finding for finding in found.findings if finding.code == "orphaned")
        assert finding.text == since_words(found.orphaned_since, UTC)
        assert finding.fix == f"teal action resume {found.id}, or teal deploy rollback analytics" == ways_out(found)
        deployment = await house.gate.enrich(await (await house.targets.switch("analytics")).adapter.deployment())
        assert (deployment.orphaned_since, deployment.health) == (found.orphaned_since, "critical")
        assert (await house.order(ANALYTICS_ROLLBACK)).orphaned_since is None


async def test_who_is_refused_for_it_hears_that_nobody_runs_it(tmp_path: Path, service: TwoColors) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        found = await orphan(house)
        plan = await house.gate.plan(ANALYTICS_FLIP)
        (told,) = [finding for finding in plan.findings if finding.code == "open-action"]
        assert "nobody runs it since" in told.text
        assert told.fix == ways_out(found)


async def test_who_plans_and_who_orders_beside_a_live_action_hear_of_the_same_ways(
    tmp_path: Path, service: TwoColors
) -> None:
    """The plan named one of them, and the gate both."""
    async with House(tmp_path / "state", service, bake="30s") as house:
        begun = await in_phase(house, "bake")
        plan = await house.gate.plan(ANALYTICS_FLIP)
        (told,) = [finding for finding in plan.findings if finding.code == "open-action"]
        assert told.fix == f"teal action watch {begun.id}, or teal deploy rollback analytics"
        assert (await house.gate._held(begun)).fix == told.fix
        assert (await house.order(ANALYTICS_ROLLBACK)).id == begun.id
        await house.ended(begun)


async def test_a_runner_that_could_not_write_its_journal_says_so_where_nobody_runs_its_action(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full takes no record of why; the file that its runner keeps locked has room for it."""
    async with House(tmp_path / "state", service) as house:
        found = await dies_unobserved(house, monkeypatch)
        assert found.orphaned_since is not None
        words = since_words(found.orphaned_since, UTC, "journal: disk full")
        assert words.endswith(" (journal: disk full)")
        assert [finding.text for finding in found.findings if finding.code == "orphaned"] == [words]
        deployment = await house.gate.enrich(await (await house.targets.switch("analytics")).adapter.deployment())
        assert deployment.orphaned_why == "journal: disk full"
        acting = Acting(actions=[found])
        assert words in of_actions(acting, UTC).message
        ended = await house.order(order_to(found, "resume"))
        assert (ended.status, [each.code for each in ended.findings if each.level != "ok"]) == ("succeeded", [])


def order_to(action: Action, word: Any) -> Request:
    return Request(kind=action.kind, service=action.service, ref=str(action.id), order=word)


async def test_one_that_ended_between_the_looks_at_its_row_and_at_its_runner_is_no_orphan(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await in_phase(house, "bake")
        before = await house.gate.journal.actions("test", open_only=True)
        assert [action.id for action in before] == [opened.id]
        assert (await house.order(ANALYTICS_ROLLBACK)).status in ("rolled_back", "succeeded")

        async def late(*_: object, **__: object) -> list[Action]:
            return before

        monkeypatch.setattr(house.gate.journal, "actions", late)
        (found,) = await house.gate.actions(open_only=True)
        assert (found.orphaned_since, found.open) == (None, False)


@pytest.mark.parametrize("kind", [name for name, kind in TABLE.items() if not kind.recorded])
@pytest.mark.parametrize("status", ["planned", "running", "paused", "rolling_back", "conflict", "in_doubt"])
def test_every_way_out_that_is_named_would_be_taken(kind: str, status: ActionStatus) -> None:
    action = Action(
        id="A", kind=kind, service="s", status=status, phase="bake", from_="b", to="g", actor=current_actor({}),
        started_at=now(),
    )  # fmt: skip
    possible, words = possible_orders(action, orphaned=True), ways_out(action)
    for word, named in (("resume", "teal action resume A"), ("rollback", "teal deploy rollback s")):
        assert named not in words or possible[word] == ""
    assert words
    if kind == "flip" and status == "conflict":
        assert words == "teal deploy rollback s, or teal action abandon A --reason WHY"
        assert possible["pause"].startswith("the traffic is not as it left it: resume")
    if kind == "flip" and status == "rolling_back":
        assert words == "teal deploy rollback s"


async def test_the_notice_held_is_sent_once_whoever_looks_and_how_many(
    tmp_path: Path, service: TwoColors, receiver: FaultyServer
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        found = await orphan(house)
        for _ in range(2):
            await asyncio.gather(*(tell_from(house, receiver, tmp_path) for _ in range(4)))
        (event,) = told(receiver)
        assert (event["what"], event["action"]) == ("held", found.id)
        assert f"nobody runs it since {now():%H:}" in event["text"]
        assert f"teal action resume {found.id}, or teal deploy rollback analytics" in event["text"]
        assert [record.action for record in await house.gate.audit_records() if record.result == "orphaned"] == [
            found.id
        ]
        await order(house, found, "resume")
        await house.stands(found, "running")
        await house.kill_runner()  # this is another death
        await tell_from(house, receiver, tmp_path)
        assert [event["what"] for event in told(receiver)] == ["held", "held"]
        assert (await house.order(ANALYTICS_ROLLBACK)).status == "rolled_back"


async def test_what_runs_has_ended_or_was_told_by_its_own_runner_is_no_news(
    tmp_path: Path, service: TwoColors, receiver: FaultyServer
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        opened = await in_phase(house, "bake")
        await tell_from(house, receiver, tmp_path)
        service.write({"blue": 50, "green": 50}, stamp="somebody")
        assert (await house.ended(opened)).status == "conflict"
        await tell_from(house, receiver, tmp_path)
        assert told(receiver) == []
        await house.ended(await order(house, opened, "abandon"))


async def test_without_a_claim_nothing_is_sent(
    tmp_path: Path, service: TwoColors, receiver: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        await orphan(house)

        async def cannot(*_: object, **__: object) -> bool:
            raise BackendError("auth", "attempt to write a readonly database")

        with monkeypatch.context() as only_read:
            only_read.setattr(Journal, "claim", cannot)
            with pytest.raises(BackendError):
                await tell_from(house, receiver, tmp_path)
        assert told(receiver) == []
        await tell_from(house, receiver, tmp_path)
        assert [event["what"] for event in told(receiver)] == ["held"]
        await house.order(ANALYTICS_ROLLBACK)


@pytest.mark.parametrize("request_", [ANALYTICS_FLIP, ANALYTICS_ROLLBACK])
async def test_killed_before_it_had_a_lease_it_has_not_started_and_is_resumed_soon(
    tmp_path: Path, service: TwoColors, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dead(*_: str) -> None:
        pass

    monkeypatch.setattr("actions.starting.OWNER_WAIT_S", 0.1)
    async with House(tmp_path / "state", service) as house:
        if request_ is ANALYTICS_ROLLBACK:
            await house.order(ANALYTICS_FLIP)
        opened = await house.gate.submit(await house.gate.plan(request_), YES, launch=dead)
        early = await house.gate.action(str(opened.id))
        assert early.orphaned_since is None
        why = possible_orders(early, orphaned=False)["resume"]
        assert why == f"it has not started yet: if that takes more than a few seconds, teal action resume {opened.id}"
        monkeypatch.setattr(orphans, "STARTS_WITHIN_S", 0.1)
        await asyncio.sleep(0.2)
        late = await house.gate.action(str(opened.id))
        assert late.orphaned_since == late.started_at
        word = "rollback" if request_ is ANALYTICS_ROLLBACK else "resume"
        assert (await house.ended(await order(house, late, word))).status == "succeeded"


def test_a_runner_that_reads_its_secrets_still_lives(tmp_path: Path, service: TwoColors) -> None:
    location = House(tmp_path / "state", service).location
    action = Action(
        id="A", kind="flip", service="s", status="planned", phase="plan", from_="b", to="g", actor=current_actor({}),
        started_at=now() - timedelta(minutes=1),
    )  # fmt: skip
    path = owner_file(location.directory, "A")
    location.directory.mkdir()
    descriptor = take(path)
    assert descriptor is not None
    assert orphaned_since(action, location) is None
    release(descriptor, path, ended=False)
    assert orphaned_since(action, location) == action.started_at
    elsewhere = replace(action, actor=replace(current_actor({}), host="another"), started_at=now())
    assert orphaned_since(elsewhere, location) is None


async def test_an_order_to_one_that_never_started_starts_it(
    tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dead(*_: str) -> None:
        pass

    monkeypatch.setattr("actions.starting.OWNER_WAIT_S", 0.1)
    monkeypatch.setattr(orphans, "STARTS_WITHIN_S", 2.0)
    async with House(tmp_path / "state", service) as house:
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), YES, launch=dead)
        assert (await house.gate.action(str(opened.id))).orphaned_since is None
        ended = await house.ended(await order(house, opened, "rollback"))
        assert (ended.status, service.weights()["blue"]) == ("aborted", 100)


async def test_a_runner_that_dies_of_anything_before_it_owns_its_action_says_why(tmp_path: Path) -> None:
    journal = Journal(here(tmp_path))
    begun = await journal.begin(draft())

    async def own(_: object) -> Described:
        raise RuntimeError("no such thing\nat all")

    with pytest.raises(RuntimeError):
        await run_action(str(begun.id), journal, build_described, own)
    assert why_orphaned(begun, journal.location) == "RuntimeError: no such thing at all"
    place = {
        JOURNAL_VARIABLE: journal.location.url,
        CONFIG_VARIABLE: str(tmp_path / "none.toml"),
        CONTEXT_VARIABLE: "c",
    }
    environment = {**os.environ, **place, "TEAL_STATE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "console.runner", str(begun.id)]
    await asyncio.to_thread(subprocess.run, command, env=environment, check=True)
    async with asyncio.timeout(30):
        while "none.toml" not in (told := why_orphaned(begun, journal.location)):
            await asyncio.sleep(0.05)
    assert "\n" not in told
    await journal.aclose()
