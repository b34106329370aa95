"""`--foreground`, where the command is the runner: what signals do to a real process and to its action."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from actions.journal.journal import Journal
from actions.journal.location import journal_location
from actions.models import Action
from console.cli.following import as_runner
from console.session import Session
from tests.console.test_orders import written
from tests.two_colors import TwoColors
from tests.warm import Job, Piped, piped

BLUE, GREEN = {"blue": 100, "green": 0}, {"blue": 0, "green": 100}


class Teal:
    """The command with a config of one service and a state directory of its own."""

    def __init__(self, directory: Path, config: Path) -> None:
        self._env = {**os.environ, "TEAL_STATE_DIR": str(directory / "state"), "TEAL_CONFIG": str(config)}
        self._env.pop("TEAL_CONTEXT", None)

    async def start(self, *words: str) -> Piped:
        return await piped(Job("tests.warm_teal", "main", list(words), self._env, os.getcwd()))

    async def document(self, *words: str) -> dict[str, Any]:
        process = await self.start(*words, "-o", "json")
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        found: dict[str, Any] = msgspec.json.decode(output)
        return found

    async def action(self) -> dict[str, Any]:
        """The newest; empty where there is none yet."""
        items: list[dict[str, Any]] = (await self.document("action", "list"))["items"]
        return items[0] if items else {}

    async def until(self, **fields: str) -> Action:
        """The newest as soon as it is so; read without the command, which takes longer to start than a phase lasts."""
        journal = Journal(journal_location(None, self._env))
        try:
            async with asyncio.timeout(60):
                while True:
                    for found in await journal.actions("c", limit=1):
                        if all(getattr(found, name) == value for name, value in fields.items()):
                            return found
                    await asyncio.sleep(0.02)
        finally:
            await journal.aclose()


@pytest.fixture
def teal(tmp_path: Path, service: TwoColors) -> Teal:
    config = written(service, "")
    config.write_text(config.read_text().replace('bake = "200ms"', 'bake = "4s"'))
    return Teal(tmp_path, config)


@contextlib.asynccontextmanager
async def flipping(teal: Teal, *more: str) -> AsyncIterator[Piped]:
    process = await teal.start("deploy", "flip", "analytics", "-y", "--foreground", *more)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def end_of(process: Piped) -> tuple[int | None, str]:
    _, complaints = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, complaints.decode()


async def test_ctrl_c_pauses_and_a_second_one_leaves_it(teal: Teal, service: TwoColors) -> None:
    async with flipping(teal) as process:
        await teal.until(phase="bake")
        process.send_signal(signal.SIGINT)
        begun = await teal.until(status="paused")
        process.send_signal(signal.SIGINT)
        code, said = await end_of(process)
    assert (code, "pausing at the next safe point" in said, f"teal action resume {begun.id}" in said) == (
        8,
        True,
        True,
    )
    assert "Traceback" not in said
    assert (await teal.action())["error"]["kind"] == "parked"
    assert (await teal.document("action", "resume", str(begun.id), "-y"))["items"][0]["id"] == begun.id
    await teal.until(status="succeeded")
    assert service.weights() == GREEN


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_told_to_end_it_leaves_the_action_to_others(
    teal: Teal, service: TwoColors, number: signal.Signals
) -> None:
    async with flipping(teal) as process:
        await teal.until(phase="bake")
        process.send_signal(number)
        code, said = await end_of(process)
    assert (code, "leaving it paused" in said) == (8, True)
    back = await teal.document("deploy", "rollback", "analytics", "-y")
    assert (back["items"][0]["status"], service.weights()) == ("rolled_back", BLUE)


async def test_told_to_end_while_it_begins_it_is_left_before_anything_moves(teal: Teal, service: TwoColors) -> None:
    released = asyncio.Event()
    service.faults["green"].released = released
    async with flipping(teal) as process:
        async with asyncio.timeout(60):
            while not service.requests:
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        released.set()
        code, said = await end_of(process)
    left = await teal.action()
    assert "Traceback" not in said, said
    assert service.weights() == BLUE
    assert (code, left.get("status")) in ((8, "paused"), (143, None)), said


async def test_a_signal_before_there_is_an_action_leaves_what_will_be() -> None:
    class Orders:
        parked = 0

        def park(self) -> None:
            self.parked += 1

    class Fake:
        orders = Orders()

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with as_runner(cast(Session, Fake), []):
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.05)
    assert Fake.orders.parked == 2
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_it_outlasts_the_time_to_watch(teal: Teal, service: TwoColors) -> None:
    async with flipping(teal, "--wait-timeout", "1s") as process:
        code, said = await end_of(process)
    assert (code, service.weights()) == (0, GREEN), said


async def test_watching_ends_at_its_timeout_and_the_action_goes_on(teal: Teal, service: TwoColors) -> None:
    async with flipping(teal):
        begun = await teal.until(phase="bake")
        watching = await teal.start("action", "watch", str(begun.id), "--timeout", "300ms")
        code, said = await end_of(watching)
        assert (code, f"{begun.id} is still open" in said) == (8, True), said
        await teal.until(status="succeeded")
    assert service.weights() == GREEN
