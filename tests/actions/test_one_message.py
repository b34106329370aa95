"""One message an action in a chat that can edit: by its runner, by one that takes over, by who tells of an orphan."""

from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from actions.described import Described
from actions.journal.audit import AuditRecord
from actions.journal.journal import Journal
from actions.orphans import tell
from actions.who import current_actor
from console.runners import build_described
from tests.actions.house import ANALYTICS_FLIP, ANALYTICS_ROLLBACK, House
from tests.actions.test_notices import SURE, complaints
from tests.actions.test_orphans import orphan
from tests.backends.fake_slack import FakeSlack
from tests.two_colors import TwoColors

TOKEN = "xoxb-Zx81SpectrumToken"


@pytest.fixture
async def slack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    slack = FakeSlack(TOKEN)
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    async with slack:
        yield slack


def bot(slack: FakeSlack, directory: Path, **changed: Any) -> Described:
    config = {"token": {"env": "SLACK_BOT_TOKEN"}, "channel": slack.channel, "url": f"{slack.url}/api", **changed}
    return Described(port="notify", type="slack", name="ops", config=config, base_dir=directory, state_dir=directory)


async def notes(house: House) -> list[AuditRecord]:
    return [record for record in await complaints(house) if not record.action or record.result.startswith("notify.")]


async def test_an_action_is_one_message_from_start_to_end(house: House, slack: FakeSlack, tmp_path: Path) -> None:
    house.targets.notify = (bot(slack, tmp_path),)
    action = await house.order(ANALYTICS_FLIP, SURE)
    (note,) = await notes(house)
    (head,) = slack.heads
    assert (note.action, note.result) == (action.id, "notify.ops was told: started")
    assert note.after == {"slack ops": f"{slack.channel}/{head.ts}"}
    by = str(house.gate.actor)
    assert head.shown.startswith("test: flip analytics blue → green succeeded (audit ")
    assert head.shown.endswith(f"\n{by}: release 2.4")
    assert len(slack.thread(head)) == 1
    for file in (tmp_path / "state").rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes()


async def test_a_runner_that_takes_over_goes_on_with_the_message(
    tmp_path: Path, service: TwoColors, slack: FakeSlack
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        house.targets.notify = (bot(slack, tmp_path),)
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), SURE)
        await house.reaches(opened, "bake")
        await house.kill_runner()
        house.runners.clear()
        assert (await house.order(ANALYTICS_ROLLBACK)).status == "rolled_back"
        assert len(await notes(house)) == 1
    (head,) = slack.heads
    assert (head.edits, " rolled back" in head.shown) == (1, True)
    assert [reply.broadcast for reply in slack.thread(head)] == [True]


async def test_what_nobody_runs_is_said_at_its_message_and_in_the_channel(
    tmp_path: Path, service: TwoColors, slack: FakeSlack
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        house.targets.notify = (bot(slack, tmp_path),)
        await orphan(house)
        journal = Journal(house.location)
        actions = await house.gate.actions(open_only=True)
        await tell(
            journal, actions, "test", house.targets.notify, build_described, actor=current_actor({}), zone=UTC
        )  # fmt: skip
        await journal.aclose()
    (head,) = slack.heads
    (reply,) = slack.thread(head)
    assert (" held: " in head.shown, reply.broadcast, " held: " in reply.shown) == (True, True, True)


async def test_a_message_that_was_deleted_is_posted_anew_and_that_one_followed(
    tmp_path: Path, service: TwoColors, slack: FakeSlack
) -> None:
    async with House(tmp_path / "state", service, bake="30s") as house:
        house.targets.notify = (bot(slack, tmp_path),)
        opened = await house.gate.submit(await house.gate.plan(ANALYTICS_FLIP), SURE)
        await house.reaches(opened, "bake")
        slack.messages.clear()
        assert (await house.order(ANALYTICS_ROLLBACK)).status == "rolled_back"
        found = await notes(house)
    (head,) = slack.heads
    assert " rolled back" in head.shown
    assert [note.after["slack ops"] for note in found][-1] == f"{slack.channel}/{head.ts}"


@pytest.mark.parametrize("fault", ["hang", "500", "html", "no answer"])
async def test_a_chat_that_fails_in_between_delays_nothing_and_is_said(
    house: House, slack: FakeSlack, tmp_path: Path, fault: str
) -> None:
    house.targets.notify = (bot(slack, tmp_path, timeout="1s"),)
    slack.fault = fault
    action = await house.order(ANALYTICS_FLIP, SURE)
    assert (action.status, action.changed) == ("succeeded", True)
    assert [note.result for note in await notes(house)] == [
        "notify.ops was not told: started",
        "notify.ops was not told: succeeded",
    ]
