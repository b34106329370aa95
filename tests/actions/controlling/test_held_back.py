"""What is recorded against a service that a controller moves: no order onward is given to that past it, unseen."""

import asyncio
from unittest import mock

import pytest

from actions.models import Action, Consent, Refused, Request
from tests.actions.controlling.desk import RELEASE, YES, Desk

FREEZE = Request(kind="freeze", service="svc")
REJECT = Request(kind="reject", service="svc", version="2.0")
RECORDS = pytest.mark.parametrize(
    ("record", "code"), [(FREEZE, "freeze"), (REJECT, "rejected")], ids=["freeze", "rejected"]
)


async def late(desk: Desk, request: Request) -> tuple[Action, asyncio.Event]:
    """An action whose runner begins when the event is set."""
    begins, run = asyncio.Event(), desk._run

    async def later(action_id: str, digest: str) -> None:
        await begins.wait()
        await run(action_id, digest)

    with mock.patch.object(desk, "_run", later):
        return await desk.begin(request), begins


@RECORDS
async def test_a_release_is_not_ordered_past_what_was_recorded_since(desk: Desk, record: Request, code: str) -> None:
    action, look = await late(desk, RELEASE)
    await desk.begin(record)
    look.set()
    held = await desk.until(action, lambda seen: seen.status == "paused" or seen.phase == "follow")
    assert (held.status, held.error and held.error.kind, desk.controller.ordered) == ("paused", "held_back", [])
    assert (await desk.gate.plan(_order(held, "resume"))).blocked
    if code == "freeze":
        await desk.begin(Request(kind="unfreeze", service="svc"))
    else:
        over = await desk.gate.plan(_order(held, "resume", code))
        assert not over.blocked, over.findings
        await desk.gate.submit(over, YES)
    await desk.until(action, lambda seen: seen.phase == "follow")
    assert desk.controller.ordered == [("release", "2.0")]


async def test_a_release_that_is_held_so_is_taken_back_with_nothing_ordered(desk: Desk) -> None:
    action, look = await late(desk, RELEASE)
    await desk.begin(REJECT)
    look.set()
    held = await desk.until(action, lambda seen: seen.status == "paused")
    await desk.order(held, "rollback")
    assert ((await desk.ended(action)).status, desk.controller.ordered) == ("aborted", [])


@RECORDS
async def test_an_order_in_one_step_is_not_given_past_it(desk: Desk, record: Request, code: str) -> None:
    desk.controller.begin("2.0", by="bob")
    desk.controller.wait()
    action, look = await late(desk, Request(kind="promote", service="svc"))
    await desk.begin(record)
    look.set()
    ended = await desk.ended(action)
    assert (ended.status, ended.changed, desk.controller.ordered) == ("aborted", False, [])
    assert ended.error is not None
    assert ended.error.kind == "refused"


async def test_a_rejected_version_is_not_promoted_whoever_has_begun_it(desk: Desk) -> None:
    desk.controller.begin("2.0", by="bob")
    desk.controller.wait()
    await desk.begin(REJECT)
    promote = Request(kind="promote", service="svc")
    assert [each.code for each in (await desk.gate.plan(promote)).findings if each.level == "block"] == ["rejected"]
    with pytest.raises(Refused):
        await desk.begin(promote)
    assert not (await desk.gate.plan(Request(kind="abort", service="svc"))).blocked
    over = Request(kind="promote", service="svc", overrides=("rejected",))
    done = await desk.ended(await desk.gate.submit(await desk.gate.plan(over), Consent(confirmed=True, reason="meant")))
    assert (done.status, desk.controller.ordered) == ("succeeded", [("promote", "")])


@RECORDS
async def test_a_promotion_that_was_ordered_before_it_is_dropped(desk: Desk, record: Request, code: str) -> None:
    action = await desk.begin(RELEASE)
    await desk.until(action, lambda seen: seen.phase == "follow")
    desk.controller.wait()
    await desk.until(action, lambda seen: seen.hold is not None)
    desk.controller.unreadable = "no route to host"
    assert await desk.journal.enqueue(str(action.id), "promote", desk.gate.actor, "")
    await told_of(desk, action, "promote ordered by")
    told = (await desk.gate.plan(record)).findings
    assert any("its controller" in each.text for each in told), told
    await desk.begin(record)
    desk.controller.unreadable = ""
    await told_of(desk, action, "promote not carried out")
    assert [word for word, _ in desk.controller.ordered] == ["release"]


async def told_of(desk: Desk, action: Action, words: str) -> None:
    async with asyncio.timeout(20):
        while not any(words in line.event.detail for line in await desk.journal.history(str(action.id))):
            await asyncio.sleep(0.01)


def _order(action: Action, word: str, *overrides: str) -> Request:
    return Request(kind=action.kind, service="svc", ref=action.id or "", order=word, overrides=overrides)
