"""kill -9 of a runner at instants that are named, and rescues by another process."""

import asyncio
import signal
from pathlib import Path

import pytest

from actions.journal.command_events import left_in
from actions.models import Request
from backends.processes import fate
from tests.actions.journals import until_won
from tests.chaos.benches import file_bench
from tests.chaos.harness import YES, Chaos, Round

RELEASE = Request(kind="release", service="analytics", version="2.5.0")


@pytest.mark.parametrize("instant", ["before shift", "after shift"])
async def test_a_write_that_nobody_recorded_is_known_for_what_it_is(tmp_path: Path, instant: str) -> None:
    flip = Request(kind="flip", service="analytics")
    async with file_bench(tmp_path) as bench:
        chaos = Chaos(bench, tmp_path / "journal")
        resumed, back = await chaos.both_rescues(flip, instant)
        assert (resumed.killed_at, resumed.status) == (instant, "succeeded")
        assert back.status == ("rolled_back" if instant == "after shift" else "aborted")
        await chaos.aclose()


@pytest.mark.parametrize("instant", ["before journal: command deploy", "after journal: command deploy"])
async def test_a_command_that_waits_for_its_record_does_nothing_without_its_runner(
    tmp_path: Path, instant: str
) -> None:
    async with file_bench(tmp_path) as bench:
        chaos = Chaos(bench, tmp_path / "journal")
        await bench.reset()
        action, killed_at = await chaos.until_killed(Round(RELEASE, instant, "abort"))
        assert (action.status, killed_at) == ("running", instant)
        assert not (tmp_path / "green.version").exists()
        left = left_in(await chaos.journal.history(str(action.id)))
        assert [(one.step, fate(one.command)) for one in left] == ([("deploy", "gone")] * (instant[0] == "a"))
        assert (await chaos.rescued(action, "resume")).status == "succeeded"
        await chaos.aclose()


@pytest.mark.parametrize(
    ("request_", "intent"),
    [(Request(kind="flip", service="analytics"), "intent shift"), (RELEASE, "intent deploy")],
    ids=["shift", "deploy"],
)
async def test_a_runner_that_stood_still_before_its_write_while_another_took_over_writes_nothing(
    tmp_path: Path, request_: Request, intent: str
) -> None:
    async with file_bench(tmp_path) as bench:
        chaos = Chaos(bench, tmp_path / "journal")
        await bench.reset()
        before = written(tmp_path)
        action, runner = await chaos.stopped(request_, f"after journal: {intent}", ttl_s=2.0)
        hold = await until_won(chaos.journal, str(action.id))
        runner.send_signal(signal.SIGCONT)
        await asyncio.wait_for(runner.wait(), 60)
        assert written(tmp_path) == before
        await chaos.journal.let_go(hold)
        await chaos.aclose()


def written(directory: Path) -> dict[str, bytes]:
    """The files that orders on the bench change."""
    files = (*directory.glob("*.json"), *directory.glob("*.version"))
    return {path.name: path.read_bytes() for path in files}


async def test_of_three_runners_one_runs(tmp_path: Path) -> None:
    async with file_bench(tmp_path) as bench:
        chaos = Chaos(bench, tmp_path / "journal")
        await bench.reset()

        async def thrice(action_id: str, digest: str) -> None:
            await asyncio.gather(*(chaos.launch(action_id, digest) for _ in range(3)))

        action = await chaos.gate.submit(await chaos.gate.plan(RELEASE), YES, launch=thrice)
        async with asyncio.timeout(120):
            action = await chaos.ended(action)
        assert (action.status, await bench.weights()) == ("succeeded", {"blue": 0, "green": 100})
        records = await chaos.gate.audit_records()
        assert [record.fence for record in records if record.kind in ("lock", "takeover")] == [1]
        await chaos.aclose()


async def test_a_runner_that_begins_late_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actions.orphans.STARTS_WITHIN_S", 0.0)
    monkeypatch.setattr("actions.reading.ORPHAN_AFTER_S", 0.0)
    async with file_bench(tmp_path) as bench:
        chaos = Chaos(bench, tmp_path / "journal")
        await bench.reset()
        action = await chaos.gate.submit(await chaos.gate.plan(Request(kind="flip", service="analytics")), YES)
        assert (await chaos.ended(action)).status == "succeeded"
        await chaos.aclose()
