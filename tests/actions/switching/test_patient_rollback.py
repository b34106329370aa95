"""One answer that is lost keeps no traffic on a bad side: a rollback reads again, and writes again what was lost."""

from pathlib import Path
from typing import Any

import pytest

from actions.models import Consent, Request
from backends.errors import BackendError, ErrorKind
from backends.ports import SwitchState
from tests.actions.hanging import Bench

YES = Consent(confirmed=True, reason="a test")
FLIP, ROLLBACK = (Request(kind=kind, service="analytics") for kind in ("flip", "rollback"))
BLUE = {"blue": 100, "green": 0}


async def ordered(bench: Bench, request: Request) -> Any:
    action = await bench.gate.submit(await bench.gate.plan(request), YES)
    async for seen in bench.gate.watch(str(action.id)):
        action = seen
    return action


def deaf(bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: ErrorKind) -> None:
    """Until traffic is back, only one of three reads is answered."""
    observe, asked = bench.switch.observe, iter(range(10_000))

    async def third_time() -> SwitchState:
        if bench.switch.weights != BLUE and next(asked) % 3 < 2:
            raise BackendError(kind, "no answer")
        return await observe()

    monkeypatch.setattr(bench.switch, "observe", third_time)


@pytest.mark.parametrize("kind", ["timeout", "unreachable"])
async def test_a_read_that_is_lost_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: ErrorKind
) -> None:
    async with Bench(tmp_path) as bench:
        assert (await ordered(bench, FLIP)).status == "succeeded"
        deaf(bench, monkeypatch, kind)
        back = await ordered(bench, ROLLBACK)
        assert (back.status, bench.switch.weights) == ("succeeded", BLUE)


async def test_a_write_that_came_to_nothing_is_written_again_and_only_by_a_way_back(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        bench.switch.fault = "refused"
        assert (await ordered(bench, FLIP)).status == "aborted"
        assert (await ordered(bench, FLIP)).status == "succeeded"
        bench.switch.fault = "refused"
        back = await ordered(bench, ROLLBACK)
        assert (back.status, bench.switch.weights) == ("succeeded", BLUE)
