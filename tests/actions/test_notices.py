"""A real flip tells real receivers on loopback; receivers that hang, fail or are nonsense change nothing for it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actions import notices
from actions.described import Described
from actions.journal.audit import AuditRecord, Head
from actions.models import Action, Consent
from actions.notices import NOTIFY_S, event_of
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, House
from tests.actions.orders.test_orders import blind_once_watched, order, paused_before_the_shift
from tests.backends.faulty_server import FaultyServer
from tests.two_colors import TwoColors

SURE = Consent(confirmed=True, reason="release 2.4")


@pytest.fixture
async def receiver() -> AsyncIterator[FaultyServer]:
    async with FaultyServer() as server:
        yield server


def a_notifier(kind: str, name: str, config: dict[str, Any], directory: Path) -> Described:
    return Described(port="notify", type=kind, name=name, config=config, base_dir=directory, state_dir=directory)


def webhook(receiver: FaultyServer, directory: Path, **config: Any) -> Described:
    return a_notifier("webhook", "ops", {"url": f"{receiver.url}/hook", **config}, directory)


def told(receiver: FaultyServer) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in receiver.requests]


async def complaints(house: House) -> list[AuditRecord]:
    await asyncio.gather(*house.runners)
    assert (await house.gate.verify_audit()).intact
    return [record for record in await house.gate.audit_records() if record.step == "notify"]


async def test_a_flip_is_told_from_start_to_end(house: House, receiver: FaultyServer, tmp_path: Path) -> None:
    house.targets.notify = (webhook(receiver, tmp_path),)
    action = await house.order(ANALYTICS_FLIP, SURE)
    assert (action.status, await complaints(house)) == ("succeeded", [])
    started, succeeded = told(receiver)
    by = str(house.gate.actor)
    assert (started["what"], succeeded["what"]) == ("started", "succeeded")
    assert started["text"].startswith(f"test: flip analytics blue → green started by {by}: release 2.4 (audit ")
    assert succeeded["text"].startswith("test: flip analytics blue → green succeeded (audit ")
    verdict = await house.gate.verify_audit(Head.parse(succeeded["head"]))
    assert (verdict.intact, verdict.anchored) == (True, True)
    assert succeeded["head"][: len(short := Head.parse(succeeded["head"]).short)] == short
    assert succeeded["text"].endswith(f"(audit {short})")
    for event in (started, succeeded):
        named = {key: event[key] for key in ("context", "kind", "service", "from", "to", "by", "reason", "action")}
        assert named == {
            "context": "test", "kind": "flip", "service": "analytics", "from": "blue", "to": "green",
            "by": by, "reason": "release 2.4", "action": action.id,
        }  # fmt: skip


def test_an_event_of_a_release_tells_its_version() -> None:
    action = Action(
        id="01HZX", kind="release", service="analytics", status="succeeded", phase="", from_="blue", to="green",
        version="2.4.1",
    )  # fmt: skip
    assert event_of("succeeded", "test", action).version == "2.4.1"
    assert event_of("succeeded", "test", replace(action, kind="flip", version="")).version == ""


async def test_what_is_held_is_told_once_and_what_an_operator_paused_is_not(
    house: House, receiver: FaultyServer, tmp_path: Path, service: TwoColors, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = blind_once_watched(monkeypatch)
    house.targets.notify = (webhook(receiver, tmp_path),)
    opened = await paused_before_the_shift(house, service)
    await order(house, opened, "resume")
    await house.stands(opened, "running")
    held = await house.stands(opened, "paused")
    await asyncio.sleep(0.5)
    watched.clear()
    assert (await house.ended(held)).status == "succeeded"
    assert await complaints(house) == []
    assert [event["what"] for event in told(receiver)] == ["started", "held", "succeeded"]
    assert told(receiver)[1]["text"].startswith(
        "test: flip analytics blue → green held: GREEN: nobody could look, until the evidence comes or somebody decides"
    )


async def test_the_detached_runner_tells_by_the_references_of_the_journal(
    tmp_path: Path, service: TwoColors, receiver: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_URL", f"{receiver.url}/T0/Zx81SpectrumToken")
    async with House(tmp_path / "state", service, detached=True) as house:
        house.targets.notify = (webhook(receiver, tmp_path, url={"env": "HOOK_URL"}),)
        assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
        async with asyncio.timeout(10):
            while len(receiver.requests) < 2:
                await asyncio.sleep(0.02)
        assert [event["what"] for event in told(receiver)] == ["started", "succeeded"]
    for file in (tmp_path / "state").rglob("*"):
        assert not file.is_file() or b"Zx81SpectrumToken" not in file.read_bytes()


@pytest.mark.parametrize(
    ("fault", "timeout", "why"),
    [
        ("hang", "1s", "notify.ops: no answer in 1 s"),
        ("hang", "60s", "no answer in 5 s"),
        ("500", "4s", "notify.ops: HTTP 500"),
        ("no_answer", "4s", "notify.ops: connection lost"),
    ],
)
async def test_a_receiver_that_fails_changes_nothing(
    house: House, receiver: FaultyServer, tmp_path: Path, fault: str, timeout: str, why: str
) -> None:
    began = time.monotonic()
    assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
    alone_s = time.monotonic() - began
    receiver.fault = fault
    house.targets.notify = (webhook(receiver, tmp_path, timeout=timeout),)
    began = time.monotonic()
    back = await house.order(ANALYTICS_ROLLBACK, SURE)
    assert (back.status, back.changed) == ("succeeded", True)
    found = await complaints(house)
    assert [record.result for record in found] == [
        "notify.ops was not told: started",
        "notify.ops was not told: succeeded",
    ]
    assert all(record.detail.startswith(why) for record in found)
    assert {record.action for record in found} == {back.id}
    assert time.monotonic() - began < 2 * alone_s + 2 * NOTIFY_S + 3, "who is told holds the runner for a bounded time"


async def test_an_action_ends_while_who_is_told_still_hangs(
    house: House, receiver: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "NOTIFY_S", 60.0)
    receiver.fault = "hang"
    house.targets.notify = (webhook(receiver, tmp_path, timeout="60s"),)
    opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), SURE)
    async with asyncio.timeout(60):
        while (action := await house.gate.action(str(opened.id))).open:
            await asyncio.sleep(0.05)
    assert [record for record in await house.gate.audit_records() if record.step == "notify"] == []
    assert action.status == "succeeded"
    await receiver.stop()
    assert len(await complaints(house)) == 2


async def test_one_that_is_nonsense_keeps_the_others_from_nothing(
    house: House, receiver: FaultyServer, tmp_path: Path
) -> None:
    nonsense = [
        a_notifier(kind, "bad", config, tmp_path)
        for kind, config in (("carrier-pigeon", {}), ("slack", {}), ("slack", {"webhook": {"env": "NO_SUCH_HOOK"}}))
    ]
    house.targets.notify = (
        *nonsense,
        webhook(receiver, tmp_path),
    )
    assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
    reasons = {record.detail for record in await complaints(house)}
    assert len(reasons) == 3
    assert "environment variable NO_SUCH_HOOK is not set" in reasons
    assert [event["what"] for event in told(receiver)] == ["started", "succeeded"]


async def test_a_flip_that_goes_nowhere_is_told_as_failed(
    house: House, service: TwoColors, receiver: FaultyServer, tmp_path: Path
) -> None:
    house.targets.notify = (webhook(receiver, tmp_path),)
    opened = await house.gate.plan(ANALYTICS_FLIP)
    action = await house.gate.submit(opened, SURE)
    service.faults["green"].status = 503
    ended = await house.ended(action)
    assert ended.status in ("aborted", "rolled_back")
    assert await complaints(house) == []
    assert ended.error is not None
    last = told(receiver)[-1]
    assert last["what"] == ("failed" if ended.status == "aborted" else "rolled_back")
    assert f"{ended.error.message} (audit " in last["text"]


async def test_a_flip_that_is_taken_back_is_told_once(
    tmp_path: Path, service: TwoColors, receiver: FaultyServer
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        house.targets.notify = (webhook(receiver, tmp_path),)
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), SURE)
        await house.reaches(opened, "bake")
        assert (await house.order(ANALYTICS_ROLLBACK)).status == "rolled_back"
        assert await complaints(house) == []
        assert [event["what"] for event in told(receiver)] == ["started", "rolled_back"]


async def test_a_runner_that_takes_over_starts_nothing_anew(
    tmp_path: Path, service: TwoColors, receiver: FaultyServer
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        house.targets.notify = (webhook(receiver, tmp_path),)
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), SURE)
        await house.reaches(opened, "bake")
        await house.kill_runner()
        house.runners.clear()
        assert (await house.order(ANALYTICS_ROLLBACK)).status == "rolled_back"
        assert await complaints(house) == []
        assert [event["what"] for event in told(receiver)] == ["started", "rolled_back"]


async def test_who_is_limited_is_told_after_the_time_that_it_says(
    house: House, receiver: FaultyServer, tmp_path: Path
) -> None:
    receiver.fault, receiver.faults_left = "429", 1  # Retry-After: 1
    house.targets.notify = (webhook(receiver, tmp_path),)
    assert (await house.order(ANALYTICS_FLIP)).status == "succeeded"
    assert await complaints(house) == []
    assert [event["what"] for event in told(receiver)] == ["started", "started", "succeeded"]
