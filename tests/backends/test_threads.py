"""Threads for what may never come back: they end with their owner, closed or not."""

import asyncio
import gc
import threading
from collections.abc import Callable

import pytest

from backends.threads import DaemonExecutor, DaemonThreads


def named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def gone(name: str) -> bool:
    for thread in named(name):
        thread.join(10)
    return not named(name)


class Owner:
    def __init__(self, name: str) -> None:
        self.threads = DaemonThreads(3, name)

    def work(self) -> str:
        return "done"


@pytest.mark.parametrize("how", ["closed", "gone"])
def test_they_end_with_their_owner(how: str) -> None:
    owner = Owner(name := f"own-{how}")
    assert [owner.threads.submit(owner.work).result(10) for _ in range(4)] == ["done"] * 4
    assert len(named(name)) == 3
    if how == "closed":
        owner.threads.close()
        assert gone(name)
        assert owner.threads.submit(owner.work).result(10) == "done", "and can be used again"
    del owner
    gc.collect()
    assert gone(name)


def test_work_that_was_cancelled_before_its_turn_keeps_nobody() -> None:
    owner = Owner("own-cancelled")
    held = threading.Event()
    busy = [owner.threads.submit(lambda: held.wait(10)) for _ in range(3)]
    late: Callable[[], str] = owner.work
    assert owner.threads.submit(late).cancel()
    held.set()
    assert [each.result(10) for each in busy] == [True] * 3
    del owner, late
    gc.collect()
    assert gone("own-cancelled")


async def test_a_loop_may_have_them_as_its_executor() -> None:
    executor = DaemonExecutor(2, "own-executor")
    assert await asyncio.get_running_loop().run_in_executor(executor, lambda: 7) == 7
    executor.shutdown()
    assert gone("own-executor")
